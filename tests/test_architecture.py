"""Imports point downwards, as the house is drawn."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "daskem"

# From the ground up. Rooms of one floor are separated by walls, except on the floors of OPEN.
FLOORS = [
    {"errors"},
    {"numerics", "signatures"},
    {"parameters", "statistics", "frames"},
    {"families"},
    {"models"},
    {"blocks"},
    {"algorithms", "seeding", "thinning"},
    {"fitting"},
    {"starts", "heldout", "criteria"},
    {"competition"},
    {"answers", "columns", "labels", "targets"},
    {"door", "report", "modelfile", "differences"},
    {"result"},
    {"plot", "remote", "search"},
    {"coordinator", "merging", "diagnostics", "testing"},
    {"estimators", "planning", "selection"},
    {"demo", "cli", "__main__", "arguments"},
]
OPEN = [{"demo", "cli", "__main__", "arguments"}]
WALLS = {("blocks", "models"), ("blocks", "families"), ("starts", "models"), ("models", "blocks")}
WALLS |= {("seeding", "models")}
OPTIONAL = {"matplotlib", "sklearn", "tqdm", "pandas", "PIL", "pyarrow"}
# What knows arrays only.
PURE = {"errors", "numerics", "statistics", "parameters", "frames", "families", "models"}
PURE |= {"algorithms", "fitting"}
OUTSIDE = {"dask", "distributed", "fsspec", "zarr", "xarray"}


def imports(tree: ast.AST, module: str, package: bool) -> list[tuple[str, bool]]:
    """Full names of what a module imports, and whether as it is itself imported."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: None if package else -1]
            parents = parents[: len(parents) + 1 - node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(name, id(node) not in inside) for name in names]
    return found


def modules(root: Path = ROOT) -> dict[str, list[tuple[str, bool]]]:
    """What every module of the package imports."""
    found = {}
    for path in root.rglob("*.py"):
        parts = ["daskem", *path.relative_to(root).with_suffix("").parts]
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        found[name] = imports(ast.parse(path.read_text()), name, package)
    return found


def room(module: str) -> str | None:
    """The room of a full name, or None for the roof and for what is not ours."""
    parts = module.split(".")
    return parts[1] if parts[0] == "daskem" and len(parts) > 1 else None


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


def violations(found: dict[str, list[tuple[str, bool]]]) -> list[str]:
    """Imports that do not point downwards, or through a wall; those in functions too."""
    wrong = []
    for module, names in found.items():
        here = room(module)
        for name, _ in names if here else []:
            there = room(name)
            if name == "daskem" or (
                name.startswith("daskem.") and there not in set().union(*FLOORS)
            ):
                wrong.append(f"{module} imports {name}, which is in no room")
            elif there is None or there == here:
                continue
            elif (here, there) in WALLS:
                wrong.append(f"{module} imports {name} through a wall")
            elif floor(there) > floor(here) or (
                floor(there) == floor(here) and FLOORS[floor(here)] not in OPEN
            ):
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


def test_every_room_has_a_floor():
    known = set().union(*FLOORS)
    assert {room(module) for module in modules()} - {None} <= known


def test_imports_point_downwards():
    assert violations(modules()) == []


def test_no_module_imports_itself_in_a_circle():
    assert cycles(modules()) == []


def test_optional_packages_are_imported_where_they_are_needed():
    early = [
        (module, name)
        for module, names in modules().items()
        for name, at_the_top in names
        if at_the_top and name.split(".")[0] in OPTIONAL
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


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("daskem.families.gaussian", "from daskem.models import Mixture"),
        ("daskem.models.mixture", "import daskem.blocks.block"),
        ("daskem.blocks.dask", "from daskem.models import Mixture"),
        ("daskem.blocks.dask", "from ..models import Mixture"),
        ("daskem.errors", "def f():\n    from daskem.result import Result"),
        ("daskem.frames", "from daskem import fit"),
        ("daskem.labels", "import daskem"),
        ("daskem.algorithms.em", "from daskem import starts"),
        ("daskem.fitting", "if True:\n    from daskem.coordinator import fit"),
    ],
)
def test_a_wrong_import_would_be_noticed(module, code):
    assert violations({module: imports(ast.parse(code), module, package=False)})


def test_an_import_downwards_is_no_violation():
    code = "import numpy\nfrom daskem.parameters import check\nfrom .exponential import f"
    found = imports(ast.parse(code), "daskem.families.gaussian", package=False)
    assert violations({"daskem.families.gaussian": found}) == []


def test_a_circle_would_be_noticed():
    late = ast.parse("def load():\n    from daskem.result import Result")
    found = {
        "daskem.modelfile": imports(late, "daskem.modelfile", package=False),
        "daskem.result": [("daskem.modelfile.save", True)],
    }
    assert cycles(found)
    assert violations(found)
