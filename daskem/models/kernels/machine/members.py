"""Which component a row belongs to, and how much: from log-densities, or known before."""

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.exponentials import log
from daskem.models.kernels.machine.softmax import log_likelihood, normalise
from daskem.models.kernels.machine.vectors import LANES, load, store


@part
def answer(joint, bounds, task, spare, first, n, width, weighted, log_likelihoods):
    """Do what is asked with the joint log-densities of a tile, (component, row).

    Row 2 of `spare` has the weights of its `n` rows. Unless they are to be written, they become
    weighted responsibilities.
    """
    if len(task.labels) + task.shares.size > 0:
        _look_up(joint, task, spare, first, n, width)
    elif task.out.size == 0 or len(task.log_prob) > 0:
        for c in range(len(bounds) - 1):
            normalise(joint, bounds[c], bounds[c + 1], width, spare)
            log_likelihoods[c] += log_likelihood(n, width, weighted, spare)
    if task.out.size > 0:
        _write(joint, task, spare, first, n, width)


@part
def _look_up(joint, task, spare, first, n, width):
    for k in range(len(joint)):
        for j in range(width):
            joint[k, j] = 0.0
    for j in range(n):
        if len(task.labels):
            if 0 <= task.labels[first + j] < len(joint):
                joint[task.labels[first + j], j] = spare[2, j]
        else:
            for k in range(len(task.shares)):
                joint[k, j] = task.shares[k, first + j] * spare[2, j]


@part
def _write(joint, task, spare, first, n, width):
    if len(task.log_prob):
        for j in range(0, width, LANES):
            store(spare, 3, j, load(spare, 0, j) + log(load(spare, 1, j)))
        for j in range(n):
            task.log_prob[first + j] = spare[3, j]
    for k in range(len(task.out)):
        for j in range(n):
            task.out[k, first + j] = joint[k, j]
