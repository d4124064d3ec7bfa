"""The architecture that CONTRIBUTING.md promises: rooms import only from rooms above them, and nothing private."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROOMS = [
    name.removesuffix("/").split("/")[-1] for name in re.findall(r"^\| `((?:synthaug|integrations).*)` \|", TABLE, re.M)
]
FILES = sorted(path for top in ("synthaug", "integrations") for path in (ROOT / top).rglob("*.py"))
# The recommended policy's transform() is an adapter's, which is loaded when it is called.
ALLOWED = {("recommendation", "integrations")}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts).removesuffix(".__init__")
    return name if name.startswith("synthaug") else f"synthaug.{name}"


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of everything that a file imports from synthaug, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # only ever within the file's own folder
                module = f"{module_name(path).rpartition('.')[0]}.{module}".rstrip(".")
            if module.split(".")[0] == "synthaug":
                yield from ((module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "synthaug")


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else None


def test_the_table_names_every_room() -> None:
    folders = {path.parent.name for path in (ROOT / "synthaug").glob("*/__init__.py")}
    assert set(ROOMS) == {*folders, "integrations"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_from_rooms_above_and_nothing_private_of_another_room(path: Path) -> None:
    own = room(module_name(path))
    for module, name in imports(path):
        other = room(f"{module}.{name}" if module == "synthaug" else module)
        if own is None and path.parent.name == "synthaug":
            assert other is None or path.name == "__init__.py", f"the ground floor imports {module}"
        elif own is not None and other is not None and (own, other) not in ALLOWED:
            assert ROOMS.index(other) <= ROOMS.index(own), f"{own} imports {module}, which is below it"
        private = [part for part in (*module.split("."), name) if part.startswith("_") and not part.startswith("__")]
        assert not private or own == other, f"imports {module}.{name}, which is private"


@pytest.mark.parametrize("package", ["synthaug", "synthaug.latent"])
def test_lazy_packages_tell_type_checkers_what_they_load(package: str) -> None:
    found = importlib.import_module(package)
    tree = ast.parse(Path(found.__file__ or "").read_text(encoding="utf-8"))
    typed = next(node for node in tree.body if isinstance(node, ast.If)).body
    told = {alias.name: node.module for node in typed if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == found._HOMES
    assert set(found.__all__) - {"__version__"} == set(told)
