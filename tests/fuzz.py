"""Wrong files, of models and of checkpoints: flipped, cut, lost, exchanged, or forged with sound
digests. Reading them ends with a documented error or a fit, in little memory, and executes nothing.

    python tests/fuzz.py FOLDER TIMES
"""

import contextlib
import json
import random
import resource
import shutil
import sys
import traceback
from pathlib import Path

import numpy as np
import xarray as xr

import daskem
from daskem import Gaussian, HiddenMarkov, Mixture
from daskem.errors import CheckpointError, DaskemError, ModelFileError, StoreNotFoundError
from daskem.results import modelfile
from daskem.running.checkpoints.container import decode, encode
from daskem.running.checkpoints.recording import saved
from daskem.running.resuming import resumed

# What a file might make a process do; modules of ours and of what we use are imported already.
FORBIDDEN = ("import", "exec", "compile", "pickle.find_class", "subprocess.Popen", "os.system")
FORBIDDEN += ("os.exec", "os.posix_spawn", "os.fork", "ctypes.dlopen", "socket.connect")
MOST_BYTES = 256e6
ODD = [None, True, -1, 0, 3, 1e308, float("nan"), "", "a", "full", [], [[1]], {}, {"a": 1}, 2**40]


def mutated(rng, value):
    """A value that JSON can hold, one part of which is another one, or gone, or there twice."""
    if rng.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return rng.choice(ODD)
    if isinstance(value, list):
        i = rng.randrange(len(value))
        how = rng.choice(["change", "drop", "repeat"])
        inner = [mutated(rng, value[i])] if how == "change" else [value[i]] * (2 * (how != "drop"))
        return [*value[:i], *inner, *value[i + 1 :]]
    key = rng.choice(list(value))
    rest = {k: v for k, v in value.items() if k != key}
    return rest if rng.random() < 0.2 else {**rest, key: mutated(rng, value[key])}


def mutated_array(rng, array):
    """The same of an array: its shape, its type, some of its values."""
    how = rng.choice(["cut", "wider", "flat", "nan", "huge", "negative", "ints", "text", "none"])
    if array.ndim and how in ("cut", "wider"):
        axis = rng.randrange(array.ndim)
        return array.take(
            range(array.shape[axis] + (1 if how == "wider" else -1)), axis, mode="wrap"
        )
    made = {"flat": array.ravel, "ints": lambda: array.astype(int), "none": lambda: array[None]}
    if how in made:
        return made[how]()
    if how == "text":
        return array.astype(str)
    spoilt = np.array(array, float)
    spoilt.flat[rng.randrange(max(spoilt.size, 1)) if spoilt.size else slice(0)] = {
        "nan": np.nan,
        "huge": 1e300,
        "negative": -1.0,
    }.get(how, 0.0)
    return spoilt


