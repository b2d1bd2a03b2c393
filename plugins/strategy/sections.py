"""Columns of the cross-section: which a strategy has, of what they are made, and what cannot go with them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from plugins.base import BaseModel, BaseSignalGenerator, name_of
from plugins.cross_sectional import SectionFeature
from plugins.features import feature_registry
from plugins.fold.derived.expression import Expression
from plugins.strategy.parts import create
from plugins.strategy.requirements import SectionColumn
from plugins.strategy.universe import Universe
from schemas.configuration import FeatureSettings, PluginUse, Strategy
from schemas.errors import ConfigurationError, PluginError
from schemas.wire import has_threshold


def is_section(key: str) -> bool:
    """Is there such a plugin, and does it look at all symbols of a time?"""
    try:
        return issubclass(feature_registry.get(key), SectionFeature)
    except KeyError:
        return False


def section_column(number: int, use: PluginUse, place: str) -> SectionColumn:
    """The column of this use, the configuration's `number`-th.

    Raises
    ------
    ConfigurationError
        The plugin cannot be created, or is to have what only a symbol's own bars give.
    """
    own = feature_registry.get(use.key).Params
    declared = set(own.model_fields) if own is not None else set()
    settings = (field.alias or name for name, field in FeatureSettings.model_fields.items())
    if strange := [name for name in settings if name in use.params and name not in declared]:
        raise ConfigurationError(
            f"{place}: {strange[0]}: {use.key} is of all symbols at one time, and not of a symbol's bars; give"
            f" `{strange[0]}` to the feature that its column comes from"
        )
    plugin: SectionFeature = create(feature_registry, use, place)
    try:
        return SectionColumn(plugin, use.alias or plugin.outputs[0], number)
    except PluginError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def later(expressions: Mapping[str, Expression], of_section: Collection[str]) -> set[str]:
    """Those that need columns of the cross-section, or others that do."""
    late: set[str] = set()
    while more := {
        column
        for column, expression in expressions.items()
        if column not in late and not {*of_section, *late}.isdisjoint(expression.program.columns)
    }:
        late |= more
    return late


def in_order(name: str, waiting: Mapping[str, SectionColumn], columns: Sequence[str]) -> tuple[SectionColumn, ...]:
    """Each after those that it is made of, else as they are configured; `columns` are the symbol's own.

    Raises
    ------
    ConfigurationError
        One is made of a column that there is not, or they are made of each other in a circle.
    """
    known, left, ordered = list(columns), dict(waiting), list[SectionColumn]()
    for column in waiting.values():
        for wanted in column.wanted:
            if wanted not in known and wanted not in waiting:
                raise ConfigurationError(
                    f"strategies.{name}.features.{column.use}: column: there is no column {wanted!r}; there are"
                    f" {', '.join([*known, *waiting][:20])}"
                )
    while left:
        ready = next((column for column in left.values() if left.keys().isdisjoint(column.wanted)), None)
        if ready is None:
            raise ConfigurationError(f"strategies.{name}.features: {_circle(left)}; leave one of them out")
        ordered.append(replace(left.pop(ready.name), origins=tuple(map(known.index, ready.wanted))))
        known.append(ready.name)
    return tuple(ordered)


def _circle(left: Mapping[str, SectionColumn]) -> str:
    """Goes from column to column until one comes again."""
    path = [next(iter(left))]
    while path.count(path[-1]) == 1:
        path.append(next(wanted for wanted in left[path[-1]].wanted if wanted in left))
    names = path[path.index(path[-1]) :]
    return f"{names[0]} is made of " + ", which is made of ".join(names[1:])


def check_sections(
    name: str, strategy: Strategy, section: Sequence[SectionColumn], generator: BaseSignalGenerator,
    universe: Universe,
) -> None:  # fmt: skip
    """`ConfigurationError` for what cannot go with columns of the cross-section: the prediction comes after it is
    closed, where no symbol has a state.
    """
    if not section:
        return
    first = _first(section)
    place, key = f"strategies.{name}.features.{first.use}", first.plugin.key
    if has_threshold(strategy.interval):
        raise ConfigurationError(
            f"{place}: {key} is of all symbols at one time, and bars of {strategy.interval} have none in common; give"
            " an interval such as 1m, or leave it out"
        )
    if universe.size is not None and universe.size < 2:
        raise ConfigurationError(
            f"{place}: {key} compares a symbol with others, and the universe has {universe.size}; name two or more, or"
            " leave it out"
        )
    if generator.fold is not None:
        raise ConfigurationError(
            f"{place}: {key} is known when the cross-section is closed, and {name_of(generator)} remembers each"
            " symbol's predictions from bar to bar; use a signal that decides bar by bar, such as signal.threshold, or"
            " a cross-sectional one"
        )
    if strategy.shadow is not None:
        raise ConfigurationError(
            f"{place}: a shadow predicts at each bar, and {key} is known when the cross-section is closed; leave out"
            " `shadow`, or compare the models in backtests"
        )
    if strategy.publish == "changes":
        raise ConfigurationError(
            f"{place}: {key} is of all symbols at once, and each cross-section is whole; set `publish: all`"
        )


def check_section_model(name: str, section: Sequence[SectionColumn], model: BaseModel | None) -> None:
    """`ConfigurationError` for a model that looks back, where there are columns of the cross-section."""
    if section and model is not None and model.lookback != 1:
        raise ConfigurationError(
            f"strategies.{name}.model: {name_of(model)} looks back over {model.lookback} rows of a symbol, and"
            f" {_first(section).plugin.key} is known when the cross-section is closed, where no rows are kept; use a"
            " model that sees one row, or leave the feature out"
        )


def _first(section: Sequence[SectionColumn]) -> SectionColumn:
    """In the configuration."""
    return min(section, key=lambda column: column.use)
