"""Whatever a person may look at fits on a screen, and is real tables in a notebook."""

import html
import re
from dataclasses import fields, is_dataclass

import numpy as np
import pandas as pd
import pytest
from distributed import Client
from gate import MODEL
from samples import chunked

import daskem
from daskem.core.brief import Brief
from daskem.errors import ConvergenceWarning
from daskem.results.tables import SCREEN, Table

# A terminal of a person who has not made it larger, with some room for long lines.
MOST_LINES, MOST_CHARACTERS = 40, 6000
RNG = np.random.default_rng(0)
WIDE = RNG.normal(size=(300, 40)) + 5 * (np.arange(300) % 2)[:, None] * (np.arange(40) % 7 == 3)


@pytest.fixture(scope="module")
def wide():
    names = [f"<b>{i}</b>" for i in range(40)]
    family = daskem.Gaussian("diag")
    table = pd.DataFrame(WIDE, columns=names)
    return daskem.fit(daskem.Mixture(family), table, 2, n_init=30, random_state=0, tol=0.1)


@pytest.fixture(scope="module")
def selection():
    rows, kinds = WIDE[:, :1], ("full", "tied", "diag", "spherical")
    return daskem.select(rows, (1, 2), kinds, n_init=1, random_state=0, tol=0.1)


def looked_at(thing, path="", depth=3):
    """What one can look at: the attributes of a thing, and theirs."""
    yield path, thing
    if not depth or not (type(thing).__module__.startswith("daskem")):
        return
    names = {f.name for f in fields(thing)} if is_dataclass(thing) else set()
    names |= {n for n, v in vars(type(thing)).items() if isinstance(v, property)}
    for name in sorted(n for n in names if not n.startswith("_")):
        try:
            value = getattr(thing, name)
        except (daskem.errors.DaskemError, AssertionError):
            continue
        # Labelled arrays and plain arrays know how to print themselves.
        if not type(value).__module__.startswith(("xarray", "numpy", "dask")):
            yield from looked_at(value, f"{path}.{name}", depth - 1)


def too_long(thing):
    return [
        (path, len(text))
        for path, value in looked_at(thing)
        for text in [repr(value)]
        if len(text) > MOST_CHARACTERS or text.count("\n") > MOST_LINES
    ]


def test_every_repr_of_a_fit_fits_on_a_screen(wide):
    assert too_long(wide) == []
    assert too_long(daskem.merge(wide, WIDE)) == []


def test_every_repr_of_a_selection_fits_on_a_screen(selection):
    assert len(selection.runs) == 8
    assert too_long(selection) == []
    assert len(repr(selection)) < 200


def cells(text):
    return [html.unescape(cell) for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", text)]


def test_what_is_merged_tells_of_which_components(wide):
    cut = daskem.merge(wide, WIDE).cut(1)
    for name in ("cluster", "weight", "of the components", "1.0000", "0 + 1"):
        assert name in cells(cut._repr_html_())
        assert name in str(cut)


def test_a_notebook_is_shown_real_tables(wide, selection):
    estimator = daskem.GaussianMixture(2, random_state=0, tol=0.1)
    assert "not fitted yet" in estimator._repr_html_()
    shown = [wide, selection, daskem.merge(wide, WIDE), estimator.fit(WIDE[:, :2])]
    shown += [wide.runs, wide.history, selection.standings, selection.runs]
    shown += [daskem.plan(MODEL, WIDE[:, :2], 2)]
    for thing in shown:
        told = thing._repr_html_()
        assert told.startswith(("<table", "<p>"))
        assert "<table" in told
        assert "<b>" not in told
        assert told.count("<tr") <= 60


def test_the_cells_are_those_of_the_text(wide):
    in_text = wide.table().splitlines()[0]
    names = cells(wide._repr_html_())[:5]
    assert len(names) == 5
    assert all(name in in_text for name in names)


def test_the_features_that_matter_are_shown(wide):
    shown = wide.table().splitlines()[0].split()[2:10]
    assert {f"<b>{i}</b>" for i in range(40) if i % 7 == 3} <= set(shown)
    assert [int(re.sub(r"\D", "", name)) for name in shown] == sorted(
        int(re.sub(r"\D", "", name)) for name in shown
    )
    assert "the 8 of 40 features that tell the components apart most" in wide.table()
    # Directions of 40 entries would say nothing, cut to a few.
    assert "(" not in wide.table()


def test_counts_show_the_features_that_matter_too():
    rates = np.where(np.arange(20) == 13, [[1.0], [30.0]], 4.0)
    rows = RNG.poisson(rates[np.arange(400) % 2])
    result = daskem.fit(daskem.Mixture(daskem.Poisson()), rows, 2, random_state=0, tol=0.1)
    assert "13" in result.table().splitlines()[0].split()


def test_a_table_is_cut_in_the_middle():
    table = Table.of([{"a": i} for i in range(100)], "below")
    lines = str(table.short()).splitlines()
    assert len(lines) == SCREEN + 4
    assert lines[1].strip() == "0"
    assert lines[SCREEN + 1].strip() == "99"
    assert lines[-2:] == ["100 in all", "below"]
    assert str(Table.of([{"a": 1}]).short()) == "a\n1"


def test_an_estimator_tells_its_state():
    model = daskem.GaussianMixture(
        2, means_init=np.zeros((2, 40)), max_iter=2, tol=0, covariance_type="diag"
    )
    assert repr(model) == (
        "GaussianMixture(n_components=2, covariance_type='diag', tol=0, max_iter=2, "
        "means_init=<float64 (2, 40)>)"
    )
    with pytest.warns(ConvergenceWarning):
        model.fit(WIDE)
    assert "max passes after 2 passes, log-likelihood" in repr(model)
    assert model._repr_html_().count("max passes after 2 passes") == 1


def test_a_run_that_failed_says_why(wide):
    (first, *_) = wide.runs
    told = repr(type(first)(first.model, first.framed, (), daskem.Status.FAILED, failure="why"))
    assert told == "<run of Mixture: failed why>"


def test_a_handle_tells_how_it_stands(client, rows):
    run = daskem.submit(MODEL, chunked(rows), 2, random_state=0, name="looked at")
    assert " ," not in repr(run)  # what is not known yet
    run.result()
    assert re.match(r"<fit 'looked at': status converged, passes \d+, log-likelihood", repr(run))
    assert "converged" in cells(run._repr_html_())
    with Client(client.scheduler.address, set_as_default=False) as other:
        lost = type(run)(run.name, other)
    assert "status unknown, the client is closed" in repr(lost)


def test_what_is_brief_says_what_it_holds():
    block = daskem.GaussianMixture(1).fit(WIDE[:, :2]).result_.blocks(WIDE[:, :2])
    assert isinstance(block, Brief)
    assert "rows=<float64 (300, 2)>" in repr(block)