def mutate_bytes(rng, folder):
    """Flip, cut, empty, remove or exchange files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    one, other = rng.choice(files), rng.choice(files)
    content = bytearray(one.read_bytes())
    how = rng.choice(["flip", "cut", "empty", "remove", "exchange", "json", "long"])
    if how == "flip" and content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    if how == "cut":
        content = content[: rng.randrange(len(content) + 1)]
    if how == "json":
        with contextlib.suppress(ValueError):
            content = json.dumps(mutated(rng, json.loads(content))).encode()
    content = {"empty": b"", "exchange": other.read_bytes(), "long": content * 3}.get(how, content)
    one.unlink() if how == "remove" else one.write_bytes(content)


def forge_model(rng, place, sound):
    """A model file whose digest is right, and whose content is not."""
    about, state, readable = modelfile.read(sound)
    about = {k: v for k, v in about.items() if k != "format"}
    state = {n: (v.dims, v.to_numpy()) for n, v in state.variables.items()}
    if rng.random() < 0.6:
        about = mutated(rng, about)
    else:
        name = rng.choice(list(state))
        array = mutated_array(rng, state[name][1])
        state[name] = (tuple(f"{name}_{i}" for i in range(array.ndim)), array)
    try:
        modelfile.write(place, about, xr.Dataset(state), readable)
    except Exception:  # Not even a forger can write it.
        return False
    return True


def check_memory(error):
    """Raise the cause of an error if that is that memory was not enough."""
    if isinstance(error.__cause__, MemoryError):
        raise error.__cause__


def look_at_model(place, rows):
    try:
        result = daskem.load(place)
    except (ModelFileError, StoreNotFoundError) as error:
        check_memory(error)
        return "refused"
    with contextlib.suppress(DaskemError):
        str(result), result.predict(rows)
    return "loaded"


def forge_checkpoint(rng, place, sound):
    file = sorted(sound.glob("*.checkpoint"))[-1]
    about, arrays = decode(file.read_bytes(), "it")
    if rng.random() < 0.6:
        about = mutated(rng, about)
    else:
        name = rng.choice(list(arrays))
        array = mutated_array(rng, arrays[name])
        arrays[name] = array if array.dtype.kind in "biuf" else arrays[name]
    place.mkdir()
    (place / file.name).write_bytes(encode(about, arrays))
    return True


def look_at_checkpoint(place, rows):
    try:
        # One pass: how many more there are to be may be forged as well.
        next(resumed(saved(str(place)), place, rows).results("here"), None)
    except CheckpointError as error:
        check_memory(error)
        return "refused"
    except DaskemError as error:  # What goes on from forged params may end as any fit does.
        return type(error).__name__
    return "resumed"


def modules_above(frame):
    """The names of the modules that have called, from a frame on."""
    while frame is not None:
        yield frame.f_globals.get("__name__")
        frame = frame.f_back


def watch(found):
    """Note what must not happen while `found` is a list with a label."""
    known = set(sys.modules)

    def hook(event, args):
        if found[-1:] and event in FORBIDDEN and not (event == "import" and args[0] in known):
            caller = sys._getframe(1)
            if event in ("exec", "compile") and "importlib" in caller.f_code.co_filename:
                return
            # Tracebacks parse the lines that they show, also those of errors that nobody waits for.
            if event == "compile" and "traceback" in set(modules_above(caller)):
                return
            found.append(f"{event} {str(args)[:200]} in {caller.f_code.co_filename}")

    sys.addaudithook(hook)


def main(folder, times):
    rng, rows, watched, seen = (
        random.Random(0),
        np.random.default_rng(0).normal(size=(60, 2)),
        [],
        {},
    )
    options = {"random_state": 0, "tol": 1e-3, "max_passes": 4}
    kinds = {
        "mixture": (Mixture(Gaussian(resolution=0)), {}),
        "chain": (HiddenMarkov(Gaussian("diag")), {"lengths": [30, 30]}),
    }
    for name, (model, more) in kinds.items():
        daskem.fit(model, rows, 2, **options, **more).save(folder / name)
        look_at_model(folder / name, rows)
    next(daskem.iterate(kinds["mixture"][0], rows, 2, checkpoint=folder / "kept", **options))
    shutil.copytree(folder / "kept", folder / "once")
    look_at_checkpoint(folder / "once", rows)
    for _ in range(20):  # Of whatever errors import when they are first raised.
        with contextlib.suppress(Exception):
            once(rng, folder, rows, kinds, seen={})
    watch(watched)
    # What wants far more fails, and does not take the machine with it; threads want address space.
    used = 1024 * int(Path("/proc/self/status").read_text().partition("VmSize:")[2].split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**32, -1))
    least = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for number in range(times):
        watched.append(str(number))
        try:
            once(rng, folder, rows, kinds, seen)
            error = None
        except Exception as raised:
            error = raised
        executed, watched[:] = watched[1:], []
        if error is not None:
            print(f"number {number}:\n{''.join(traceback.format_exception(error))}")
            seen["unnamed"] = seen.get("unnamed", 0) + 1
        if executed:
            print(f"number {number}: executed {executed}")
            seen["executed"] = seen.get("executed", 0) + 1
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - least
    print(json.dumps(seen), f"{more / 1e6:.0f} MB")
    return "unnamed" in seen or "executed" in seen or more > MOST_BYTES


def once(rng, folder, rows, kinds, seen):
    """One wrong file."""
    place = folder / "wrong"
    shutil.rmtree(place, ignore_errors=True)
    of = rng.choice([*kinds, "kept"])
    if rng.random() < 0.5:
        shutil.copytree(folder / of, place)
        mutate_bytes(rng, place)
    elif not (forge_checkpoint if of == "kept" else forge_model)(rng, place, folder / of):
        return
    told = (look_at_checkpoint if of == "kept" else look_at_model)(place, rows)
    seen[told] = seen.get(told, 0) + 1


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
