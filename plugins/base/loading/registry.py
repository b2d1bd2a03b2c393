"""A registry: key → class, for one category."""

import difflib
import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from plugins.base import Plugin
from plugins.base.loading.source import remember
from schemas.errors import ConfigurationError, PluginError

T = TypeVar("T", bound=Plugin)


class DuplicateKey(ConfigurationError, ValueError):
    """One key was registered by two modules: start-up stops, since two answers are worse than none."""


class PluginRegistry(Generic[T]):
    """Classes of one category by key.

    >>> registry = PluginRegistry[Plugin]("features")
    >>> @registry.register("vendor.category.name")
    ... class Mine(Plugin): ...
    >>> registry.list_keys()
    ['vendor.category.name']
    """

    def __init__(self, category: str, base: type[T] | None = None) -> None:
        self.category = category
        self._base = base
        self._classes: dict[str, type[T]] = {}

    def register(self, key: str) -> Callable[[type[T]], type[T]]:
        """Decorator: registers the class under `key` and sets ``cls.key``.

        Raises `DuplicateKey` (a `ValueError`) when another class has the key, `PluginError` when the object is no
        class of this category or has a fault (a missing method, say), which the text names.
        """
        if not isinstance(key, str) or not key or any(c.isspace() for c in key):
            raise PluginError(f"{key!r} is not a key for a plugin; write it like technical.rsi")

        def add(cls: type[T]) -> type[T]:
            if not inspect.isclass(cls) or (self._base is not None and not issubclass(cls, self._base)):
                name = getattr(cls, "__name__", cls)
                wanted = self._base.__name__ if self._base else "Plugin"
                raise PluginError(
                    f"{key}: {name} is not a subclass of {wanted}; derive it from plugins.{self.category}.{wanted}"
                )
            if self._base is not None and (fault := cls.class_fault()):
                raise PluginError(f"{key} ({cls.__name__}): {fault}")
            other = self._classes.get(key)
            if other is not None:
                raise DuplicateKey(
                    f"the key {key!r} is registered twice in {self.category}: "
                    f"by {_place(other)} and by {_place(cls)}; rename one of them"
                )
            cls.key = key
            self._classes[key] = cls
            remember(cls.__module__)
            return cls

        return add

    def get(self, key: str) -> type[T]:
        """The class; `KeyError` that names near keys when there is none."""
        try:
            return self._classes[key]
        except KeyError:
            near = difflib.get_close_matches(str(key), self._classes, n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else f"there is: {', '.join(self.list_keys()) or 'none'}"
            )
            raise KeyError(f"no plugin {key!r} in {self.category}; {hint}") from None

    def create(self, key: str, **params: Any) -> T:
        return self.get(key)(**params)

    def list_keys(self) -> list[str]:
        return sorted(self._classes)

    def classes(self) -> list[type[T]]:
        return [self._classes[key] for key in self.list_keys()]

    def forget(self, module: str) -> None:
        """Take back what `module` registered (its import failed half-way)."""
        self._classes = {key: cls for key, cls in self._classes.items() if cls.__module__ != module}


def _place(cls: type[Plugin]) -> str:
    try:
        return f"{cls.__module__} ({inspect.getsourcefile(cls)})"
    except (OSError, TypeError):
        return cls.__module__
