"""Columns of the cross-section: which a strategy has, of what they are made, and what cannot go with them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from plugins.base import BaseModel, BaseSignalGenerator, name_of
from plugins.cross_sectional import SectionFeature
from plugins.features import feature_registry
from plugins.strategy.parts import create
from plugins.strategy.universe import Universe
from schemas.configuration import FeatureSettings, PluginUse, Strategy
from schemas.errors import ConfigurationError, PluginError
from schemas.wire import has_threshold

if TYPE_CHECKING:
    from plugins.strategy.requirements import SectionColumn


def is_section(key: str) -> bool:
    """Is there such a plugin, and does it look at all symbols of a time?"""
    try:
        return issubclass(feature_registry.get(key), SectionFeature)
    except KeyError:
        return False


def section_feature(use: PluginUse, place: str) -> SectionFeature:
    """The plugin of this use, which says of what column it is.

    Raises
    ------
    ConfigurationError
        It cannot be created, or is to have what only a symbol's own bars give.
    """
    own = feature_registry.get(use.key).Params
    declared = set(own.model_fields) if own is not None else set()
    if strange := [name for name in FeatureSettings.model_fields if name in use.params and name not in declared]:
        raise ConfigurationError(
            f"{place}: {strange[0]}: {use.key} is of all symbols at one time, and not of a symbol's bars; give"
            f" `{strange[0]}` to the feature that its column comes from"
        )
    plugin: SectionFeature = create(feature_registry, use, place)
    try:
        plugin.column  # noqa: B018 it says what is missing
    except PluginError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    return plugin


def section_origin(
    place: str, plugin: SectionFeature, columns: Sequence[str], of_section: Mapping[int, str]
) -> int:  # fmt: skip
    """Where the column lies among a symbol's `columns` that `plugin` is made of.

    Raises
    ------
    ConfigurationError
        There is none, or it is itself one of the cross-section (`of_section`: their names).
    """
    wanted = plugin.column
    if wanted in columns:
        return columns.index(wanted)
    if wanted in of_section.values():
        raise ConfigurationError(
            f"{place}: column: {wanted!r} is a column of the cross-section itself; {plugin.key} is made of a column of"
            f" each symbol: {', '.join(columns[:20])}"
        )
    raise ConfigurationError(f"{place}: column: there is no column {wanted!r}; there are {', '.join(columns[:20])}")


def check_sections(
    name: str, strategy: Strategy, section: "Sequence[SectionColumn]", generator: BaseSignalGenerator,
    universe: Universe,
) -> None:  # fmt: skip
    """`ConfigurationError` for what cannot go with columns of the cross-section: the prediction comes after it is
    closed, where no symbol has a state.
    """
    if not section:
        return
    place, key = f"strategies.{name}.features.{section[0].use}", section[0].plugin.key
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


def check_section_model(name: str, section: "Sequence[SectionColumn]", model: BaseModel | None) -> None:
    """`ConfigurationError` for a model that looks back, where there are columns of the cross-section."""
    if section and model is not None and model.lookback != 1:
        raise ConfigurationError(
            f"strategies.{name}.model: {name_of(model)} looks back over {model.lookback} rows of a symbol, and"
            f" {section[0].plugin.key} is known when the cross-section is closed, where no rows are kept; use a model"
            " that sees one row, or leave the feature out"
        )
