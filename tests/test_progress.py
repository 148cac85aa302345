"""Signs of life: one line, where somebody looks; an interrupt keeps what was found."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import dask
import numpy as np
import pytest
import zarr
from cluster import bits
from gate import MODEL, Gate
from samples import chunked

import daskem
from daskem.cli import main
from daskem.errors import ConvergenceWarning, ParameterError
from daskem.running.preparing import prepare
from daskem.running.progress import screens
from daskem.running.progress.line import Line, followed
from daskem.running.progress.screens import Bar, Terminal
from daskem.selection.preparing import prepare_selection

FIT = {"random_state": 0, "tol": 1e-4}


class Heard:
    """A screen that writes down what it is to show."""

    def __init__(self):
        self.shown, self.closed = [], []

    def show(self, head, done, of, tail):
        self.shown.append((head, done, of, tail))

    def clear(self):
        pass

    def close(self, text):
        self.closed.append(text)


@pytest.fixture
def line(monkeypatch):
    monkeypatch.setattr(Line, "patience", 0.0)
    return Line(Heard())


def heads(line):
    return list(dict.fromkeys(head for head, *_ in line._screen.shown))


@pytest.mark.parametrize("data", [lambda rows: rows, chunked], ids=["numpy", "dask"])
def test_a_fit_says_what_it_is_at(rows, line, data):
    prepared = prepare(MODEL, data(rows), 3, **FIT)
    silent = list(prepared.results("here"))
    outcomes = list(followed(prepared.watched(line.sign).results("here"), line))
    assert bits(outcomes[-1]) == bits(silent[-1])
    passes = [f"pass {i + 1}" for i in range(len(outcomes))]
    assert heads(line) == ["survey", "starts", *passes]
    *_, (_, _, _, tail) = line._screen.shown
    before = outcomes[-2]
    assert f"log-likelihood {before.log_likelihood:.6g}" in tail
    assert "left to gain" in tail
    assert "rows/s" in tail


def test_partitions_are_counted_one_by_one(rows, line):
    blocks = prepare(MODEL, chunked(rows, 150), 3, **FIT).blocks.watched(line.sign)
    n = blocks.outline.n_partitions
    assert n == 20
    with dask.config.set(scheduler="threads"):
        assert blocks.sum(rows_of, name="e-step") == len(rows)
    assert [shown[1:3] for shown in line._screen.shown] == [(i, n) for i in range(n + 1)]


def rows_of(block):
    return len(block)


def test_a_selection_says_it_too(rows, line):
    task = prepare_selection(rows, (1, 2), n_init=2, **FIT)
    *_, last = followed(task.watched(line.sign).results("here"), line)
    assert heads(line)[:3] == ["survey", "starts", "pass 1"]
    assert line.passes == last.n_passes


def test_a_log_is_told_nothing_unasked(rows, capfd):
    assert not sys.stderr.isatty()
    daskem.fit(MODEL, rows, 2, **FIT)
    daskem.GaussianMixture(2, **FIT).fit(rows)
    daskem.select(rows, (1, 2), random_state=0)
    assert capfd.readouterr() == ("", "")


def test_a_log_is_told_each_thing_once_if_asked(rows, capfd):
    result = daskem.fit(MODEL, rows, 2, progress=True, **FIT)
    told, errors = capfd.readouterr()
    assert told == ""
    begun = [text.split(",")[0] for text in errors.splitlines()]
    assert begun[:4] == ["starting", "survey", "starts", "pass 1"]
    assert len(begun) in (3 + len(result.history), 4 + len(result.history))
    daskem.fit(MODEL, rows, 2, progress=False, **FIT)
    assert capfd.readouterr() == ("", "")


TERMINAL = """
import daskem, numpy as np
rows = np.random.default_rng(0).normal(size=(2000, 2))
daskem.GaussianMixture(2, random_state=0).fit(rows)
"""


def test_a_terminal_is_told_and_left_clean():
    main, end = os.openpty()
    with os.fdopen(main, "rb", 0) as screen:
        run = subprocess.run([sys.executable, "-c", TERMINAL], stderr=end, check=True)
        os.close(end)
        told = screen.read(2**16).decode()
    assert run.returncode == 0
    for words in ("starting", "survey", "starts", "pass 1", "pass 2", "rows/s"):
        assert words in told


def test_a_line_is_written_over_and_cleared():
    stream = io.StringIO()
    terminal = Terminal(stream)
    terminal.show("pass 12", 3, 64, "log-likelihood -1")
    terminal.show("pass 13", 0, 1, "")
    long, short = stream.getvalue().split("\r")[1:]
    assert long == "pass 12: 3 of 64 partitions, log-likelihood -1"
    assert short == "pass 13".ljust(len(long))
    terminal.close("converged")
    assert stream.getvalue().endswith("\rconverged\n")


def test_only_what_took_long_leaves_a_line(rows, monkeypatch):
    for seconds, left in ((1e9, ""), (-1.0, "converged after 3 passes, log-likelihood")):
        monkeypatch.setattr("daskem.running.progress.line._LONG", seconds)
        screen = Heard()
        monkeypatch.setattr("daskem.running.progress.line.screen", lambda _, s=screen: s)
        result = daskem.fit(MODEL, rows, 1, random_state=0)
        (closed,) = screen.closed
        assert closed.startswith(left.replace("3", str(len(result.history))))
        assert bool(closed) is bool(left)


def test_a_bar_of_tqdm(monkeypatch):
    pytest.importorskip("tqdm")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = Bar()
    bar.show("pass 2", 16, 64, "log-likelihood -1")
    assert "pass 2  25%" in stream.getvalue()
    assert "16/64, log-likelihood -1" in stream.getvalue()
    bar.close("converged")
    assert stream.getvalue().endswith("converged\n")


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_without_widgets_has_a_line_that_is_replaced(monkeypatch, widgets):
    pytest.importorskip("tqdm")
    there = {"tqdm": True, "ipywidgets": widgets}
    monkeypatch.setattr(screens, "_in_notebook", lambda: True)
    monkeypatch.setattr(screens.importlib.util, "find_spec", lambda n: there[n] or None)
    monkeypatch.setattr(screens, "Bar", lambda: "a bar")
    found = screens.screen("auto")
    assert found == "a bar" if widgets else isinstance(found, screens.Notebook)


def test_elsewhere_than_in_the_main_thread_nobody_looks(rows, monkeypatch, capfd):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fit = threading.Thread(target=daskem.fit, args=(MODEL, rows, 1), kwargs={"random_state": 0})
    fit.start()
    fit.join()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("value", ["loud", 2, None])
def test_what_is_no_such_setting(rows, value):
    with pytest.raises(ParameterError, match="progress="):
        daskem.fit(MODEL, rows, 2, progress=value)


def test_the_command_line_tells_it_beside_what_it_prints(rows, tmp_path, capsys):
    zarr.save_array(tmp_path / "rows.zarr", np.asarray(rows))
    command = ["fit", str(tmp_path / "rows.zarr"), "-k", "2", "--random-state", "0", "--out"]
    printed = []
    for number, option in enumerate([[], ["--progress"], ["--no-progress"]]):
        assert main([*command, str(tmp_path / f"model{number}"), *option]) == 0
        told, errors = capsys.readouterr()
        printed.append([line.split()[:3] for line in told.splitlines()[:-1]])
        assert ("survey" in errors) is (option == ["--progress"])
    assert printed[0] == printed[1] == printed[2]


# Interrupts.


class Interrupted:
    """A model whose user presses Ctrl-C in the third pass."""

    def e_step(self, block, params):
        if params["pass"] == self.at:
            raise KeyboardInterrupt
        return MODEL.e_step(block, params)

    def m_step(self, statistics, params):
        return {**MODEL.m_step(statistics, params), "pass": params["pass"] + 1}

    def __init__(self, at):
        self.at = at


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_an_interrupt_keeps_the_last_result(rows, start):
    counted = {**start, "pass": np.array(0)}
    with pytest.raises(KeyboardInterrupt) as caught:
        daskem.fit(Interrupted(2), rows, start=counted, tol=0)
    kept = caught.value.result
    expected = daskem.fit(Interrupted(9), rows, start=counted, tol=0, max_passes=2)
    assert kept.status is daskem.Status.STOPPED
    assert bits(kept) == bits(expected)
    assert "sys.last_value.result" in caught.value.__notes__[0]
    with pytest.raises(KeyboardInterrupt) as caught:
        daskem.fit(Interrupted(0), rows, start=counted, tol=0)
    assert caught.value.result is None
    assert "nothing is found yet" in caught.value.__notes__[0]


@pytest.fixture
def interruptible():
    """What runs in the background of a shell may have been told to ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_keeps_the_last_result_of_a_cluster(client, rows, start, tmp_path):
    gate = Gate(tmp_path, 2)

    def interrupt():
        gate.reached(2)
        os.kill(os.getpid(), signal.SIGINT)

    hand = threading.Thread(target=interrupt)
    hand.start()
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            daskem.fit(
                gate, chunked(rows), start={**start, "pass": np.array(0)}, tol=0, progress=True
            )
    finally:
        gate.open()
        hand.join()
    assert len(caught.value.result.history) == 2
    assert caught.value.result.status is daskem.Status.STOPPED


