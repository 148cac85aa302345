"""Imports point downwards, as the house is drawn."""

import ast
import graphlib
import re

import pytest
from imports import ROOT, imports, modules

# The nine rooms, from the ground up: each may import those before it.
ROOMS = ["core", "data", "models", "fitting", "testing", "results", "running", "selection", "cli"]
# Flat files: below all rooms, above them, and the faces that hand names on.
GROUND, ROOF, FACES = "errors", "estimators", {"parameters"}
# Inside a room: from the ground up again, where there is more than one floor.
INSIDE = {
    "data": ["cluster", "blocks", "survey", "inputs"],
    "models": [
        *("views", "protocol", "asking", "kernels", "families", "known", "boxes", "composed"),
        *("mixture", "steps", "hiddenmarkov", "recipes", "clusters", "heldout"),
    ],
    "fitting": [
        *(
            "algorithms",
            "record",
            "probe",
            "stopping",
            "confirming",
            "sample_leap",
            "run",
            "dropping",
            "loop",
        ),
        "starts",
    ],
}
# Rooms that lie above one another and yet do not see each other.
WALLS = {("models", "data"), *((room, "testing") for room in ROOMS)}
OPTIONAL = {
    *("matplotlib", "sklearn", "tqdm", "pandas", "PIL", "pyarrow"),
    *("numba", "llvmlite", "cupy"),
}
# What takes a second of every process that imports it, as workers do; the command line may.
SLOW = ("scipy.stats", "scipy.optimize")
# Where one of them is everywhere: folders that are imported as such a package is.
MACHINES = ("daskem.models.kernels.machine", "daskem.models.kernels.device")
# What knows arrays only.
PURE = {"errors", "core", "models", "fitting"}
OUTSIDE = {"dask", "distributed", "fsspec", "zarr", "xarray"}
# What sums over data, but does not know where they are stored.
BLOCKS, STORES = ("cluster", "blocks", "survey"), {"zarr", "xarray"}


def room(module: str) -> str | None:
    """The room, or the flat file, of a full name; None for the roof and for what is not ours."""
    parts = module.split(".")
    return parts[1] if parts[0] == "daskem" and len(parts) > 1 else None


def floor(name: str) -> int:
    return [GROUND, *ROOMS, ROOF].index(name)


def part(module: str) -> int | None:
    """The floor of a module inside its room; None where the room has one floor, or for its face."""
    parts = module.split(".")
    order = INSIDE.get(parts[1], [])
    return order.index(parts[2]) if len(parts) > 2 and parts[2] in order else None


def violations(found: dict[str, list[tuple[str, bool]]]) -> list[str]:
    """Imports that do not point downwards, or through a wall; those in functions too."""
    wrong = []
    for module, names in found.items():
        here = room(module)
        for name, _ in names if here and here not in FACES else []:
            there = room(name)
            if name == "daskem" or (
                name.startswith("daskem.") and there not in (GROUND, *ROOMS, ROOF)
            ):
                wrong.append(f"{module} imports {name}, which is in no room")
            elif there is None:
                continue
            elif here == there:
                own, other = part(module), part(name)
                if own is not None and other is not None and other > own:
                    wrong.append(f"{module} imports {name}, which is not below it in its room")
            elif (here, there) in WALLS:
                wrong.append(f"{module} imports {name} through a wall")
            elif floor(there) > floor(here):
                wrong.append(f"{module} imports {name}, which is not below it")
    return wrong


def cycles(found: dict[str, list[tuple[str, bool]]]) -> list[str]:
    """Modules that import each other in a circle, at the top or inside functions."""
    graph = {
        module: {
            target
            for name, _ in names
            for target in (name, name.rpartition(".")[0])
            if target in found and target not in ("daskem", module)
        }
        for module, names in found.items()
    }
    # A package's __init__ gathers its modules; they do not look at it.
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_is_in_a_room():
    known = {GROUND, *ROOMS, ROOF, *FACES}
    assert {room(module) for module in modules()} - {None} <= known
    lost = [
        module
        for module in modules()
        if room(module) in INSIDE and module.count(".") > 1 and part(module) is None
    ]
    assert lost == []


def test_few_files_lie_flat():
    assert len(list(ROOT.glob("*.py"))) <= 5


