"""A strategy's features: each plugin with its parameters, and what the configuration makes of its columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from plugins.base import BaseFeature, Plugin, name_of
from plugins.base.market_calendar import DAY_MS
from plugins.cross_sectional import SectionFeature
from plugins.features import feature_registry
from plugins.fold.derived.age import Age
from plugins.fold.derived.at_interval import AtInterval
from plugins.fold.derived.clock import Clock, clock_of
from plugins.fold.derived.expression import Expression
from plugins.fold.derived.lags import Lags, derived_names
from plugins.fold.row_ring import LARGEST_RING
from plugins.fold.windowed import streaming
from plugins.side_inputs.references import OF_REFERENCE, Reference
from plugins.side_inputs.settings import reference_of
from plugins.strategy.parts import create
from plugins.strategy.requirements import FeatureColumns, Features, SectionColumn, origins_of, run_order, warmup_of
from plugins.strategy.sections import in_order, is_section, later, section_column
from schemas.configuration import FeatureSettings, PluginUse, Strategy
from schemas.errors import ConfigurationError, PluginError
from schemas.wire import bar_length, interval_ms, name_of_length, spacing_ms


def features_of(name: str, strategy: Strategy) -> Features:
    """The features of strategy `name`, in the order of the configuration; what is derived of one comes after it, and
    those of the cross-section after all others.

    Columns have the names that the plugin gives them; with an alias, ``alias`` (one column) or ``alias.column``. Those
    that are derived have the column's name before theirs: ``rsi.lag1``.

    Raises
    ------
    ConfigurationError
        A plugin cannot be created, two columns have one name, a required column is missing, or features require each
        other in a circle.
    """
    features, section = _created(name, strategy)
    places = [f"strategies.{name}.features.{bound.use}" for bound in features]
    features = [
        bound if bound.origins else replace(bound, origins=origins_of(place, bound, features))
        for place, bound in zip(places, features, strict=True)
    ]
    run_order(f"strategies.{name}.features", features)  # a circle would have no warm-up
    own = tuple(replace(bound, warmup=warmup_of(number, features)) for number, bound in enumerate(features))
    return Features(own, section)


def first_column(use: PluginUse) -> str:
    """Of one feature, as its plugin calls it."""
    _, use = _settings(use, use.key)
    feature: BaseFeature = create(feature_registry, use, use.key)
    return (feature.outputs if isinstance(feature, SectionFeature) else streaming(feature).columns)[0]


def _created(name: str, strategy: Strategy) -> tuple[list[FeatureColumns], tuple[SectionColumn, ...]]:
    features: list[FeatureColumns] = []
    of_section: dict[str, SectionColumn] = {}
    taken: dict[str, str] = {}

    def take(place: str, key: str, columns: Sequence[str]) -> None:
        for column in columns:
            if column in taken:
                raise ConfigurationError(
                    f"{place}: {key} and {taken[column]} both give the column {column!r}; name one with `as:`"
                )
            taken[column] = key

    width = 0
    for number, use in enumerate(strategy.features):
        place = f"strategies.{name}.features.{number}"
        if use.key == "expr":
            raise ConfigurationError(f"{place}: expressions stand beside the features: `expr:` under strategies.{name}")
        if is_section(use.key):
            made = section_column(number, use, place)
            take(place, use.key, [made.name])
            of_section[made.name] = made
            continue
        for bound in _parts(number, use, place, strategy.interval):
            take(place, use.key, bound.columns)
            features.append(_placed(bound, width))
            width += len(bound.columns)
    expressions = _expressions(name, strategy, list(taken))
    late = later(expressions, of_section)
    columns = [column for bound in features for column in bound.columns]
    columns += [column for column in expressions if column not in late]
    for number, (column, expression) in enumerate(expressions.items(), len(strategy.features)):
        if column in late:
            of_section[column] = SectionColumn(expression, column, number)
        else:
            origins = tuple(map(columns.index, expression.program.columns))
            features.append(FeatureColumns(expression, (column,), columns.index(column), origins, use=number))
    return features, in_order(name, of_section, columns)


def _expressions(name: str, strategy: Strategy, columns: list[str]) -> dict[str, Expression]:
    """Columns by expressions over those of the features, and of each other."""
    names, expressions = [*columns, *strategy.expr], {}
    for column, text in strategy.expr.items():
        place = f"strategies.{name}.expr.{column}"
        if column in columns:
            raise ConfigurationError(f"{place}: a feature gives the column {column!r}; call this one otherwise")
        try:
            expressions[column] = Expression(name=column, text=text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}: {error}") from None
        for wanted, character in expressions[column].program.places.items():
            if wanted not in names:
                raise ConfigurationError(
                    f"{place}: character {character}: there is no column {wanted!r}; there are {', '.join(names[:20])}"
                )
    return expressions


def _placed(bound: FeatureColumns, first: int) -> FeatureColumns:
    """At its place among the strategy's columns; what is derived requires those right before it."""
    width = len(bound.feature.plugin.requires) if bound.derived and bound.reference is None else 0
    return replace(bound, first=first, origins=tuple(range(first - width, first)))


