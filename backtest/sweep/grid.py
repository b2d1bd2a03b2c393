"""The points of a sweep: a strategy's configuration with some of its settings exchanged."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.configuration import Strategy
from schemas.errors import ConfigurationError

Values = dict[str, Any]


def parse_grid(given: Sequence[str]) -> dict[str, list[Any]]:
    """``KEY=V1,V2 …`` as YAML says what the values are; a list is written ``[a, b]``.

    >>> parse_grid(["signal.buy_threshold=0.01,0.02", "execution.long_only=true,false"])
    {'signal.buy_threshold': [0.01, 0.02], 'execution.long_only': [True, False]}
    """
    grid: dict[str, list[Any]] = {}
    for text in given:
        key, equals, values = text.partition("=")
        try:
            parsed = yaml.safe_load(f"[{values}]") if equals else []
        except yaml.YAMLError:
            parsed = []
        if not parsed or any(value is None for value in parsed):
            raise ConfigurationError(f"--grid {text}: write KEY=VALUE,VALUE, such as signal.buy_threshold=0.01,0.02")
        if key in grid:
            raise ConfigurationError(f"--grid {text}: {key} is there twice")
        grid[key] = parsed
    if not grid:
        raise ConfigurationError("there is no --grid; write KEY=VALUE,VALUE, such as signal.buy_threshold=0.01,0.02")
    return grid


def points(grid: Mapping[str, Sequence[Any]]) -> list[Values]:
    """All combinations, the last key changing fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def as_options(values: Values) -> str:
    """A point as it is written on the command line.

    >>> as_options({"signal.buy_threshold": 0.01, "prediction": "rsi"})
    '--grid signal.buy_threshold=0.01 --grid prediction=rsi'
    """
    return " ".join(f"--grid {key}={value}" for key, value in values.items())


def strategy_at(strategy: Strategy, values: Values) -> Strategy:
    """The strategy with the settings of one point.

    Keys: ``execution.NAME``, ``training.NAME``, ``signal.NAME`` (a parameter of the generator), ``model.NAME`` (one of
    the model), ``features.FEATURE.NAME`` (a parameter of the feature with that alias, key or last part of a key),
    ``prediction``.
    """
    plain = strategy.model_dump()
    for key, value in values.items():
        _set(plain, key, value)
    try:
        return Strategy.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{as_options(values)}: {place}: {first['msg']}") from None


def _set(plain: dict[str, Any], key: str, value: Any) -> None:
    section, _, name = key.partition(".")
    if key == "prediction":
        plain["prediction"] = value
    elif section in ("execution", "training") and name in plain[section]:
        plain[section][name] = value
    elif section == "model" and name and plain["model"] is not None:
        plain["model"]["params"] = plain["model"]["params"] | {name: value}
    elif section == "signal" and name:
        plain["signal"]["params"] = plain["signal"]["params"] | {name: value}
    elif section == "features" and "." in name:
        feature, _, parameter = name.rpartition(".")
        use = _feature(plain["features"], feature, key)
        use["params"] = use["params"] | {parameter: value}
    else:
        options = ", ".join(f"execution.{name}" for name in plain["execution"])
        raise ConfigurationError(
            f"--grid {key}: no such setting; there are signal.PARAMETER, model.PARAMETER, features.FEATURE.PARAMETER,"
            f" training.NAME, prediction, {options}"
        )


def _feature(features: list[dict[str, Any]], name: str, key: str) -> dict[str, Any]:
    fitting = [use for use in features if name in (use["alias"], use["key"], use["key"].rpartition(".")[2])]
    exact = [use for use in fitting if name == use["alias"]] or fitting
    if len(exact) != 1:
        raise ConfigurationError(f"--grid {key}: {_mend(features, exact, name, key)}")
    return exact[0]


def _mend(features: list[dict[str, Any]], fitting: list[dict[str, Any]], name: str, key: str) -> str:
    """Why `name` is not one feature, and what to write."""
    if not fitting:
        return f"no feature is called {name}; there are: {', '.join(use['alias'] or use['key'] for use in features)}"
    parameter = key.rpartition(".")[2]
    written = [f"features.{use['alias']}.{parameter}" for use in fitting if use["alias"]]
    mends = [f"write {' or '.join(written)}"] if written else []
    if len(written) < len(fitting):
        mends.append("give the one without an alias one (`as:`), by which it can be named")
    return f"{len(fitting)} features are called {name}; {', or '.join(mends)}"
