"""Who decides about a closed cross-section: the generator that its closing names and, where columns of the
cross-section come before the prediction, the strategy whose model predicts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from plugins.base import BaseSignalGenerator, Decisions, FloatArray, name_of, usable_decision
from plugins.base.plugin_errors import is_ours, plugin_errors
from plugins.cross_sectional import CrossSectionGenerator
from plugins.pipeline.cross_sections.section_columns import section_columns
from plugins.pipeline.prediction.model import ask
from plugins.signals import signal_registry
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.target_weights import none_if_nan
from schemas.canonical import canonical_json
from schemas.errors import PluginError
from schemas.wire.cross_sections import Closing, Prediction

OTHER = "its columns are of another configuration than the cross-section"
_decode_params = msgspec.json.Decoder(dict).decode


def decide(generator: BaseSignalGenerator, time: int, symbols: Sequence[str], values: ArrayLike) -> Decisions:
    """Decides about one cross-section.

    Parameters
    ----------
    time
        Close of its bars, in ms since the epoch (UTC).
    values
        One prediction for each of `symbols`.

    Returns
    -------
    Decisions
        In the order of `symbols`.

    Raises
    ------
    PluginError
        `generate` fails, or returns something else than one usable decision a row.
    """
    if isinstance(generator, CrossSectionGenerator):
        with plugin_errors(name_of(generator), "decide"):
            return generator.decide_section(np.asarray(values, np.float64))
    frame = pd.DataFrame({"symbol": list(symbols), "time": time, "prediction": np.asarray(values, np.float64)})
    key = name_of(generator)
    try:
        returned = generator.generate(frame)
    except BaseException as error:  # foreign code, whatever it raises
        if is_ours(error):
            raise
        raise PluginError(f"{key}: generate failed: {type(error).__name__}: {error}") from error
    if not isinstance(returned, pd.DataFrame) or len(returned) != len(frame) or "signal" not in returned:
        raise PluginError(f"{key}: generate must return the frame that it got, as many rows, with a `signal` column")
    nothing = [None] * len(frame)
    parts = [returned[name].tolist() if name in returned else nothing for name in ("signal", "weight", "reason")]
    rows = [usable_decision(key, *row) for row in zip(*parts, strict=True)]
    return Decisions([row[0] for row in rows], np.array([row[1] for row in rows], np.float64), [row[2] for row in rows])


def generator_of(closing: Closing) -> BaseSignalGenerator:
    """The plugin that the closing names.

    Raises
    ------
    PluginError
        It is not here, or in another version.
    """
    return _generator(closing.signal.key, closing.signal.version, canonical_json(closing.signal.params))


@lru_cache(maxsize=64)
def _generator(key: str, version: str, params: bytes) -> BaseSignalGenerator:
    try:
        generator = signal_registry.create(key, **_decode_params(params))
    except KeyError as error:
        raise PluginError(f"a cross-section was decided by {key}, which is not here: {error.args[0]}") from None
    if generator.version != version:
        raise PluginError(
            f"a cross-section was decided by {key} version {version}, and here is version {generator.version}"
        )
    return generator


@dataclass(frozen=True)
class Decider:
    """What decides about a cross-section; `strategy`: whose columns are made and whose model predicts then, None where
    the predictions have come with the symbols.
    """

    generator: BaseSignalGenerator
    strategy: ReadyStrategy | None = None

    def predicted(self, members: Sequence[Prediction]) -> "Predicted":
        """The members, by symbol, with their predictions."""
        if self.strategy is None:
            return Predicted(members, {})
        return _predicted(self.strategy, members)

    def decide(self, time: int, predicted: "Predicted") -> Decisions:
        """About the members that have a prediction, of which there is at least one, in their order."""
        rows = [row for row, member in enumerate(predicted.members) if member.prediction is not None]
        known = [predicted.members[row] for row in rows]
        values = [member.prediction for member in known]
        if self.generator.cross_section:
            return decide(self.generator, time, [member.symbol for member in known], np.array(values, np.float64))
        columns = {name: column[rows] for name, column in predicted.columns.items()}
        with plugin_errors(name_of(self.generator), "decide"):
            return self.generator.decide(columns | {"prediction": np.array(values, np.float64)})


@dataclass(frozen=True)
class Predicted:
    """Members of a cross-section, and what a generator that looks at one symbol decides by: a value for each member."""

    members: Sequence[Prediction]
    columns: Mapping[str, FloatArray]


def _predicted(strategy: ReadyStrategy, members: Sequence[Prediction]) -> Predicted:
    """Only of members whose columns are those of `strategy`; of the others nothing is known."""
    rows = [row for row, member in enumerate(members) if _is_of(strategy, member)]
    values = np.full((len(members), len(strategy.all_columns)), np.nan)
    values[rows] = _columns(strategy, [members[row] for row in rows])
    predictions = np.full(len(members), np.nan)
    if strategy.model is None:
        predictions = values[:, strategy.all_columns.index(strategy.prediction or "")]
    elif rows:
        symbols = [members[row].symbol for row in rows]
        predictions[rows] = ask(strategy.model, symbols, values[rows][:, np.newaxis], strategy.all_columns)
    known = [
        msgspec.structs.replace(member, prediction=none_if_nan(value), reason=_reason(strategy, member))
        for member, value in zip(members, predictions.tolist(), strict=True)
    ]
    return Predicted(known, dict(zip(strategy.all_columns, values.T, strict=True)))


def _columns(strategy: ReadyStrategy, members: Sequence[Prediction]) -> FloatArray:
    """Those of each symbol, then those of the cross-section."""
    own = np.full((len(members), len(strategy.columns)), np.nan)
    for row, member in enumerate(members):
        assert isinstance(member.columns, dict)
        own[row] = [np.nan if (value := member.columns.get(name)) is None else value for name in strategy.columns]
    return np.concatenate([own, section_columns(strategy.section, own)], axis=1)


def _is_of(strategy: ReadyStrategy, member: Prediction) -> bool:
    return isinstance(member.columns, dict) and member.config_hash == strategy.config_hash


def _reason(strategy: ReadyStrategy, member: Prediction) -> str | None:
    return member.reason if member.config_hash == strategy.config_hash else OTHER


class Deciders:
    """Finds who decides, among strategies that are `known`; `find` looks elsewhere for the one of a configuration
    hash.
    """

    def __init__(
        self,
        known: Iterable[ReadyStrategy] = (),
        find: Callable[[str], ReadyStrategy | None] = lambda digest: None,
    ) -> None:
        self._known = {strategy.config_hash: strategy for strategy in known}
        self._find = find

    def of(self, digest: str) -> ReadyStrategy | None:
        """The strategy of this configuration hash."""
        if digest not in self._known:
            found = next(filter(None, (strategy.as_of(digest) for strategy in self._known.values())), None)
            if (found := found or self._find(digest)) is not None:
                self._known[digest] = found
        return self._known.get(digest)

    def deciding(self, present: Mapping[str, Prediction], configured: ReadyStrategy) -> ReadyStrategy:
        """Who is to decide about these. Where the prediction is made here, that is the configuration which the last of
        them is of, if it is known; else the `configured` one.
        """
        if not configured.section:
            return configured
        hashes = dict.fromkeys(prediction.config_hash for prediction in reversed(list(present.values())))
        return next(filter(None, map(self.of, hashes)), configured)

    def __call__(self, closing: Closing) -> Decider:
        """Raises `PluginError` where what the closing names is not here."""
        generator = generator_of(closing)
        if closing.predicts is not True:
            return Decider(generator)
        strategy = self.of(closing.config_hash)
        if strategy is None:
            raise PluginError(
                f"a cross-section was closed under the configuration {closing.config_hash}, whose features and model"
                " predict it, and which is not here; run it with that configuration (and that model)"
            )
        return Decider(generator, strategy)
