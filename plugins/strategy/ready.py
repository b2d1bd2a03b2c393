"""A strategy made ready to run: its plugins created, its model loaded, its configuration resolved and hashed."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from plugins.base import BaseModel, BaseSignalGenerator, Plugin
from plugins.base.loading.registry import PluginRegistry
from plugins.base.streaming import StreamingFeature
from plugins.features import feature_registry
from plugins.fold.row_ring import LARGEST_RING, RowRing
from plugins.fold.windowed import streaming
from plugins.models import model_registry
from plugins.news.join import NEWS_COLUMNS, Joining
from plugins.signals import signal_registry
from plugins.strategy.requirements import FeatureColumns, origins_of, run_order, warmup_of
from plugins.strategy.universe import Universe, check_size, universe_of
from schemas.canonical import canonical_json, config_hash, sha256_hex
from schemas.configuration import Execution, NewsUse, PluginUse, Strategy
from schemas.errors import ConfigurationError, PluginError
from schemas.wire import Model, interval_ms


@dataclass(frozen=True)
class ReadyStrategy:
    """What the pipeline needs to know of a strategy; `warmup`: bars of a symbol before all features have their first
    value, and a sequence model as many of them as it looks back.
    """

    name: str
    interval: str
    interval_ms: int
    universe: Universe
    features: tuple[FeatureColumns, ...]
    order: tuple[int, ...]
    """In which the features run: each after those that it requires."""
    columns: list[str]
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
    layout: str
    artifact: str | None = None
    """The model's folder, as a wish named it; None: the configured one, or no model."""

    @cached_property
    def uses_news(self) -> bool:
        """Does any part of it need what is said of a bar's news?"""
        return _use_news(self.features, self.fold)

    @property
    def memory(self) -> str:
        """The name under which the memory of repeats goes that it shares with others; no strategy can have it."""
        return f":{self.interval}:news" if self.uses_news else f":{self.interval}"

    @property
    def start_time(self) -> int:
        """Earliest close of a bar (ms since the epoch, UTC) about which a signal is published; 0: any."""
        return self.start if isinstance(self.start, int) else 0

    @property
    def feature_identity(self) -> bytes:
        """Equal for strategies whose features have the same values for the same bars."""
        names = ("interval", "universe", "features", "news")
        return canonical_json([self.config.get(name) for name in names])

    @property
    def joining(self) -> Joining:
        """Which scores it counts."""
        return Joining(self.news.scorer, self.news.syndicated, round(1000 * self.news.memory))

    @property
    def keepers(self) -> tuple[StreamingFeature | RowRing, ...]:
        """What has a state for each symbol, in the order of the snapshot: features, the model's rows, the fold."""
        found: list[StreamingFeature | RowRing] = [bound.feature for bound in self.features]
        if self.ring is not None:
            found.append(self.ring)
        if self.fold is not None:
            found.append(self.fold.feature)
        return tuple(found)


def create(registry: PluginRegistry[Any], use: PluginUse, place: str) -> Any:
    """The plugin that the configuration names at `place`; a `ConfigurationError` with the options when that cannot
    be.
    """
    try:
        return registry.create(use.key, **use.params)
    except KeyError as error:
        raise ConfigurationError(f"{place}: {error.args[0]}") from None
    except PluginError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    except Exception as error:  # foreign code, whatever it raises
        raise ConfigurationError(f"{place}: {use.key}: cannot be created: {type(error).__name__}: {error}") from error


def features_of(name: str, strategy: Strategy) -> tuple[FeatureColumns, ...]:
    """The strategy's features with their column names (as the plugin says, or ``alias`` (one column) and
    ``alias.column``), and where the columns are that they require.
    """
    found = _created(name, strategy)
    places = [f"strategies.{name}.features.{number}" for number in range(len(found))]
    found = [
        replace(bound, origins=origins_of(place, bound, found)) for place, bound in zip(places, found, strict=True)
    ]
    run_order(f"strategies.{name}.features", found)  # a circle would have no warm-up
    return tuple(replace(bound, warmup=warmup_of(number, found)) for number, bound in enumerate(found))


def _created(name: str, strategy: Strategy) -> list[FeatureColumns]:
    found: list[FeatureColumns] = []
    taken: dict[str, str] = {}
    for number, use in enumerate(strategy.features):
        place = f"strategies.{name}.features.{number}"
        try:
            feature = streaming(create(feature_registry, use, place))
        except PluginError as error:
            raise ConfigurationError(f"{place}: {error}") from None
        columns = tuple(_column(use.alias, column, len(feature.columns)) for column in feature.columns)
        for column in columns:
            if column in taken:
                raise ConfigurationError(
                    f"{place}: {use.key} and {taken[column]} both give the column {column!r}; name one with `as:`"
                )
        found.append(FeatureColumns(feature, columns, first=len(taken)))
        taken |= dict.fromkeys(columns, use.key)
    return found


def _column(alias: str | None, column: str, count: int) -> str:
    if alias is None:
        return column
    return alias if count == 1 else f"{alias}.{column}"


