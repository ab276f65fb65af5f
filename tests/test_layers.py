"""The layers of ``pages/__init__.py`` hold: every module stands in them, and imports never point up."""

import ast
import re
from pathlib import Path

import pytest

import pages

PACKAGE = Path(pages.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
WEB_LIBRARIES = {"flask", "flask_httpauth"}
# Each of these is one unit, whatever its files are.
UNIT_PACKAGES = {"archive", "database", "doctor", "languages", "rules", "verify"}


def layers() -> list[list[str]]:
    """The modules in each line of the drawing, from the top."""
    assert pages.__doc__
    return [re.split(r",?\s+", line.strip()) for line in pages.__doc__.partition("::")[2].splitlines() if line.strip()]


def unit_of(path: Path) -> str | None:
    """A source file's name in the drawing; None for what is only a package's door."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] in UNIT_PACKAGES:
        return parts[0]
    return None if parts[-1].startswith("__") else ".".join(parts)


def imported(path: Path) -> set[str]:
    """The full names of all modules that a source imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def units_imported(path: Path) -> set[str]:
    """Those of our own modules that a source imports, as the drawing calls them."""
    units = {unit for source in SOURCES if (unit := unit_of(source))}
    ours = {name.removeprefix("pages.") for name in imported(path) if name.startswith("pages.")}
    return units & ours | UNIT_PACKAGES & {name.partition(".")[0] for name in ours}


def test_every_module_stands_in_the_layers() -> None:
    drawn = {name for line in layers() for name in line}
    assert drawn == {unit for source in SOURCES if (unit := unit_of(source))}


def test_no_module_stands_in_two_layers() -> None:
    drawn = [name for line in layers() for name in line]
    assert len(drawn) == len(set(drawn))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_no_import_points_up(source: Path) -> None:
    level = {name: number for number, line in enumerate(layers()) for name in line}
    unit = unit_of(source)
    if unit is None or unit not in level:
        return
    assert [name for name in units_imported(source) if level.get(name, level[unit]) < level[unit]] == []


def test_modules_do_not_import_in_a_circle() -> None:
    below = {}
    for source in SOURCES:
        if unit := unit_of(source):
            below[unit] = below.get(unit, set()) | units_imported(source) - {unit}
    while free := [unit for unit, needs in below.items() if not needs & below.keys()]:
        below = {unit: needs for unit, needs in below.items() if unit not in free}
    assert below == {}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(PACKAGE)))
def test_only_the_web_layer_and_app_import_flask(source: Path) -> None:
    unit = unit_of(source) or ""
    if unit == "app" or unit.startswith("web."):
        return
    assert {name.partition(".")[0] for name in imported(source)} & WEB_LIBRARIES == set()
