"""Finding plugins: the four built-in folders, installed packages, and files given by path.

A plugin that cannot be imported is recorded in `faults` and never takes the others down. Only a key that is
registered twice stops everything (`DuplicateKey`): two answers for one key are worse than none.
"""

import hashlib
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec
from inspect import isfunction
from pathlib import Path
from typing import Any

from plugins.base.loading.compilation import require_compilation
from plugins.base.loading.registry import DuplicateKey, PluginRegistry
from plugins.base.plugin_errors import is_ours, output_to_errors
from schemas.errors import ConfigurationError, PluginError

CATEGORIES = ("features", "models", "signals", "engines")
ENTRY_POINTS = "alphawire.plugins"
FILES_PACKAGE = "alphawire_plugin_files_"
"""Modules of ``--plugins`` files live in a package of this name and a hash of their folder: the same name in every
process.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A plugin that could not be loaded: which one, what is wrong, what mends it, and where it is."""

    name: str
    fault: str
    mend: str
    path: str

    def __str__(self) -> str:
        return f"{self.name}: {self.fault}; {self.mend}"


faults: list[Fault] = []
"""What could not be loaded so far, in this process."""


def import_folder(package: str, registry: PluginRegistry[Any]) -> None:
    """Import every module beside `package`'s ``__init__`` whose name does not start with an underscore."""
    for info in sorted(pkgutil.iter_modules(sys.modules[package].__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            _import(f"{package}.{info.name}", [registry])


def registries() -> dict[str, PluginRegistry[Any]]:
    """Category → its registry, filled with the built-in plugins."""
    by_category = {}
    for category in CATEGORIES:
        package = importlib.import_module(f"plugins.{category}")
        registry = next(value for value in vars(package).values() if isinstance(value, PluginRegistry))
        by_category[category] = registry
    return by_category


def discover(paths: Iterable[Path | str] = ()) -> None:
    """Register every plugin there is: the built-in ones, those of installed packages, and those in `paths` (files or
    folders of them).

    Doing it again changes nothing. Raises `DuplicateKey` when two modules claim one key, `ConfigurationError` for a
    path that is not there or is no Python; what a plugin does wrong is in `faults`.
    """
    require_compilation()
    filled = list(registries().values())
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: (point.name, point.value)):
        _guard(f"{point.name} = {point.value}", point.module, filled, lambda point=point: _load_entry_point(point))  # type: ignore[misc]
    for path in paths:
        for file in _files(Path(path)):
            _import(module_name(file), filled, str(file))


def _load_entry_point(point: EntryPoint) -> None:
    loaded = point.load()
    if isfunction(loaded):
        loaded()


def _files(path: Path) -> list[Path]:
    """The plugin files that `path` names, absolute and in order."""
    path = path.expanduser()
    if not path.exists():
        raise ConfigurationError(f"--plugins {path}: there is no such file or folder")
    if path.is_dir():
        files = sorted(file for file in path.resolve().glob("*.py") if not file.name.startswith("_"))
        if not files:
            raise ConfigurationError(f"--plugins {path}: the folder holds no Python file; give one with plugins in it")
        return files
    if path.suffix != ".py" or not path.is_file():
        raise ConfigurationError(f"--plugins {path}: not a Python file; give a .py file or a folder of them")
    return [path.resolve()]


def module_name(file: Path) -> str:
    """Name under which `file` is imported; makes its folder a package, so files there may import each other
    (``from . import other``).
    """
    package = FILES_PACKAGE + hashlib.sha256(str(file.parent).encode()).hexdigest()[:12]
    if package not in sys.modules:
        spec = ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [str(file.parent)]
        sys.modules[package] = module_from_spec(spec)
    return f"{package}.{file.stem}"


def file_of(plugin: type) -> Path | None:
    """The ``--plugins`` file that a class comes from, for another process to `discover`; None: it needs none."""
    name = plugin.__module__
    return Path(sys.modules[name].__file__ or "") if name.startswith(FILES_PACKAGE) else None


def require(registry: PluginRegistry[Any], key: str, file: Path | None) -> None:
    """In another process: discovers what is needed for `key`, whose `file_of` is `file`, unless it is known here."""
    if key not in registry.list_keys():
        discover([file] if file else [])


def _import(module: str, registries: list[PluginRegistry[Any]], path: str | None = None) -> None:
    importlib.invalidate_caches()
    _guard(path or module, module, registries, lambda: importlib.import_module(module))


def _guard(name: str, module: str, registries: list[PluginRegistry[Any]], load: Callable[[], object]) -> None:
    """Do `load`; when it fails, take back what was registered on the way and record the fault."""
    faults[:] = [fault for fault in faults if fault.name != name]
    try:
        with output_to_errors():
            load()
    except DuplicateKey:
        _take_back(registries)
        raise
    except BaseException as error:  # whatever foreign code raises while it is imported
        if is_ours(error):
            raise
        _take_back(registries)
        faults.append(_fault(name, module, error))


def _take_back(registries: list[PluginRegistry[Any]]) -> None:
    """Forget the classes of modules whose import failed: Python has dropped those from ``sys.modules``."""
    for registry in registries:
        for name in {cls.__module__ for cls in registry.classes()} - sys.modules.keys():
            registry.forget(name)


def _fault(name: str, module: str, error: BaseException) -> Fault:
    place = _place(module, error)
    text = " ".join(str(error).split())
    if isinstance(error, PluginError):  # says its mend itself
        return Fault(name, text, f"see {place}", place)
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.startswith(FILES_PACKAGE):
        file = f"{error.name.partition('.')[2]}.py"
        return Fault(
            name, f"there is no {file} in its folder", "put it there (a file's name has no further dot)", place
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        library = error.name.partition(".")[0]
        return Fault(name, text, f"install {library}, or import it inside the method that uses it", place)
    if isinstance(error, SyntaxError):
        text = error.msg
    return Fault(name, f"{type(error).__name__}: {text}".removesuffix(": "), f"correct {place}", place)


def _place(module: str, error: BaseException) -> str:
    """File and line of the plugin where `error` arose, as near to it as can be told."""
    try:
        spec = find_spec(module)
        own = (spec.origin if spec else None) or module
    except Exception:  # a package around it that cannot be imported either
        own = module
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f"{own}:{lines[-1]}" if lines else own
