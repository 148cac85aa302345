"""What modules import, as their text says."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "daskem"


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
