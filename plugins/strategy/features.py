"""A strategy's features: each plugin with its parameters, and what the configuration makes of its columns."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from plugins.base import Plugin
from plugins.features import feature_registry
from plugins.fold.derived.lags import Lags, derived_names
from plugins.fold.row_ring import LARGEST_RING
from plugins.fold.windowed import streaming
from plugins.strategy.parts import create
from plugins.strategy.requirements import FeatureColumns, origins_of, run_order, warmup_of
from schemas.configuration import FeatureSettings, PluginUse, Strategy
from schemas.errors import ConfigurationError, PluginError


def features_of(name: str, strategy: Strategy) -> tuple[FeatureColumns, ...]:
    """The features of strategy `name`, in the order of the configuration; what is derived of one comes after it.

    Columns have the names that the plugin gives them; with an alias, ``alias`` (one column) or ``alias.column``. Those
    that are derived have the column's name before theirs: ``rsi.lag1``.

    Raises
    ------
    ConfigurationError
        A plugin cannot be created, two columns have one name, a required column is missing, or features require each
        other in a circle.
    """
    features = _created(name, strategy)
    places = [f"strategies.{name}.features.{bound.use}" for bound in features]
    features = [
        bound if bound.origins else replace(bound, origins=origins_of(place, bound, features))
        for place, bound in zip(places, features, strict=True)
    ]
    run_order(f"strategies.{name}.features", features)  # a circle would have no warm-up
    return tuple(replace(bound, warmup=warmup_of(number, features)) for number, bound in enumerate(features))


def columns_of(use: PluginUse) -> tuple[str, ...]:
    """The columns of one feature, under the names that it has without an alias."""
    parts = _parts(0, use.model_copy(update={"alias": None}), use.key)
    return tuple(column for bound in parts for column in bound.columns)


def _created(name: str, strategy: Strategy) -> list[FeatureColumns]:
    features: list[FeatureColumns] = []
    taken: dict[str, str] = {}
    for number, use in enumerate(strategy.features):
        place = f"strategies.{name}.features.{number}"
        for bound in _parts(number, use, place):
            for column in bound.columns:
                if column in taken:
                    raise ConfigurationError(
                        f"{place}: {use.key} and {taken[column]} both give the column {column!r}; name one with `as:`"
                    )
            features.append(_placed(bound, len(taken)))
            taken |= dict.fromkeys(bound.columns, use.key)
    return features


def _placed(bound: FeatureColumns, first: int) -> FeatureColumns:
    """At its place among the strategy's columns; what is derived requires those right before it."""
    width = len(bound.feature.plugin.requires) if bound.derived else 0
    return replace(bound, first=first, origins=tuple(range(first - width, first)))


def _parts(number: int, use: PluginUse, place: str) -> Iterator[FeatureColumns]:
    """The feature, and what is derived of it."""
    settings, use = _settings(use, place)
    try:
        feature = streaming(create(feature_registry, use, place))
        columns = tuple(_column(use.alias, column, len(feature.columns)) for column in feature.columns)
    except PluginError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    yield FeatureColumns(feature, columns, use=number, settings=settings.given)
    if settings.lags or settings.diff:
        lags = Lags(columns=list(feature.columns), lags=list(settings.lags), diff=list(settings.diff))
        if (size := lags.state_dtype.itemsize) > LARGEST_RING:
            raise ConfigurationError(
                f"{place}: the last {lags.warmup} values of {len(columns)} columns take {size:,} bytes a symbol, and a"
                f" snapshot holds {LARGEST_RING:,}; look back less, or at fewer columns"
            )
        names = tuple(derived_names(columns, list(settings.lags), list(settings.diff)))
        yield FeatureColumns(lags, names, use=number, derived=True)


def _settings(use: PluginUse, place: str) -> tuple[FeatureSettings, PluginUse]:
    """What is said beside the plugin's parameters, and the use without it. A name that the plugin declares is its
    own parameter.
    """
    own = _declared(use.key)
    given = {name: use.params[name] for name in FeatureSettings.model_fields if name in use.params and name not in own}
    try:
        settings = FeatureSettings.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ConfigurationError(f"{place}: {where}: {fault['msg'].removeprefix('Value error, ')}") from None
    return settings, use.model_copy(update={"params": _without(use.params, given)})


def _without(params: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in names}


def _declared(key: str) -> set[str]:
    """Names of the parameters that a plugin declares; none where there is no such plugin, or it declares none."""
    try:
        cls: type[Plugin] = feature_registry.get(key)
    except KeyError:
        return set()
    return set(cls.Params.model_fields) if cls.Params is not None else set()


def _column(alias: str | None, column: str, count: int) -> str:
    if alias is None:
        return column
    return alias if count == 1 else f"{alias}.{column}"
