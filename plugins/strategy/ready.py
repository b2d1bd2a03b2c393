"""A strategy made ready to run: its plugins created, its model loaded, its configuration resolved and hashed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from plugins.base import BaseModel, BaseSignalGenerator
from plugins.base.market_calendar import check_calendar
from plugins.base.streaming import StreamingFeature
from plugins.fold.changes import LAYOUT as CHANGES_LAYOUT
from plugins.fold.changes import Changes
from plugins.fold.row_ring import RowRing
from plugins.side_inputs.news.join import Joining
from plugins.side_inputs.references import Reference
from plugins.side_inputs.settings import check_reference
from plugins.signals import signal_registry
from plugins.strategy.changes import changes_of, heartbeat_of
from plugins.strategy.features import features_of
from plugins.strategy.identity import identity_of, without_sources
from plugins.strategy.parts import create, fold_of, load_model, model_columns, news_use, ring_of, use_news
from plugins.strategy.requirements import FeatureColumns, Features, SectionColumn, run_order
from plugins.strategy.sections import check_section_model, check_sections
from plugins.strategy.universe import Universe, check_size, universe_of
from plugins.strategy.validity import Validity, validity_of
from schemas.canonical import canonical_json, config_hash, sha256_hex
from schemas.configuration import Execution, NewsUse, Strategy
from schemas.errors import ConfigurationError
from schemas.wire import FIRST_TIME, Model, bar_length, canonical_interval, has_threshold, spellings


@dataclass(frozen=True)
class ReadyStrategy:
    """What the pipeline needs to know of a strategy; `warmup`: bars of a symbol before all features have their first
    value, and a sequence model as many of them as it looks back.
    """

    name: str
    interval: str
    interval_ms: int
    """Length of a bar; 0: no time closes it."""
    universe: Universe
    features: tuple[FeatureColumns, ...]
    """Of each symbol's bars."""
    section: tuple[SectionColumn, ...]
    """Columns that are made when a cross-section is closed; the model predicts then."""
    order: tuple[int, ...]
    """In which the features run: each after those that it requires."""
    columns: list[str]
    """Of each symbol's bars."""
    warmup: int
    model: BaseModel | None
    model_id: Model | None
    prediction: str | None
    generator: BaseSignalGenerator
    fold: FeatureColumns | None
    """The generator's own, over predictions."""
    ring: RowRing | None
    """A sequence model's last rows."""
    execution: Execution
    validity: Validity
    """Until when its signals may be traded."""
    changes: Changes | None
    """Publishes changes only; None: a signal for each bar."""
    grace: float
    """Seconds that a cross-section waits for symbols that have not come."""
    origin: Literal["earliest", "now"]
    """Where a new state begins on the log."""
    start: Literal["now", "earliest"] | int
    """From when on a new strategy publishes; a number: bars that close then (ms since the epoch, UTC) or later."""
    news: NewsUse
    """Which scores count, and when."""
    config: dict[str, Any]
    config_hash: str
    layout_parts: list[Any]
    """What the stored states depend on, beside the interval."""
    artifact: str | None = None
    """The model's folder, as a request named it; None: the configured one, or no model."""

    @property
    def at_once(self) -> bool:
        """Is it decided about all symbols of a time together?"""
        return self.generator.cross_section or bool(self.section)

    @cached_property
    def all_columns(self) -> list[str]:
        """What the model sees: the symbol's columns, then those of the cross-section."""
        return [*self.columns, *(column.name for column in self.section)]

    @cached_property
    def uses_news(self) -> bool:
        """Does any part of it need the news of a bar?"""
        return use_news(_with_fold(self.features, self.fold))

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Whose bars stand beside those of its symbols, each once."""
        own = {bound.reference.label: bound.reference for bound in self.features if bound.reference}
        return tuple(own.values())

    @property
    def waits(self) -> bool:
        """Is there anything that its bars must wait for?"""
        return self.uses_news or bool(self.references)

    @property
    def memory(self) -> str:
        """The name under which the memory of repeats goes that it shares with others; no strategy can have it."""
        return f":{self.interval}:news" if self.waits else f":{self.interval}"

    @property
    def start_time(self) -> int:
        """Earliest close of a bar (ms since the epoch, UTC) about which a signal is published; `FIRST_TIME`: any."""
        return self.start if isinstance(self.start, int) else FIRST_TIME

    @cached_property
    def layout(self) -> str:
        """Hash of what the stored states depend on."""
        return sha256_hex(canonical_json([self.config["interval"], self.layout_parts]))[:16]

    def spelled_as(self, config: Mapping[str, Any]) -> "ReadyStrategy":
        """Under the hash and the layout that it has where its interval is written as in a resolved `config`: 60m and
        1h are one interval, and versions before hashed the text.
        """
        interval = str(config.get("interval"))
        if interval == self.config["interval"] or canonical_interval(interval) != self.interval:
            return self
        config = self.config | {"interval": interval}
        return replace(self, config=config, config_hash=config_hash(config))

    @cached_property
    def without_sources(self) -> "ReadyStrategy":
        """As a version that did not hash sources has it: under the hash that its `applied` and signals have."""
        config = without_sources(self.config)
        return replace(self, config=config, config_hash=config_hash(config))

    def as_of(self, digest: str) -> "ReadyStrategy | None":
        """As the version had it whose hash `digest` is; None: it is that of another configuration."""
        spelled = [self.spelled_as({"interval": name}) for name in spellings(self.interval)]
        known = (one for ready in spelled for one in (ready, ready.without_sources))
        return next((one for one in known if one.config_hash == digest), None)

    @property
    def feature_identity(self) -> bytes:
        """Equal for strategies whose features have the same values for the same bars."""
        names = ("interval", "universe", "features", "expr", "news")
        return canonical_json([self.config.get(name) for name in names])

    @property
    def joining(self) -> Joining:
        """Which scores it counts."""
        return Joining(self.news.scorer, self.news.syndicated, round(1000 * self.news.memory))

    @property
    def keepers(self) -> tuple[StreamingFeature | RowRing | Changes, ...]:
        """What has a state for each symbol, in the order of the snapshot: features, the model's rows, the fold, what
        was published last.
        """
        keepers: list[StreamingFeature | RowRing | Changes] = [bound.feature for bound in self.features]
        if self.ring is not None:
            keepers.append(self.ring)
        if self.fold is not None:
            keepers.append(self.fold.feature)
        if self.changes is not None:
            keepers.append(self.changes)
        return tuple(keepers)


@dataclass(frozen=True)
class _Parts:
    """What `ready_strategy` creates of a configuration."""

    all_features: Features
    generator: BaseSignalGenerator
    fold: FeatureColumns | None
    universe: Universe
    model: BaseModel | None
    model_id: Model | None
    ring: RowRing | None

    @property
    def features(self) -> tuple[FeatureColumns, ...]:
        return self.all_features.own


def ready_strategy(
    name: str, strategy: Strategy, base: Path = Path(), model: tuple[BaseModel, Model] | None = None
) -> ReadyStrategy:
    """Creates the plugins of strategy `name` and loads its model.

    Parameters
    ----------
    base
        What a relative path of an artifact starts from.
    model
        One that is here already, and what it is called, instead of the artifact.

    Raises
    ------
    ConfigurationError, ArtifactError
        With the place in the configuration, the fault, and the options.
    """
    parts = _created(name, strategy, base, model)
    config = _resolved(strategy, parts)
    return ReadyStrategy(
        name=name,
        interval=canonical_interval(strategy.interval),
        interval_ms=bar_length(strategy.interval),
        universe=parts.universe,
        features=parts.features,
        section=parts.all_features.section,
        order=run_order(f"strategies.{name}.features", parts.features),
        columns=parts.all_features.own_columns,
        warmup=max(bound.warmup for bound in parts.features) + (parts.ring.lookback - 1 if parts.ring else 0),
        model=parts.model,
        model_id=parts.model_id,
        prediction=strategy.prediction,
        generator=parts.generator,
        fold=parts.fold,
        ring=parts.ring,
        execution=strategy.execution,
        validity=validity_of(strategy),
        changes=changes_of(f"strategies.{name}.publish", strategy, parts.generator),
        grace=strategy.cross_section.grace,
        origin=strategy.origin,
        start=strategy.start,
        news=NewsUse.model_validate(config.get("news", {})),
        config=config,
        config_hash=config_hash(config),
        layout_parts=_layout_parts(strategy, parts, config.get("news")),
    )


def held_for_an_interval(ready: ReadyStrategy) -> ReadyStrategy:
    """`ready` as builds ran it that knew no sessions: all signals held for one interval, whatever the calendar."""
    config = {name: value for name, value in ready.config.items() if name != "sessions"}
    return replace(ready, validity=Validity(ready.interval_ms), config=config, config_hash=config_hash(config))


def _created(name: str, strategy: Strategy, base: Path, given: tuple[BaseModel, Model] | None) -> _Parts:
    check_calendar(strategy.execution.calendar)
    features = features_of(name, strategy)
    columns = features.columns
    if strategy.prediction is not None and strategy.prediction not in columns:
        raise ConfigurationError(
            f"strategies.{name}.prediction: there is no column {strategy.prediction!r};"
            f" the features give {', '.join(columns)}"
        )
    place = f"strategies.{name}.signal"
    generator: BaseSignalGenerator = create(signal_registry, strategy.signal, place)
    fold = fold_of(place, generator, features.own)
    if generator.cross_section and has_threshold(strategy.interval):
        raise ConfigurationError(
            f"{place}: {strategy.signal.key} decides about all symbols at one time, and bars of {strategy.interval}"
            " have none in common; give an interval such as 1m, or a signal that decides about each symbol alone"
        )
    universe = universe_of(name, strategy)
    check_size(place, universe, generator)
    check_sections(name, strategy, features.section, generator, universe)
    for bound in features.own:
        if bound.reference is not None:
            check_reference(bound.reference, universe.symbols, f"strategies.{name}.features.{bound.use}")
    # after all that the configuration itself says
    model, model_id = given or load_model(name, strategy, features, base)
    check_section_model(name, features.section, model)
    return _Parts(features, generator, fold, universe, model, model_id, ring_of(name, model, len(columns)))


def _layout_parts(strategy: Strategy, created: _Parts, news: dict[str, Any] | None) -> list[Any]:
    """What the stored states depend on: which scores count, too, where news is used. A fold over predictions
    depends on what predicts, too; a sequence model's rows only on their number and width.
    """
    parts: list[Any] = [[bound.feature.layout, *bound.origins] for bound in created.features]
    if created.ring is not None:
        parts.append(created.ring.layout)
    if created.fold is not None:
        predicts = strategy.prediction or (created.model_id.sha256 if created.model_id else None)
        parts.append([created.fold.feature.layout, *created.fold.origins, predicts])
    if news is not None:
        parts.append(news)
    if strategy.publish == "changes":
        parts.append(CHANGES_LAYOUT)
    return parts


def _resolved(strategy: Strategy, parts: _Parts) -> dict[str, Any]:
    """The configuration as it takes effect: defaults filled in, the interval by its shortest name, plugin versions, the
    model by its hash and not by where it lies, the universe by its members; what of the news section weighs, where
    news is used. How long a cross-section waits is not in it: a closing tells who came. A shadow takes no effect. How
    long signals hold is in it where that is not one interval, and what is published where that is not all.
    """
    left_out = {"features", "model", "shadow", "signal", "universe", "cross_section", "news", "publish", "heartbeat"}
    if strategy.valid_for is None:
        left_out.add("valid_for")
    if not strategy.expr:
        left_out.add("expr")
    plain = strategy.model_dump(mode="json", exclude=left_out) | validity_of(strategy).resolved
    if news := news_use(strategy, _with_fold(parts.features, parts.fold)):
        plain["news"] = news
    if strategy.publish == "changes":
        plain |= {"publish": "changes", "heartbeat": heartbeat_of(strategy)}
    model, model_id = parts.model, parts.model_id
    predicts = {**identity_of(model), "sha256": model_id.sha256} if model is not None and model_id is not None else None
    if predicts is not None and strategy.model is not None and strategy.model.columns is not None:
        predicts["columns"] = model_columns("", strategy, parts.all_features.columns)
    return plain | {
        "interval": canonical_interval(strategy.interval),
        "universe": parts.universe.resolved,
        "features": [
            identity_of(use.plugin) | {"params": use.params, "columns": use.columns} | use.calendar
            for use in parts.all_features.uses()
            if use.number < len(strategy.features)
        ],
        "model": predicts,
        "signal": identity_of(parts.generator) | ({"fold": True} if parts.fold is not None else {}),
    }


def _with_fold(features: tuple[FeatureColumns, ...], fold: FeatureColumns | None) -> tuple[FeatureColumns, ...]:
    return features if fold is None else (*features, fold)
