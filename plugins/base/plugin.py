"""What all kinds of plugin share."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Schema
from pydantic import ConfigDict, ValidationError

from plugins.base.loading.source import source_sha256
from schemas.errors import PluginError

FloatArray = NDArray[np.float64]


class Params(Schema):
    """Base of a plugin's declared parameters: an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Plugin:
    """What all four kinds share.

    A class without a `Params` model accepts any parameters; with one, an unknown or impossible parameter raises
    `PluginError` that names it.
    """

    key: ClassVar[str] = ""
    """Set by ``registry.register(key)``."""
    version: ClassVar[str] = "1"
    """Of the plugin's behaviour: raise it when the same input gives other output or the state's layout changes."""
    Params: ClassVar[type[Schema] | None] = None
    packages: ClassVar[dict[str, str]] = {}
    """Optional libraries that it imports, each with what to install: ``{"lightgbm": "alphawire[boost]"}``."""
    cost: str = "unknown"
    """What a bar costs: compiled (under 2 µs), fast (under 100 µs), slow (more); more may be told after the word."""

    def __init__(self, **params: Any) -> None:
        self.params: dict[str, Any] = self.validate(params)

    @property
    def source_sha256(self) -> str | None:
        """Of the code that it runs (`plugins.base.loading.source`); None where that is in no file."""
        return source_sha256(type(self).__module__)

    @classmethod
    def class_fault(cls) -> str | None:
        """What makes the class unusable, in words that say the mend; `register` refuses a class with a fault."""
        if not isinstance(cls.version, str):
            return f"version = {cls.version!r} is not a string; write version = '{cls.version}'"
        if cls.Params is not None and not (isinstance(cls.Params, type) and issubclass(cls.Params, Schema)):
            return "its Params is not a pydantic model; derive it from plugins.base.Params"
        if not isinstance(cls.packages, dict) or not all(
            isinstance(part, str) for pair in cls.packages.items() for part in pair
        ):
            return "packages is not a mapping of import name to what to install; write {'lightgbm': 'alphawire[boost]'}"
        return None

    @classmethod
    def validate(cls, params: dict[str, Any]) -> dict[str, Any]:
        """`params` with defaults filled in, as a plain dict."""
        if cls.Params is None:
            return dict(params)
        try:
            return cls.Params.model_validate(params).model_dump()
        except ValidationError as error:
            known = ", ".join(cls.Params.model_fields) or "none"
            faults = "; ".join(
                f"parameter {'.'.join(map(str, fault['loc'])) or 'set'}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in error.errors()
            )
            raise PluginError(f"{name_of(cls)}: {faults} (parameters: {known})") from None


def name_of(plugin: Plugin | type[Plugin]) -> str:
    """How messages call a plugin: by its key, or by its class before it has one."""
    return plugin.key or (plugin if isinstance(plugin, type) else type(plugin)).__name__
