"""What is known of TA-Lib's functions without the library: inputs, parameters with ranges, columns."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, ConfigDict, Field, create_model

from plugins.features.ta._functions import TEXT, VERSION
from plugins.fold import Column, FeatureParams

__all__ = ["VERSION", "Function", "Parameter", "functions"]

AVERAGES = ("SMA", "EMA", "WMA", "DEMA", "TEMA", "TRIMA", "KAMA", "MAMA", "T3", "HMA", "", "", "ZLEMA", "RMA")
"""Names of the averages that a parameter such as `matype` chooses, by number; two numbers name none."""


ANY = 3e37
"""A limit that is none."""


@dataclass(frozen=True)
class Parameter:
    """`kind` is integer, real, average (the number of an average) or column (an input that may be any column)."""

    name: str
    kind: str
    default: Any
    least: float = 0.0
    most: float = 0.0


@dataclass(frozen=True)
class Function:
    """One function. `inputs` are columns of a bar, or names of parameters that choose one."""

    name: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[str, ...]
    title: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Its outputs as a strategy's columns: an only one has the function's name."""
        return (self.name.lower(),) if len(self.outputs) == 1 else self.outputs

    def model(self, averages: tuple[int, ...]) -> type[FeatureParams]:
        """The model of its parameters, where those that choose an average may choose one of `averages`."""
        fields = {each.name: _field(each, averages) for each in self.parameters}
        model: type[FeatureParams] = create_model(f"{self.name}Params", __base__=_Deferred, **fields)  # type: ignore[call-overload]
        return model


class _Deferred(FeatureParams):
    """Built when it is first used: there are many, and a strategy uses few."""

    model_config = ConfigDict(defer_build=True)


def _field(parameter: Parameter, averages: tuple[int, ...]) -> tuple[Any, Any]:
    if parameter.kind == "column":
        return Column, parameter.default
    if parameter.kind == "average":
        return Annotated[int, BeforeValidator(_one_of(averages))], parameter.default
    if parameter.kind == "integer":
        return int, Field(parameter.default, ge=int(parameter.least), le=int(parameter.most))
    least, most = (None if abs(limit) >= ANY else limit for limit in (parameter.least, parameter.most))
    return float, Field(parameter.default, ge=least, le=most, allow_inf_nan=False)


def _one_of(averages: tuple[int, ...]) -> Any:
    told = ", ".join(f"{number} ({AVERAGES[number]})" for number in averages)

    def check(value: Any) -> Any:
        if value not in averages or isinstance(value, bool):
            raise ValueError(f"{value!r} is none of the averages that there are here: {told}")
        return value

    return check


@cache
def functions() -> dict[str, Function]:
    """All of the library's functions by name."""
    lines = TEXT.replace("\n  ", " ").splitlines()
    return {function.name: function for function in map(_function, lines)}


def _function(line: str) -> Function:
    name, inputs, parameters, outputs, title = (part.strip() for part in line.split("|"))
    told = [each.partition("=") for each in inputs.split(", ")]
    columns = [Parameter(name, "column", column) for name, _, column in told if column in get_args(Column)]
    numbers = [_parameter(*each.split()) for each in parameters.split(", ") if each]
    return Function(
        name, tuple(each[0] for each in told), (*columns, *numbers), tuple(outputs.split(", ")), title
    )  # fmt: skip


def _parameter(name: str, kind: Any, default: str, least: str = "0", most: str = "0") -> Parameter:
    value = float(default) if kind == "real" else int(default)
    return Parameter(name, kind, value, float(least), float(most))
