"""Arithmetic that families and models share: softmax on tiles, logarithms, one BLAS thread."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from scipy.special import gammaln
from threadpoolctl import OpenBLASController, ThreadpoolController

EPS = np.finfo(np.float64).eps

# exp() of less than this is nothing beside the largest term, and stays clear of the
# subnormal numbers, on which both exp and the matrix products slow down many times.
NEGLIGIBLE = -300.0
# A share of this or less stands for none: it is what the softmax makes of a logit of -inf.
NOTHING = 2 * float(np.exp(NEGLIGIBLE))
# Numbers below this have squares that can be added over any number of rows, 1e308 / 1e290 of them;
# spreads above one over this have squares that are not rounded to nothing.
LARGEST = 1e145
SQUARABLE = f"finite numbers below {LARGEST:.0e}"
# An eigenvalue that is no further below 0 may be the rounding of one that is 0: in other units, a
# matrix loses half of its digits at most.
_NEARLY = 1e-8


def exponentiate(logits: np.ndarray, spare: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace logits by ``exp(logits - peak)``, in place, and return ``peak`` and the column sums.

    Parameters
    ----------
    logits : ndarray, (component, row)
    spare : ndarray, (2, at least as many rows)
        Where to put what is returned. On workers, whose nanny has memory given back at once, an
        array of this size costs as much to allocate as to fill.

    Returns
    -------
    peak, total : ndarray, (row,)
        ``log sum_k exp(logits_k) = peak + log(total)``; dividing by `total` gives the softmax.
    """
    n = logits.shape[1]
    peak = logits.max(axis=0, out=spare[0, :n])
    logits -= peak
    np.maximum(logits, NEGLIGIBLE, out=logits)
    np.exp(logits, out=logits)
    return peak, logits.sum(axis=0, out=spare[1, :n])


def sum_of_logs(totals: np.ndarray, n_components: int) -> float:
    """Sum of ``log(totals)`` for values in [1, n_components], with one log for many values."""
    # A product of that many such values cannot overflow.
    group = max(1, min(32, int(600 / max(np.log(n_components), 1.0))))
    whole = len(totals) - len(totals) % group
    products = totals[:whole].reshape(group, -1).prod(axis=0)
    return float(np.log(products).sum() + np.log(totals[whole:]).sum())


@cache
def _log_factorials() -> np.ndarray:
    return gammaln(np.arange(1.0, 1025.0))


def log_factorial(counts: np.ndarray) -> np.ndarray:
    """``log(n!)`` of an array of whole numbers stored as floats."""
    table = _log_factorials()
    if counts.size and counts.max() < len(table):
        return table.take(counts.astype(np.intp))
    return gammaln(counts + 1.0)


def is_positive_definite(matrices: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Whether each matrix of a stack (..., feature, feature) has a Cholesky factor.

    With the diagonal scaled to 1, an eigenvalue does not count as positive unless it is above
    `least`, and above 4 d EPS: the rounding of the elements can make so much of a zero.
    """
    stack = matrices.reshape(-1, *matrices.shape[-2:])
    diagonals = np.diagonal(stack, axis1=1, axis2=2)
    answers = np.isfinite(stack).all(axis=(1, 2)) & (diagonals > 0).all(axis=1)
    if stack.shape[-1] == 1:
        return answers.reshape(matrices.shape[:-2])
    if not answers.all():
        stack, diagonals = stack[answers], diagonals[answers]
    scales = np.sqrt(diagonals)
    values = _smallest_eigenvalues(stack / (scales[:, :, None] * scales[:, None, :]))
    answers[answers] = values > max(4 * stack.shape[-1] * EPS, least)
    return answers.reshape(matrices.shape[:-2])


def definite(matrices: np.ndarray) -> np.ndarray:
    """Matrices (..., feature, feature), the diagonal of those raised that are singular.

    By as little as makes them positive definite, where rounding can have made them singular.
    """
    stack = matrices.reshape(-1, *matrices.shape[-2:])
    singular = np.flatnonzero(~is_positive_definite(stack))
    stack = stack.copy() if len(singular) else stack
    for k in singular:
        scale = np.sqrt(np.maximum(np.diagonal(stack[k]), 0.0))
        if not (np.isfinite(stack[k]).all() and (scale > 0).all()):
            continue
        least = _smallest_eigenvalues(stack[None, k] / np.outer(scale, scale))[0]
        if least > -_NEARLY:
            raised = 8 * len(scale) * EPS + max(-least, 0.0)
            stack[k] += np.diag(raised * scale**2)
    return stack.reshape(matrices.shape)


def inverse(matrices: np.ndarray) -> np.ndarray:
    """The inverse of positive definite matrices (..., feature, feature), or what comes near to it.

    Of a direction whose eigenvalue is lost in the rounding of others, that rounding is taken.
    """
    with suppress(np.linalg.LinAlgError):
        inverted = np.linalg.inv(matrices)
        if (
            is_positive_definite(inverted).all()
            or not is_positive_definite(definite(matrices)).all()
        ):
            return np.asarray(inverted)
    values, vectors = np.linalg.eigh((matrices + matrices.swapaxes(-1, -2)) / 2)
    least = 4 * matrices.shape[-1] * EPS * np.abs(values[..., -1:])
    return (vectors / np.maximum(values, least)[..., None, :]) @ vectors.swapaxes(-1, -2)


def _smallest_eigenvalues(stack: np.ndarray) -> np.ndarray:
    """The smallest eigenvalue of every matrix, (matrix,).

    The smallest pivot of a Cholesky factor is cheaper to have and no less than this one, but may
    be much larger: that of a singular matrix is rounding divided by the pivots before it.
    """
    return np.linalg.eigvalsh(stack)[:, 0]


_lock = threading.Lock()
_inside = 0
_limiter: Any = None


class _OfThread(threading.local):
    """Whether this thread is inside already."""

    inside = False


_mine = _OfThread()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _take_control() -> None:
    # From 3.8 on, threadpoolctl lets only the thread that limited a shared pool change it again.
    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread while any thread of this process is inside.

    The number of BLAS threads changes the last bits of a product, and must not depend on who
    else happens to be computing. Some libraries have one limit for the process, so the first one
    in sets it and the last one out lifts it; others have one for each thread, so that everybody
    sets their own besides. Who is inside already has both, and enters at no cost.
    """
    global _inside, _limiter
    if _mine.inside:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _take_control()
            _limiter = _controller().limit(limits=1, user_api="blas")
    _mine.inside = True
    try:
        with _controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        _mine.inside = False
        with _lock:
            _inside -= 1
            if _inside == 0:
                _take_control()
                _limiter.restore_original_limits()
                _take_control()


@cache
def arithmetic() -> str:
    """What of the last bits depends on processor and libraries, of this process: equal where all is
    equal of a fixed product, exponential, logarithm and Cholesky factor.
    """
    x = np.linspace(-2.0, 2.0, 33 * 17).reshape(33, 17)
    with one_blas_thread():
        square = x.T @ x + np.eye(17)
        values = [square, np.exp(x), np.log(square + 9.0), np.linalg.cholesky(square)]
    return hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()[:16]


def squarable(values: np.ndarray) -> np.ndarray:
    """Which numbers are finite, with squares that can be added: bool, like `values`."""
    # Nothing else can hold larger numbers, nor this one.
    wide = values.dtype.kind == "f" and values.dtype.itemsize >= 8
    return np.abs(values) < LARGEST if wide else np.isfinite(values)
