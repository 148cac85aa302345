"""Settings are written out wherever a person may pass them, and mean the same everywhere."""

import inspect

import pytest

import daskem
from daskem.cli.arguments import parser
from daskem.cli.commands import fit as fit_command
from daskem.cli.commands import select as select_command
from daskem.running.prepared import prepare
from daskem.selection.verbs import prepare_selection


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
        (daskem.fit, prepare, set()),
        (daskem.iterate, prepare, set()),
        (daskem.submit, prepare, {"name"}),
        (daskem.plan, prepare, {"cache"}),
        (daskem.select, prepare_selection, set()),
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


def test_the_estimator_has_the_settings_of_a_fit():
    names = {
        *inspect.signature(daskem.GaussianMixture).parameters,
        *inspect.signature(daskem.GaussianMixture.fit).parameters,
    }
    # By scikit-learn's names: max_iter, and weights_init, means_init, precisions_init.
    assert set(settings(daskem.fit)) - names == {"max_passes", "start"}


@pytest.mark.parametrize(
    ("command", "function"), [(fit_command, daskem.fit), (select_command, daskem.select)]
)
def test_the_command_line_has_the_settings_of_a_fit(command, function):
    given = ["-k", "2"] if command is fit_command else []
    options = vars(parser([command]).parse_args([command.__name__, "store", *given]))
    known = inspect.signature(function).parameters
    # What is an array in memory is not written on a command line.
    assert set(settings(function)) - set(options) == {"start", "sample_weight", "models"} & set(
        known
    )
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
