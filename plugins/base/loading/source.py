"""The hash of a plugin's source: with key and version its identity, so that edited code is never taken for the old."""

import ast
import gc
import hashlib
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path

BUILT_IN = "plugins"
"""The package of the built-in plugins; of theirs only what is in their own folder counts."""
_remembered: dict[str, str | None] = {}


def remember(module: str) -> None:
    """Notes the source of a module that registers a plugin: what is edited from now on does not run in this process.
    Nobody edits the built-in ones under a running process, so theirs are read when they are asked for.
    """
    _remembered.pop(module, None)
    if module.partition(".")[0] != BUILT_IN:
        source_sha256(module)


def source_sha256(module: str) -> str | None:
    """SHA-256 of a module and of what it imports, directly or not, from its own folder (of an installed package: from
    that package), as they were when it registered a plugin. None where there is no file, as for code that was typed in.

    What does nothing does not count: comments, docstrings, empty lines. The hash does not depend on where the folder
    lies, nor on the Python version.
    """
    if module not in _remembered:
        path = getattr(sys.modules.get(module), "__file__", None)
        _remembered[module] = _hash_of(module, Path(path)) if path and Path(path).is_file() else None
    return _remembered[module]


def _hash_of(module: str, path: Path) -> str:
    root, package = _own_folder(module, path)
    digest = hashlib.sha256()
    for file in sorted(_reached(path, root, package)):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + _read(file).sha256 + b"\0")
    return digest.hexdigest()


def _own_folder(module: str, path: Path) -> tuple[Path, str]:
    """The folder whose files count, and the name of its package (none: modules there import each other by name)."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    folder = path.parent
    if not package.startswith(f"{BUILT_IN}."):
        for _ in range(package.count(".")):
            folder = folder.parent
        package = package.partition(".")[0]
    return folder, package


def _reached(path: Path, root: Path, package: str) -> set[Path]:
    reached, waiting = {path}, [path]
    while waiting:
        new = set(_imported(waiting.pop(), root, package)) - reached
        reached |= new
        waiting += new
    return reached


def _imported(path: Path, root: Path, package: str) -> Iterator[Path]:
    """The files below `root` that one imports, wherever in it the import stands."""
    for name in _names(path, root, package):
        parts = name.split(".") if not package else name.split(".")[package.count(".") + 1 :]
        if package and name != package and not name.startswith(f"{package}."):
            continue
        for depth in range(len(parts) + 1):
            place = root.joinpath(*parts[:depth])
            candidates = [place / "__init__.py"] if depth or package else []
            candidates += [place.with_suffix(".py")] if depth == len(parts) and depth else []
            yield from (file for file in candidates if file.is_file())


def _names(path: Path, root: Path, package: str) -> Iterator[str]:
    """Whole names of modules, and of what is taken out of them, which may be modules."""
    here = [*(package.split(".") if package else []), *path.relative_to(root).parent.parts]
    for level, base, taken in _read(path).imports:
        above = here[: len(here) - level + 1] if level else []
        name = ".".join([*above, *([base] if base else [])])
        yield name
        yield from (f"{name}.{one}" if name else one for one in taken)


@dataclass(frozen=True)
class _Source:
    """What one file says: the hash of its plain text, and its imports (dots, module, names out of it)."""

    sha256: bytes
    imports: list[tuple[int, str, list[str]]]


def _read(path: Path) -> _Source:
    status = path.stat()
    return _parsed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _parsed(path: Path, changed: int, size: int) -> _Source:
    try:
        with tokenize.open(path) as file:
            text = file.read()
        tree = _tree(text)
        plain, imports = _without_comments(text, tree).encode(), list(_imports(tree))
    except (SyntaxError, ValueError):  # no Python source: a compiled module
        plain, imports = path.read_bytes(), []
    return _Source(hashlib.sha256(plain).digest(), imports)


def _tree(text: str) -> ast.Module:
    """Parsed while nothing is collected: a finalizer in the middle can let another thread parse, and CPython 3.11 then
    raises a SystemError, as both count their depth in one place.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if collects:
            gc.enable()


def _imports(tree: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]


def _without_comments(text: str, tree: ast.Module) -> str:
    """The lines that say something, without the comments at their ends."""
    lines = text.splitlines()
    dropped = {line for first, last in _docstrings(text, tree) for line in range(first, last + 1)}
    for token in tokenize.generate_tokens(StringIO(text).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            lines[row - 1] = lines[row - 1][:column].rstrip()
        if token.type == tokenize.NL and not token.line[:column].split("#")[0].strip():
            dropped.add(row)
    return "\n".join(line for number, line in enumerate(lines, 1) if number not in dropped)


def _docstrings(text: str, tree: ast.Module) -> Iterator[tuple[int, int]]:
    """First and last line of each docstring that stands alone on its lines."""
    lines = text.encode().split(b"\n")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
            continue
        end = first.end_lineno or first.lineno
        alone = lines[first.lineno - 1][: first.col_offset] + lines[end - 1][first.end_col_offset or 0 :]
        if isinstance(first.value.value, str) and not alone.strip():
            yield first.lineno, end