# On a cluster.


def test_a_fit_on_the_scheduler_counts_its_partitions(client, rows, start, line, tmp_path):
    gate = Gate(tmp_path, 0)
    data, counted = chunked(rows, 150), {**start, "pass": np.array(0)}
    run = daskem.submit(gate, data, start=counted, max_passes=3, random_state=0)
    gate.reached(0)
    stand = run._watch()
    assert (stand.doing.what, stand.doing.of) == ("e-step", 20)
    assert stand.doing.done < 20
    gate.open()
    with pytest.warns(ConvergenceWarning, match="max_passes"):
        last = run.result()
    assert len(last.history) == 3
    assert [p.n_rows for p in last.history] == [len(rows)] * 3
    again = run._last(line)
    assert bits(again) == bits(last)


def test_who_waits_for_a_submitted_fit_sees_it_too(client, rows, capfd):
    run = daskem.submit(MODEL, chunked(rows), 3, **FIT)
    run.result(progress=True)
    assert "starting" in capfd.readouterr().err


@pytest.mark.usefixtures("client")
def test_what_is_asked_wrongly_leaves_no_traceback_with_the_scheduler(scheduler_file):
    log = scheduler_file.parent / "processes.log"
    before = len(log.read_text())
    with pytest.raises(ParameterError, match="no fit called 'nobody'"):
        daskem.attach("nobody")
    time.sleep(0.1)
    # Dask itself may tell of a client that leaves while it is written to.
    assert "ParameterError" not in log.read_text()[before:]
