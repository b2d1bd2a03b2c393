"""Which plugin is to be checked, in a form that another process finds it by."""

import difflib
import importlib
import inspect
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plugins.base import BaseBacktestEngine, BaseFeature, BaseModel, BaseSignalGenerator, Plugin
from plugins.base.loading.discovery import FILES_PACKAGE, discover, faults, module_name, registries
from plugins.cross_sectional import SectionFeature
from schemas.errors import ConfigurationError

BASES: dict[str, type[Plugin]] = {
    "sections": SectionFeature,
    "features": BaseFeature,
    "models": BaseModel,
    "signals": BaseSignalGenerator,
    "engines": BaseBacktestEngine,
}


@dataclass(frozen=True)
class Target:
    """A class by module and name (and the file to load, where it is no importable module), with parameters."""

    key: str
    category: str
    module: str
    name: str
    file: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    interval: str | None = None
    """Of the bars that it is checked on; None: real daily ones, and generated minutes."""
    bars: str | None = None
    """A Parquet file of them (`plugins.checks.bars.use`)."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load(self) -> type[Plugin]:
        """The class, in this process."""
        if self.file is not None:
            discover([self.file])
            for fault in faults:
                if fault.name == self.file:
                    raise ConfigurationError(str(fault))
        loaded: Any = importlib.import_module(self.module)
        for part in self.name.split("."):
            loaded = getattr(loaded, part)
        return loaded  # type: ignore[no-any-return]


def target_of(plugin: str | type[Plugin], params: dict[str, Any] | None = None, category: str | None = None) -> Target:
    """The target for a registered key (of a category, if several have it) or a class; `ConfigurationError` when there
    is none.
    """
    cls = _registered(plugin, category) if isinstance(plugin, str) else plugin
    category = next((name for name, base in BASES.items() if inspect.isclass(cls) and issubclass(cls, base)), None)
    if category is None:
        raise ConfigurationError(f"{cls!r} is no plugin; derive it from one of the base classes in plugins.base")
    if "<locals>" in cls.__qualname__:
        raise ConfigurationError(
            f"{cls.__qualname__} is defined within a function, where the process that checks it cannot find it; "
            "define it in a module"
        )
    module, file = cls.__module__, None
    if module.startswith(FILES_PACKAGE):
        file = sys.modules[module].__file__
    elif module == "__main__":
        file = str(Path(sys.modules[module].__file__ or "").resolve())
        module = module_name(Path(file))
    return Target(cls.key or cls.__name__, category, module, cls.__qualname__, file, dict(params or {}))


def targets_of_file(path: Path) -> list[Target]:
    """A target for each plugin that a file registers."""
    discover([path])
    wanted = str(path.expanduser().resolve())
    for fault in faults:
        if fault.name == wanted:
            raise ConfigurationError(str(fault))
    classes = [cls for registry in registries().values() for cls in registry.classes() if _file_of(cls) == wanted]
    if not classes:
        raise ConfigurationError(f"{path}: registers no plugin; put @feature_registry.register('KEY') above the class")
    return [target_of(cls) for cls in classes]


def _file_of(cls: type[Plugin]) -> str | None:
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


def _registered(key: str, category: str | None) -> type[Plugin]:
    filled = [registry for name, registry in registries().items() if category in (None, name)]
    classes = [cls for registry in filled for cls in registry.classes() if cls.key == key]
    if len(classes) == 1:
        return classes[0]
    if classes:
        raise ConfigurationError(f"{key} is in several categories; give the class")
    keys = [name for registry in filled for name in registry.list_keys()]
    near = difflib.get_close_matches(key, keys, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there is: {', '.join(keys)}"
    raise ConfigurationError(f"there is no plugin {key!r}; {hint}")
