"""The rooms of each package, and which may import which: `docs/architecture.md` says it, this holds it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.test_layers import LAYERS, ROOT, imports

PAGE = ROOT / "docs" / "architecture.md"
MOST = 12
"""Modules and rooms in one folder."""
CATALOGUES = {"plugins/features"}
"""Folders with one module a plugin, however many there are: that is where a plugin is dropped in."""

Arrows = dict[str, set[str]]


def modules_of(root: Path) -> dict[str, Path]:
    """Dotted name → file of every module of the five packages under `root`."""
    files = [path for layer in LAYERS for path in (root / layer).rglob("*.py")]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def module_arrows(modules: Mapping[str, Path]) -> Arrows:
    """Which module imports which, inside functions too."""
    arrows: Arrows = defaultdict(set)
    for module, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        names = {*_imported_names(tree), *(name for _, name in imports(tree))}
        known = {next((part for part in _prefixes(name) if part in modules), module) for name in names} - {module}
        # `from streams import kafka` imports the package as well; the module that it names is the arrow
        arrows[module] |= {name for name in known if not any(other.startswith(f"{name}.") for other in known)}
    return arrows


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(len(parts), 0, -1))


def room_of(module: str) -> str:
    """``streams.kafka`` for every module below it; a module that lies beside the rooms is a room of its own."""
    return ".".join(module.split(".")[:2])


def room_arrows(arrows: Arrows) -> Arrows:
    """Room → the rooms of its own package that it imports."""
    rooms: Arrows = defaultdict(set)
    for module, others in arrows.items():
        for other in others:
            if room_of(module) != room_of(other) and module.split(".")[0] == other.split(".")[0] != room_of(other):
                rooms[room_of(module)].add(room_of(other))
    return rooms


def cycles(arrows: Arrows) -> list[list[str]]:
    """Every group of nodes that reach each other."""
    reach = {node: _reached(arrows, node) for node in arrows}
    groups = {
        tuple(sorted(n for n in reach[node] if node in reach.get(n, ()))) for node in arrows if node in reach[node]
    }
    return sorted(map(list, groups))


def _reached(arrows: Arrows, node: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(arrows.get(node, ()))
    while waiting:
        if (other := waiting.pop()) not in seen:
            seen.add(other)
            waiting += arrows.get(other, ())
    return seen


def crowded(root: Path) -> list[str]:
    """Folders with more modules and rooms than a reader can take in."""
    faults = []
    files = modules_of(root).values()
    for folder in sorted({parent for path in files for parent in path.parents if root in parent.parents}):
        entries = [
            path
            for path in folder.iterdir()
            if (path.suffix == ".py" and path.name != "__init__.py") or (path.is_dir() and any(path.rglob("*.py")))
        ]
        if len(entries) > MOST and folder.relative_to(root).as_posix() not in CATALOGUES:
            faults.append(f"{folder.relative_to(root).as_posix()}: {len(entries)} modules and rooms, at most {MOST}")
    return faults


def documented(page: str) -> Arrows:
    """Room → the rooms that it may import: the rows ``| `streams.kafka` | … | `a`, `b` | … |`` of the page."""
    rows = re.findall(r"^\| `([a-z_.]+)` \|[^|]*\| ([^|]*) \|", page, re.MULTILINE)
    return {
        room: {f"{room.split('.')[0]}.{name}" for name in re.findall(r"`([a-z_]+)`", allowed)} for room, allowed in rows
    }


def violations(root: Path, allowed: Arrows) -> list[str]:
    """``module imports module: room must not import room`` for every arrow that the page does not allow."""
    return [
        f"{module} imports {other}: {room_of(module)} must not import {room_of(other)}"
        for module, others in sorted(module_arrows(modules_of(root)).items())
        if "." in module and not module.endswith("__main__")
        for other in sorted(others)
        if room_of(other) in room_arrows({module: {other}}).get(room_of(module), ())
        and room_of(other) not in allowed.get(room_of(module), ())
    ]


def test_rooms_import_only_what_the_page_allows() -> None:
    assert violations(ROOT, documented(PAGE.read_text())) == []


def test_the_page_names_every_room_and_no_arrow_too_many() -> None:
    modules = modules_of(ROOT)
    there = {room_of(module) for module in modules if "." in module and not module.endswith("__main__")}
    page, real = documented(PAGE.read_text()), room_arrows(module_arrows(modules))
    assert page.keys() == there
    assert {room: page[room] - real.get(room, set()) for room in page if page[room] - real.get(room, set())} == {}


def test_no_module_and_no_room_imports_itself_in_a_circle() -> None:
    arrows = module_arrows(modules_of(ROOT))
    assert cycles(room_arrows(arrows)) == []
    # A package that re-exports imports its modules, and they may import each other.
    assert (
        cycles({module: {o for o in others if not module.startswith(f"{o}.")} for module, others in arrows.items()})
        == []
    )


def test_no_folder_is_a_drawer() -> None:
    assert crowded(ROOT) == []


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("streams/kafka/a.py", "from streams.owners.b import c\n", "streams.kafka must not import streams.owners"),
        (
            "streams/kafka/a.py",
            "def f():\n    import streams.owners.b\n",
            "streams.kafka must not import streams.owners",
        ),
        ("streams/kafka/deep/a.py", "from streams.owners import b\n", "streams.kafka must not import streams.owners"),
    ],
)
def test_a_planted_violation_is_reported(tmp_path: Path, file: str, source: str, fault: str) -> None:
    for name, text in ((file, source), ("streams/owners/b.py", "c = 1\n"), ("streams/owners/__init__.py", "")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (line,) = violations(tmp_path, {"streams.owners": {"streams.kafka"}})
    assert line.endswith(fault)
    assert violations(tmp_path, {"streams.kafka": {"streams.owners"}}) == []


def test_a_planted_circle_is_reported() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert cycles({"a": {"b"}, "b": {"c"}}) == []


def test_a_planted_drawer_is_reported(tmp_path: Path) -> None:
    for number in range(MOST + 1):
        (tmp_path / "streams" / f"room{number}").mkdir(parents=True)
        (tmp_path / "streams" / f"room{number}" / "__init__.py").write_text("")
    assert crowded(tmp_path) == ["streams: 13 modules and rooms, at most 12"]