def test_the_house_is_drawn_as_it_stands():
    """By README, from the roof down, with the folders inside; by CONTRIBUTING, from the ground."""
    readme, contributing = (
        (ROOT.parent / f"{n}.md").read_text() for n in ("README", "CONTRIBUTING")
    )
    drawn = [re.findall(r"(\w+)/", line) for line in re.findall(r"^\w+/.*", readme, re.MULTILINE)]
    assert [line[0] for line in drawn] == ROOMS[::-1]
    assert re.findall(r"^\| `(\w+)`", contributing, re.MULTILINE) == ROOMS
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == {*ROOMS, ROOF}
    parts = {path.parent.name for path in ROOT.glob("*/*/__init__.py")}
    assert {part for _, *inside in drawn for part in inside} <= {*parts, ROOF}


def test_every_room_says_what_lives_there():
    faces = [ast.parse(path.read_text()) for path in ROOT.rglob("__init__.py")]
    assert all(ast.get_docstring(face) for face in faces)


def test_imports_point_downwards():
    assert violations(modules()) == []


def test_no_module_imports_itself_in_a_circle():
    assert cycles(modules()) == []


def test_optional_packages_are_imported_where_they_are_needed():
    early = [
        (module, name)
        for module, names in modules().items()
        for name, at_the_top in names
        if at_the_top and not module.startswith(MACHINES)
        if name.split(".")[0] in OPTIONAL or name.startswith(MACHINES)
    ]
    assert early == []


def test_what_is_slow_to_import_is_imported_where_it_is_needed():
    early = [
        (module, name)
        for module, names in modules().items()
        for name, at_the_top in names
        if at_the_top and room(module) != "cli" and name.startswith(SLOW)
    ]
    assert early == []


def test_inference_sees_arrays_only():
    seen = [
        (module, name)
        for module, names in modules().items()
        for name, _ in names
        if room(module) in PURE and name.split(".")[0] in OUTSIDE
    ]
    assert seen == []


def test_blocks_know_no_stores():
    seen = [
        (module, name)
        for module, names in modules().items()
        for name, _ in names
        if module.startswith(tuple(f"daskem.data.{part}" for part in BLOCKS))
        if name.split(".")[0] in STORES
    ]
    assert seen == []


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("daskem.models.families.gaussian", "from daskem.models.mixture import Mixture"),
        ("daskem.models.kernels.product", "from daskem.models.families import Gaussian"),
        ("daskem.models.mixture", "import daskem.data.blocks.block"),
        ("daskem.data.blocks.dask", "from daskem.models import Mixture"),
        ("daskem.data.blocks.dask", "from ...models import Mixture"),
        ("daskem.data.blocks.dask", "from daskem.data.inputs import as_blocks"),
        ("daskem.data.cluster.waiting", "from daskem.data.blocks.dask import DaskBlocks"),
        ("daskem.errors", "def f():\n    from daskem.results.result import Result"),
        ("daskem.core.frames", "from daskem import fit"),
        ("daskem.data.inputs.names", "import daskem"),
        ("daskem.fitting.algorithms.em", "from daskem.fitting import starts"),
        ("daskem.fitting.loop", "if True:\n    from daskem.running.coordinator import fit"),
        ("daskem.running.coordinator", "from daskem.testing import check_model"),
        ("daskem.running.coordinator", "from daskem.parameters import check"),
    ],
)
def test_a_wrong_import_would_be_noticed(module, code):
    assert violations({module: imports(ast.parse(code), module, package=False)})


def test_an_import_downwards_is_no_violation():
    code = "import numpy\nfrom daskem.core.parameters import check\nfrom ..kernels import f"
    found = imports(ast.parse(code), "daskem.models.families.gaussian", package=False)
    assert violations({"daskem.models.families.gaussian": found}) == []


def test_a_circle_would_be_noticed():
    late = ast.parse("def load():\n    from daskem.results.result import Result")
    found = {
        "daskem.results.modelfile": imports(late, "daskem.results.modelfile", package=False),
        "daskem.results.result": [("daskem.results.modelfile.save", True)],
    }
    assert cycles(found)


def test_the_page_of_formulas_points_to_what_is_there():
    page = ROOT / "models" / "formulas.md"
    links = re.findall(r"\]\(([^)]*)\)", page.read_text())
    assert len(links) > 10
    assert [link for link in links if not (page.parent / link).exists()] == []