def _parts(number: int, use: PluginUse, place: str, interval: str) -> Iterator[FeatureColumns]:
    """The feature, and what is derived of it."""
    settings, use = _settings(use, place)
    try:
        feature = streaming(create(feature_registry, use, place))
        reference = _reference(feature.plugin, settings, place, interval)
        lags = _lags(feature.columns, settings)
        clock = _clock(settings, interval)
        names = _names(use.alias, feature.columns, settings)
        if clock is not None:
            longer = AtInterval(feature, clock, interval_ms(interval), lags, settings.partial)
            feature, lags = longer, None
    except (PluginError, ConfigurationError) as error:
        raise ConfigurationError(str(error) if str(error).startswith(place) else f"{place}: {error}") from None
    digests = [digest for digest in (clock.digest if clock else None, feature.plugin.calendar) if digest]
    digest = "-".join(digests) or None
    own, derived = names[: len(feature.columns)], names[len(feature.columns) :]
    given = settings.given | ({"with": reference.symbols} if reference else {})  # and not the file's name
    yield FeatureColumns(feature, own, use=number, settings=given, sessions=digest, reference=reference)
    if lags is not None:
        yield FeatureColumns(lags, derived, use=number, derived=True)
    if reference is not None and reference.stale:
        yield FeatureColumns(Age(), (f"{own[0]}.age",), use=number, derived=True, reference=reference)


def _names(alias: str | None, columns: tuple[str, ...], settings: FeatureSettings) -> tuple[str, ...]:
    """Of the plugin's columns, and of those that are derived of them."""
    own = tuple(_column(alias, column, len(columns)) for column in columns)
    partial = (f"{own[0]}.partial",) if settings.partial else ()
    return (*own, *derived_names(own, settings.lags, settings.diff), *partial)


def _reference(plugin: BaseFeature, settings: FeatureSettings, place: str, interval: str) -> Reference | None:
    """Whose bars stand beside a symbol's own; None: the feature sees no other."""
    uses = [name for name in plugin.requires if name in OF_REFERENCE]
    if settings.beside is not None and not uses:
        raise ConfigurationError(f"{name_of(plugin)} looks at no reference; leave out `with`")
    if uses and not spacing_ms(interval):
        raise ConfigurationError(f"no time closes bars of {interval}, so two symbols have none in common")
    return reference_of(settings, place)


def _lags(columns: tuple[str, ...], settings: FeatureSettings) -> Lags | None:
    if not settings.lags and not settings.diff:
        return None
    lags = Lags(columns=list(columns), lags=list(settings.lags), diff=list(settings.diff))
    if (size := lags.state_dtype.itemsize) > LARGEST_RING:
        raise ConfigurationError(
            f"the last {lags.warmup} values of {len(columns)} columns take {size:,} bytes a symbol, and a snapshot"
            f" holds {LARGEST_RING:,}; look back less, or at fewer columns"
        )
    return lags


def _clock(settings: FeatureSettings, interval: str) -> Clock | None:
    """When the longer bars begin and end; None: the feature is of the strategy's own bars."""
    if settings.interval is None:
        return None
    if not bar_length(interval):
        raise ConfigurationError(
            f"interval: bars of {interval} have no one length, and {settings.interval} is no multiple; leave it out"
        )
    if interval_ms(settings.interval) % interval_ms(interval):
        raise ConfigurationError(
            f"interval: {settings.interval} is no multiple of {interval}, the strategy's; write one that is, such as"
            f" {name_of_length(5 * interval_ms(interval))}"
        )
    if settings.session is not None and interval_ms(interval) >= DAY_MS:
        raise ConfigurationError(
            f"session: bars of {interval} are whole days already, and no part of a session; leave out `session`"
        )
    return clock_of(settings.interval, settings.session)


def _settings(use: PluginUse, place: str) -> tuple[FeatureSettings, PluginUse]:
    """What is said beside the plugin's parameters, and the use without it. A name that the plugin declares is its
    own parameter.
    """
    own = _declared(use.key)
    names = [field.alias or name for name, field in FeatureSettings.model_fields.items()]
    given = {name: use.params[name] for name in names if name in use.params and name not in own}
    try:
        settings = FeatureSettings.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        told = ": ".join(filter(None, (place, where, fault["msg"].removeprefix("Value error, "))))
        raise ConfigurationError(told) from None
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
