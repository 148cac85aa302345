"""Where a line of progress is shown: a terminal, a notebook, a bar of tqdm, a log, or nowhere."""

import importlib.util
import sys
import threading
import warnings
from shutil import get_terminal_size
from typing import Any, Protocol, TextIO

from daskem.errors import ParameterError

# Whether to show how far a fit has come; "auto" does where somebody looks: terminals, notebooks.
Progress = bool | str
PROGRESS = ("auto", True, False)


class Screen(Protocol):
    """What shows one line at a time."""

    def show(self, head: str, done: int, of: int, tail: str) -> None:
        """Show this in the place of what was there: what is done, its parts, what is known."""

    def clear(self) -> None:
        """Show nothing, so that somebody else may print."""

    def close(self, text: str) -> None:
        """Show a last line for good, or nothing."""


def screen(progress: Progress) -> Screen | None:
    """Where the setting says that progress is shown; None for nowhere.

    Raises
    ------
    ParameterError
        If it is no such setting.
    """
    if not any(progress is known or progress == known for known in PROGRESS):
        raise ParameterError(f"progress={progress!r} is not one of {list(PROGRESS)}")
    # Elsewhere than in the main thread a fit is somebody's task, and several may be at work.
    looked_at = threading.current_thread() is threading.main_thread()
    notebook, terminal = _in_notebook(), sys.stderr is not None and sys.stderr.isatty()
    if progress is False or (progress == "auto" and not (looked_at and (notebook or terminal))):
        return None
    if not (notebook or terminal):
        return Log(sys.stderr)
    # Without widgets a bar is a line of its own in a notebook for each time that it moved.
    needed = ("tqdm", "ipywidgets") if notebook else ("tqdm",)
    if all(importlib.util.find_spec(name) is not None for name in needed):
        return Bar()
    return Notebook() if notebook else Terminal(sys.stderr)


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and "IPKernelApp" in shell.config


def words(head: str, done: int, of: int, tail: str) -> str:
    """All of it as one text."""
    unit = "" if head == "starts" else " partitions"
    parts = f"{done:,} of {of:,}{unit}" if of > 1 else ""
    return ", ".join(filter(None, [f"{head}: {parts}" if parts else head, tail]))


class Terminal:
    """A line that is written over and over."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._length = stream, 0

    def show(self, head: str, done: int, of: int, tail: str) -> None:
        self._write(words(head, done, of, tail))

    def clear(self) -> None:
        if self._length:
            self._stream.write("\r" + " " * self._length + "\r")
            self._stream.flush()
            self._length = 0

    def close(self, text: str) -> None:
        self.clear()
        if text:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def _write(self, text: str) -> None:
        text = text[: get_terminal_size().columns - 1]
        self._stream.write("\r" + text.ljust(self._length))
        self._stream.flush()
        self._length = len(text)


class Log:
    """A line for each thing that is begun, where nothing can be written over."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream, self._last = stream, ""

    def show(self, head: str, done: int, of: int, tail: str) -> None:
        if head != self._last:
            print(words(head, 0, 0, tail), file=self._stream, flush=True)
        self._last = head

    def clear(self) -> None:
        pass

    def close(self, text: str) -> None:
        if text:
            print(text, file=self._stream, flush=True)


class Notebook:
    """An output of a cell, which is replaced."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, head: str, done: int, of: int, tail: str) -> None:
        self._put(words(head, done, of, tail))

    def clear(self) -> None:
        pass

    def close(self, text: str) -> None:
        if text or self._handle is not None:
            self._put(text)

    def _put(self, text: str) -> None:
        from IPython.display import display

        data = {"text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


class Bar:
    """A bar of tqdm, in terminals and notebooks."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # Old widgets are told, and do.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
        form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
        # Some terminals say that they have no room at all, and tqdm believes them.
        width, height = (None, None) if _in_notebook() else get_terminal_size()
        self._bar: Any = tqdm(bar_format=form, total=1, leave=False, ncols=width, nrows=height)

    def show(self, head: str, done: int, of: int, tail: str) -> None:
        if of != self._bar.total:
            self._bar.reset(total=max(of, 1))
        self._bar.n = done
        self._bar.set_description_str(head, refresh=False)
        self._bar.set_postfix_str(tail, refresh=False)
        self._bar.refresh()

    def clear(self) -> None:
        self._bar.clear()

    def close(self, text: str) -> None:
        self._bar.close()
        if text:
            self._bar.write(text, file=sys.stderr)
