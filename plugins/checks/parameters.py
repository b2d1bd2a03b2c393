"""Impossible parameters must fail, with a message that names the parameter."""

from collections.abc import Callable, Iterator
from typing import Any

from plugins.base import Plugin
from plugins.checks.findings.outcome import Failed, Inapplicable

UNKNOWN = "no_such_parameter"
Use = Callable[[Plugin], object]


def refused(cls: type[Plugin], params: dict[str, Any], use: Use) -> str:
    """How many impossible parameters are refused by name; `use` makes an instance do its work."""
    if cls.Params is None:
        raise Inapplicable("it declares no Params, so it takes anything")
    schema = cls.Params.model_json_schema()
    cases = [(UNKNOWN, 1)]
    for name, field in schema.get("properties", {}).items():
        cases += [(name, value) for value in _impossible(field)]
    for name, value in cases:
        _refuses(cls, params, name, value)
    for name, field in schema.get("properties", {}).items():
        if field.get("type") == "integer" and not {"minimum", "exclusiveMinimum"} & field.keys():
            _works(cls, params, name, use)
    return f"{len(cases)} impossible values were refused by name"


def _impossible(schema: dict[str, Any]) -> Iterator[Any]:
    """Values that the JSON Schema of a parameter excludes."""
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "exclusiveMinimum" in schema:
        yield schema["exclusiveMinimum"]
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "exclusiveMaximum" in schema:
        yield schema["exclusiveMaximum"]
    if "enum" in schema or schema.get("type") in ("integer", "number", "boolean"):
        yield "no such value"


def _refuses(cls: type[Plugin], params: dict[str, Any], name: str, value: Any) -> None:
    try:
        cls(**{**params, name: value})
    except Exception as error:
        if name not in str(error):
            raise Failed(
                f"{name}={value!r} fails with a message that does not name it: {error}",
                f"say the parameter's name: raise PluginError('{name} …')",
            ) from error
        return
    mend = "derive Params from plugins.base.Params" if name == UNKNOWN else "let Params do it: Field(…, ge=…)"
    raise Failed(f"{name}={value!r} is accepted", mend)


def _works(cls: type[Plugin], params: dict[str, Any], name: str, use: Use) -> None:
    """A whole number without a declared limit: what is not refused must work, -1 too."""
    try:
        plugin = cls(**{**params, name: -1})
    except Exception:
        return
    try:
        use(plugin)
    except Failed as failed:
        raise Failed(f"{name}=-1 is accepted, and then {failed.saw}", f"{name}: int = Field(…, ge=1)") from failed
    except Exception as error:
        raise Failed(f"{name}=-1 is accepted, and fails in use: {error}", f"{name}: int = Field(…, ge=1)") from error
