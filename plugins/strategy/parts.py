"""The parts of a strategy: its features, its generator's fold, its model and the rows that this looks back on."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from plugins.base import BaseModel, BaseSignalGenerator
from plugins.base.loading.registry import PluginRegistry
from plugins.fold.row_ring import LARGEST_RING, RowRing
from plugins.fold.windowed import streaming
from plugins.models import model_registry
from plugins.models.artifacts.inputs import Inputs
from plugins.models.artifacts.manifest import FeatureUse
from plugins.side_inputs.news.join import NEWS_COLUMNS
from plugins.strategy.requirements import FeatureColumns, Features, origins_of
from schemas.canonical import canonical_json
from schemas.configuration import NewsUse, PluginUse, Strategy
from schemas.errors import ConfigurationError, PluginError
from schemas.wire import Model


def create(registry: PluginRegistry[Any], use: PluginUse, place: str) -> Any:
    """The plugin that the configuration names.

    Parameters
    ----------
    place
        Of the section in the configuration, for the message.

    Raises
    ------
    ConfigurationError
        There is no such plugin (the message lists near keys), or it refuses its parameters.
    """
    try:
        return registry.create(use.key, **use.params)
    except KeyError as error:
        raise ConfigurationError(f"{place}: {error.args[0]}") from None
    except PluginError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    except Exception as error:  # foreign code, whatever it raises
        raise ConfigurationError(f"{place}: {use.key}: cannot be created: {type(error).__name__}: {error}") from error


def fold_of(place: str, generator: BaseSignalGenerator, features: tuple[FeatureColumns, ...]) -> FeatureColumns | None:
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
    """Where a sequence model's last rows lie; None for a model that sees one row.

    Parameters
    ----------
    width
        Number of feature columns.
    role
        The model's place in the strategy's configuration.
    taken
        Bytes of a symbol's snapshot that another model's rows take.

    Raises
    ------
    ConfigurationError
        The lookback is no number of rows, or the rows do not fit into a snapshot.
    """
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


def model_columns(name: str, strategy: Strategy, columns: Sequence[str], role: str = "model") -> list[str]:
    """Of the strategy's `columns` those that the model sees, in their order.

    Raises
    ------
    ConfigurationError
        It is to see one that there is not, or one twice.
    """
    if strategy.model is None or (wanted := strategy.model.columns) is None:
        return list(columns)
    place = f"strategies.{name}.{role}.columns"
    if missing := [column for column in wanted if column not in columns]:
        raise ConfigurationError(f"{place}: there is no column {missing[0]!r}; there are {', '.join(columns)}")
    if twice := [column for column in wanted if wanted.count(column) > 1]:
        raise ConfigurationError(f"{place}: {twice[0]} is there twice")
    return [column for column in columns if column in wanted]


def inputs_of(strategy: Strategy, features: Features) -> Inputs:
    """What a model of the strategy sees, as its manifest records it: nothing of a feature that only others need."""
    chosen = strategy.model.columns if strategy.model else None
    if chosen is not None:
        features = features.needed_for(chosen)
    uses = [
        FeatureUse(
            key=use.plugin.key,
            version=use.plugin.version,
            source=use.plugin.source_sha256,
            params=json.loads(canonical_json(to_jsonable_python(use.params))),
            columns=use.columns,
            **use.calendar,
        )
        for use in features.uses()
    ]
    return Inputs(uses, news_use(strategy, features.own))


def news_use(strategy: Strategy, parts: Sequence[FeatureColumns]) -> dict[str, Any] | None:
    """What of the news section weighs for these `parts`; None where none of them uses news."""
    return (strategy.news or NewsUse()).model_dump(mode="json") if use_news(parts) else None


def use_news(parts: Sequence[FeatureColumns]) -> bool:
    """Does any of them need the news of a bar?"""
    return any(origin in NEWS_COLUMNS for bound in parts for origin in bound.origins)


def load_model(
    name: str, strategy: Strategy, features: Features, base: Path, role: str = "model"
) -> tuple[BaseModel | None, Model | None]:
    """What `strategy.model` names, certified.

    Parameters
    ----------
    features
        Whose columns it will be given, in this order.
    base
        What a relative path of an artifact starts from.
    role
        The model's place in the strategy's configuration.

    Raises
    ------
    ConfigurationError
        There is no such plugin.
    ArtifactError
        The artifact cannot be used, or is one of other features.
    """
    if strategy.model is None:
        return None, None
    use = strategy.model
    try:
        model_registry.get(use.key)
    except KeyError as error:
        raise ConfigurationError(f"strategies.{name}.{role}: {error.args[0]}") from None
    from plugins.models.artifacts.loading import load_artifact

    columns = features.columns
    model_columns(name, strategy, columns, role)
    loaded = load_artifact(
        base / use.artifact, key=use.key, columns=columns, trusted=use.trusted, strategy=strategy,
        inputs=inputs_of(strategy, features),
    )  # fmt: skip
    return loaded.model, Model(use.key, loaded.sha256)
