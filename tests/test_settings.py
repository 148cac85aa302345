"""Settings are written out wherever a person may pass them, and mean the same everywhere."""

import inspect

import numpy as np
import pytest

import daskem
from daskem.cli.arguments import parser
from daskem.cli.commands import fit as fit_command
from daskem.cli.commands import select as select_command
from daskem.core.settings import generator, number, whole
from daskem.errors import ParameterError
from daskem.running.preparing import prepare
from daskem.selection.preparing import prepare_selection


def settings(function):
    """Names, defaults and annotations of keyword parameters."""
    return {
        name: (p.default, p.annotation)
        for name, p in inspect.signature(function).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }


@pytest.mark.parametrize(
    ("verb", "source", "apart"),
    [
        (daskem.fit, prepare, {"progress"}),
        (daskem.iterate, prepare, set()),
        (daskem.submit, prepare, {"name"}),
        (daskem.plan, prepare, {"cache", "checkpoint"}),
        (daskem.select, prepare_selection, {"progress"}),
        (daskem.submit_selection, prepare_selection, {"name"}),
    ],
)
def test_every_verb_has_the_settings_of_what_it_prepares(verb, source, apart):
    own, known = settings(verb), settings(source)
    assert set(own) ^ set(known) == apart
    assert {name: own[name] for name in own if name in known} == {
        name: known[name] for name in own if name in known
    }


def test_a_selection_has_the_settings_of_a_fit():
    own, known = settings(daskem.select), settings(daskem.fit)
    # A start is of one size; restarts of a selection cost no reads, and there are more of them.
    assert set(known) - set(own) == {"start"}
    assert {name for name in known if name in own and own[name] != known[name]} == {"n_init"}


# What has a name of scikit-learn's or hmmlearn's: max_iter or n_iter, weights_init, means_init and
# so on. What goes on from a checkpoint is a result.
APART = {"max_passes", "start", "checkpoint"}


@pytest.mark.parametrize(
    ("estimator", "apart"),
    [
        # Mixtures know no sequences.
        (daskem.GaussianMixture, {"lengths", "sequence_dim"}),
        (daskem.GaussianHMM, set()),
    ],
)
def test_the_estimators_have_the_settings_of_a_fit(estimator, apart):
    names = {
        *inspect.signature(estimator).parameters,
        *inspect.signature(estimator.fit).parameters,
    }
    assert set(settings(daskem.fit)) - names == APART | apart


@pytest.mark.parametrize(
    ("command", "function"), [(fit_command, daskem.fit), (select_command, daskem.select)]
)
def test_the_command_line_has_the_settings_of_a_fit(command, function):
    given = ["-k", "2"] if command is fit_command else []
    options = vars(parser([command]).parse_args([command.__name__, "store", *given]))
    known = inspect.signature(function).parameters
    # What is an array in memory is not written on a command line, which fits mixtures: they know
    # no sequences.
    assert set(settings(function)) - set(options) == set(known) & {
        "start",
        "along",
        "lengths",
        "sequence_dim",
        "models",
    }
    shared = (options.keys() & settings(function).keys()) - {"n_components"}
    assert {name: options[name] for name in shared} == {
        name: known[name].default for name in shared
    }


@pytest.mark.parametrize(
    "verb", [daskem.fit, daskem.iterate, daskem.submit, daskem.plan, daskem.select]
)
def test_a_misspelt_setting_is_told_which_one_was_meant(verb):
    with pytest.raises(TypeError, match=r"max_pases.*did you mean 'max_passes'"):
        verb(None, None, max_pases=3)


@pytest.mark.parametrize("value", [0, 1.5, np.float32(2), np.inf])
def test_a_number_comes_back_as_a_float(value):
    assert number("tol", value, 0) == value
    assert type(number("tol", value, 0)) is float


@pytest.mark.parametrize("value", [-1, np.nan, "1", None, 1j, np.ones(2)])
def test_what_is_no_number_of_that_size_is_named(value):
    with pytest.raises(ParameterError, match=r"^tol="):
        number("tol", value, 0)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, np.ones(1)])
def test_what_counts_nothing_is_named(value):
    assert whole("n_init", np.int8(3)) == 3
    with pytest.raises(ParameterError, match=r"^n_init="):
        whole("n_init", value)


def test_a_random_state_is_a_seed_or_goes_on_from_where_it_is():
    assert generator(3).random() == generator(np.int64(3)).random()
    mine = np.random.default_rng(3)
    assert generator(mine) is mine
    old = np.random.RandomState(3)
    generator(old).random(5)
    assert old.tomaxint() != np.random.RandomState(3).tomaxint()


@pytest.mark.parametrize("value", [-1, 0.5, "seed", np.random])
def test_what_is_no_seed_is_named(value):
    with pytest.raises(ParameterError, match=r"^random_state="):
        generator(value)


def test_rows_are_drawn_with_whatever_a_fit_takes(rows, start):
    model = daskem.Mixture(daskem.Gaussian())
    result = daskem.fit(model, rows, start=start, tol=1)
    bits = np.random.MT19937(7)
    drawn = [
        result.sample(5, state)[0]
        for state in (np.random.RandomState(bits), np.random.Generator(np.random.MT19937(7)))
    ]
    np.testing.assert_array_equal(*drawn)
    with pytest.raises(ParameterError, match="random_state"):
        result.sample(5, "seed")


@pytest.mark.parametrize(
    ("estimator", "passes"), [(daskem.GaussianMixture, "max_iter"), (daskem.GaussianHMM, "n_iter")]
)
def test_estimators_hand_all_settings_of_a_fit_on(estimator, passes, monkeypatch):
    settings = {
        "n_init": 7,
        "init_params": "random_from_data",
        "algorithm": "squarem",
        "tol": 0.125,
        "max_seconds": 3.5,
        "random_state": 11,
        "cache": "memory",
        "kernel": "numpy",
    }
    seen = {}

    def prepare(model, data, n_components, **options):
        seen.update(options, n_components=n_components)
        raise InterruptedError

    monkeypatch.setattr("daskem.estimators.manners.prepare", prepare)
    with pytest.raises(InterruptedError):
        estimator(5, **settings, **{passes: 17}).fit(np.zeros((9, 2)))
    expected = {**settings, "n_components": 5, "max_passes": 17}
    assert {name: seen.get(name) for name in expected} == expected