def ready_strategy(name: str, strategy: Strategy, base: Path = Path()) -> ReadyStrategy:
    """Creates the plugins and loads the model (`base`: what a relative artifact path starts from).

    Raises `ConfigurationError` or `ArtifactError`, naming place, fault and options.
    """
    features = features_of(name, strategy)
    columns = [column for feature in features for column in feature.columns]
    if strategy.prediction is not None and strategy.prediction not in columns:
        raise ConfigurationError(
            f"strategies.{name}.prediction: there is no column {strategy.prediction!r};"
            f" the features give {', '.join(columns)}"
        )
    place = f"strategies.{name}.signal"
    generator: BaseSignalGenerator = create(signal_registry, strategy.signal, place)
    fold = _fold_of(place, generator, features)
    universe = universe_of(name, strategy)
    check_size(place, universe, generator)
    model, model_id = load_model(name, strategy, columns, base)  # after all that the configuration itself says
    ring = ring_of(name, model, len(columns))
    config = _resolved(strategy, features, model, model_id, generator, universe, fold)
    return ReadyStrategy(
        name=name,
        interval=strategy.interval,
        interval_ms=interval_ms(strategy.interval),
        universe=universe,
        features=features,
        order=run_order(f"strategies.{name}.features", features),
        columns=columns,
        warmup=max(bound.warmup for bound in features) + (ring.lookback - 1 if ring else 0),
        model=model,
        model_id=model_id,
        prediction=strategy.prediction,
        generator=generator,
        fold=fold,
        ring=ring,
        execution=strategy.execution,
        grace=strategy.cross_section.grace,
        origin=strategy.origin,
        start=strategy.start,
        news=NewsUse.model_validate(config.get("news", {})),
        config=config,
        config_hash=config_hash(config),
        layout=_layout(strategy, features, ring, fold, model_id, config.get("news")),
    )


def _fold_of(place: str, generator: BaseSignalGenerator, features: tuple[FeatureColumns, ...]) -> FeatureColumns | None:
    """The generator's fold, and where the columns are that it requires."""
    if generator.fold is None:
        return None
    if generator.cross_section:
        raise ConfigurationError(
            f"{place}: {generator.key} has a fold, and cross_section = True; it can have one of both"
        )
    feature = streaming(generator.fold)
    bound = FeatureColumns(feature, feature.columns)
    return replace(bound, origins=origins_of(place, bound, features, ("prediction", *NEWS_COLUMNS)))


def ring_of(name: str, model: BaseModel | None, width: int, role: str = "model", taken: int = 0) -> RowRing | None:
    """Where a sequence model's last rows lie, beside `taken` bytes of another's; None for a model that sees one row."""
    lookback: Any = 1 if model is None else model.lookback
    place = f"strategies.{name}.{role}"
    if isinstance(lookback, bool) or not isinstance(lookback, int) or lookback < 1:
        raise ConfigurationError(f"{place}: the model's lookback {lookback!r} is not a number of rows, from 1 on")
    if lookback == 1:
        return None
    ring = RowRing(lookback, width)
    if ring.state_dtype.itemsize > LARGEST_RING - taken:
        raise ConfigurationError(
            f"{place}: the last {lookback} rows of {width} columns take {ring.state_dtype.itemsize:,} bytes a symbol, "
            f"and a snapshot holds {LARGEST_RING - taken:,}; look back less, or use fewer features"
        )
    return ring


def _layout(
    strategy: Strategy,
    features: tuple[FeatureColumns, ...],
    ring: RowRing | None,
    fold: FeatureColumns | None,
    model_id: Model | None,
    news: dict[str, Any] | None,
) -> str:
    """Hash of what the stored states depend on: which scores count, too, where news is used. A fold over predictions
    depends on what predicts, too; a sequence model's rows only on their number and width.
    """
    parts: list[Any] = [[bound.feature.layout, *bound.origins] for bound in features]
    if ring is not None:
        parts.append(ring.layout)
    if fold is not None:
        predicts = strategy.prediction or (model_id.sha256 if model_id else None)
        parts.append([fold.feature.layout, *fold.origins, predicts])
    if news is not None:
        parts.append(news)
    return sha256_hex(canonical_json([strategy.interval, parts]))[:16]


def load_model(
    name: str, strategy: Strategy, columns: list[str], base: Path, role: str = "model"
) -> tuple[BaseModel | None, Model | None]:
    """What `strategy.model` names, certified; `role` is its place in the configuration."""
    if strategy.model is None:
        return None, None
    use = strategy.model
    try:
        model_registry.get(use.key)
    except KeyError as error:
        raise ConfigurationError(f"strategies.{name}.{role}: {error.args[0]}") from None
    from plugins.models.artifacts.artifact import load_artifact

    loaded = load_artifact(base / use.artifact, key=use.key, columns=columns, trusted=use.trusted, strategy=strategy)
    return loaded.model, Model(use.key, loaded.sha256)


def _resolved(
    strategy: Strategy,
    features: tuple[FeatureColumns, ...],
    model: BaseModel | None,
    model_id: Model | None,
    generator: BaseSignalGenerator,
    universe: Universe,
    fold: FeatureColumns | None,
) -> dict[str, Any]:
    """The configuration as it takes effect: defaults filled in, plugin versions, the model by its hash and not by
    where it lies, the universe by its members; what of the news section weighs, where news is used. How long a
    cross-section waits is not in it: a closing tells who came. A shadow takes no effect.
    """
    left_out = {"features", "model", "shadow", "signal", "universe", "cross_section", "news"}
    plain = strategy.model_dump(mode="json", exclude=left_out)
    if _use_news(features, fold):
        plain["news"] = (strategy.news or NewsUse()).model_dump(mode="json")
    return plain | {
        "universe": universe.resolved,
        "features": [_named(f.feature.plugin) | {"columns": list(f.columns)} for f in features],
        "model": {**_named(model), "sha256": model_id.sha256} if model is not None and model_id is not None else None,
        "signal": _named(generator),
    }


def _use_news(features: tuple[FeatureColumns, ...], fold: FeatureColumns | None) -> bool:
    parts = features if fold is None else (*features, fold)
    return any(origin in NEWS_COLUMNS for bound in parts for origin in bound.origins)


def _named(plugin: Plugin) -> dict[str, Any]:
    return {"key": plugin.key, "version": plugin.version, "params": plugin.params}
