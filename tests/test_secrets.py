"""What may be a secret in a URL is found nowhere after a fit that fails."""

import contextlib
import subprocess
import sys
import time
import traceback
from ipaddress import ip_address

import dask.array as da
import fsspec
import numpy as np
import psutil
import pytest
import zarr
from samples import overlapping

import daskem
from daskem import Gaussian, Mixture
from daskem.core.addresses import hidden
from daskem.errors import DaskemError, DataReadError, MissingChunksError

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
CANARY = "c4n4ry-s3cr3t"
MODEL = Mixture(Gaussian("diag"))
SHORT = {"n_components": 2, "random_state": 0, "max_passes": 2}
# Nobody answers there.
URLS = [
    f"ftp://user:{CANARY}@127.0.0.1:9/rows.zarr",
    f"ftp://127.0.0.1:9/rows.zarr?signature={CANARY}",
    f"simplecache::ftp://user:{CANARY}/with@127.0.0.1:9/rows.zarr",
    f"nosuchscheme://user:{CANARY}@127.0.0.1/rows.zarr?a={CANARY}",
]


def all_of(error):
    """All that a traceback, a log or a pickle could show of an error."""
    shown = "".join(traceback.format_exception(error))
    return "\n".join([shown, repr(error), str(vars(error))])


@pytest.mark.parametrize("url", URLS)
def test_errors_name_the_place_and_not_the_secret(url):
    rows = overlapping(100)
    result = daskem.fit(MODEL, rows, **SHORT)
    for attempt in (
        lambda: daskem.fit(MODEL, url, **SHORT),
        lambda: daskem.select(url, [1, 2]),
        lambda: daskem.fit(MODEL, rows, sample_weight=None, checkpoint=url, **SHORT),
        lambda: daskem.resume(url, rows),
        lambda: result.save(url),
        lambda: daskem.load(url),
    ):
        with pytest.raises(DaskemError, match="127") as caught:
            attempt()
        assert CANARY not in all_of(caught.value)
        assert "user:" not in all_of(caught.value)


def test_options_of_a_store_are_nowhere(tmp_path):
    """Neither where all goes well nor where a chunk is damaged or missing."""
    options, rows = {"storage_options": {"token": CANARY}}, overlapping(100)
    url = f"memory://{tmp_path.name}/rows.zarr"
    array = zarr.create_array(url, shape=rows.shape, chunks=(50, 2), dtype="f8", **options)
    array[:] = rows
    kept = f"memory://{tmp_path.name}/kept"
    seen = [repr(daskem.fit(MODEL, array, checkpoint=kept, **SHORT).notes)]
    store = fsspec.filesystem("memory")
    seen += [str(store.cat(name)) for name in store.find(kept)]
    store.pipe(f"/{tmp_path.name}/rows.zarr/c/1/0", b"nonsense")
    with pytest.raises(DataReadError, match=r"chunk 0, from row 0 on, of .*zarr") as damaged:
        daskem.fit(MODEL, array, **SHORT)
    store.rm(f"/{tmp_path.name}/rows.zarr/c/1/0")
    with pytest.raises(MissingChunksError, match="lacks 1 of 2 chunks") as missing:
        daskem.fit(MODEL, array, **SHORT)
    seen += [all_of(damaged.value), all_of(missing.value)]
    assert len(seen) > 3
    assert not [text for text in seen if CANARY in text]


def test_what_a_reader_says_of_a_url_is_hidden():
    def read(block):
        raise ValueError(f"403 of https://user:{CANARY}@host/a/b.zarr?signature={CANARY} sorry")

    whole = da.from_array(np.ones((10, 2)), (5, 2))
    rows = whole.map_blocks(read, dtype=float, meta=np.ones((0, 0)))
    with pytest.raises(DataReadError, match=r"403 of https://host/a/b\.zarr sorry") as caught:
        daskem.fit(MODEL, rows, **SHORT)
    assert CANARY not in all_of(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/user@host/a?b.zarr", "/home/user@host/a?b.zarr"),
        ("C:\\data\\rows.zarr", "C:\\data\\rows.zarr"),
        ("s3://bucket/a.zarr", "s3://bucket/a.zarr"),
        ("https://u:p@h/a.zarr?x=1", "https://h/a.zarr"),
        ("https://u:p/q@r@h/a", "https://h/a"),
        (
            "no 'https://u:p@h/a?x=1' there, nor ftp://v@g/b",
            "no 'https://h/a' there, nor ftp://g/b",
        ),
    ],
)
def test_what_is_hidden(text, shown):
    assert hidden(text) == shown


@pytest.mark.torture
def test_no_socket_leaves_this_machine_while_the_demo_runs(tmp_path):
    command = [sys.executable, "-m", "daskem.cli", "demo", "--rows", "200000", "--out"]
    demo = psutil.Popen([*command, str(tmp_path / "demo")], stdout=subprocess.DEVNULL)
    seen = set()
    while demo.poll() is None:
        with contextlib.suppress(psutil.Error):
            for process in (demo, *demo.children(recursive=True)):
                for socket in process.net_connections("inet"):
                    seen |= {end.ip for end in (socket.laddr, socket.raddr) if end}
        time.sleep(0.05)
    assert demo.returncode == 0
    assert seen
    assert all(ip_address(ip).is_loopback for ip in seen), seen
