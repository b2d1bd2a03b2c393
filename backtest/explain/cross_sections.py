"""What `explain` tells of a signal that was decided together with others: the cross-section, as the log has it, and
what of it is not what the bars and the configuration come to.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from backtest.explain.first_difference import NOTHING, FirstDifference, first_difference
from backtest.replay.logged_cross_sections import Gathered, Key, gathered
from backtest.replay.stretches import Stretch, strategies_of
from backtest.verify.cross_sections import bare, is_lost
from plugins.cross_sectional import ranked
from plugins.pipeline.cross_sections.closing import members_and_left
from plugins.pipeline.cross_sections.cross_section import closing_of, signals_of
from plugins.pipeline.cross_sections.deciding import Deciders
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.target_weights import none_if_nan
from schemas.wire import Signal, SignalContent, encode
from schemas.wire.cross_sections import Closing, Prediction, PredictionRecord


@dataclass(frozen=True)
class Section:
    """All symbols of one bar time: their predictions on the log, each with its offset, and the closing (with its own)
    that decided: that of this time, or of a later one that came first. None: the log has none yet. `of_file`: there is
    no log, and `offset` only says that all came before.
    """

    time: int
    logged: dict[str, tuple[int, Prediction]]
    signals: list[Signal]
    closing: Closing | None
    offset: int | None
    of_file: bool = False

    @property
    def in_time(self) -> list[str]:
        """The symbols that were on the log before the closing of their own time."""
        if self.closing is None or self.closing.time != self.time or self.offset is None:
            return []
        return sorted(symbol for symbol, (at, _) in self.logged.items() if at < self.offset)

    @property
    def late(self) -> list[str]:
        """The symbols whose signals change nothing, because they came after they were waited for."""
        decided = {*self.closing.members, *self.closing.left} & set(self.in_time) if self.closing else set[str]()
        return sorted(signal.content.symbol for signal in self.signals if signal.content.symbol not in decided)

    def plain(self, symbol: str) -> dict[str, Any]:
        """The section as JSON, for the signal of `symbol`, which has the `rank` there, 1 being the lowest prediction,
        among `ranked` ones.
        """
        decided = [s.content for s in self.signals if s.content.symbol not in self.late]
        known = [(c.symbol, c.prediction) for c in decided if c.prediction is not None and self._is_member(c.symbol)]
        ranks = dict(zip((name for name, _ in known), ranked(np.array([p for _, p in known])).tolist(), strict=True))
        rows = [
            {"symbol": c.symbol, "prediction": c.prediction, "rank": ranks.get(c.symbol), "signal": str(c.signal)}
            | {"weight": c.weight, "reason": c.reason, "offset": self.logged[c.symbol][0]}
            for c in (signal.content for signal in self.signals)
            if c.symbol in self.logged
        ]
        return {
            "closing": msgspec.to_builtins(self.closing),
            "offset": None if self.of_file else self.offset,
            "late": self.late,
            "rank": ranks.get(symbol),
            "ranked": len(ranks),
            "symbols": rows,
        }

    def _is_member(self, symbol: str) -> bool:
        return self.closing is not None and symbol in self.closing.members


@dataclass
class Sections:
    """A strategy's cross-sections on the log, beside the `computed` predictions of its bars; or those of a file."""

    ready: ReadyStrategy
    past: Mapping[int, Sequence[Stretch]]
    of_log: Gathered
    computed: Mapping[Key, Prediction]
    deciders: Deciders
    closings: list[tuple[int, Closing]] = field(default_factory=list)
    logged: dict[int, dict[str, tuple[int, Prediction]]] = field(default_factory=dict)
    of_file: bool = False

    @classmethod
    def of(
        cls,
        ready: ReadyStrategy,
        past: Mapping[int, Sequence[Stretch]],
        records: Sequence[tuple[int, PredictionRecord]],
        predictions: Sequence[Prediction],
    ) -> "Sections":
        """Those of the log's `records`; `PluginError` when the plugin of a closing is not here."""
        computed = {(prediction.symbol, prediction.time): prediction for prediction in predictions}
        deciders = Deciders([ready, *(one for part in past.values() for one in strategies_of(part))])
        sections = cls(ready, past, gathered(records, predictions, deciders), computed, deciders)
        closed = -1
        for offset, record in records:
            if isinstance(record, Prediction):
                sections.logged.setdefault(record.time, {}).setdefault(record.symbol, (offset, record))
            elif isinstance(record, Closing) and record.time > closed:
                closed = record.time
                sections.closings.append((offset, record))
        return sections

    @classmethod
    def decided_in_file(
        cls, ready: ReadyStrategy, kept: Iterable[tuple[Closing, Mapping[str, Prediction]]], beside: Iterable[Signal]
    ) -> "Sections":
        """Those that a replay of a file of bars has `kept`. There is no log that tells what was predicted: the signals
        that were written `beside` one another do, where they are there.
        """
        records: list[tuple[int, PredictionRecord]] = []
        for closing, present in kept:
            records += sorted((prediction.provenance.offset, prediction) for prediction in present.values())
            records.append((records[-1][0] + 1, closing))
        sections = cls.of(
            ready, {}, records, [prediction for _, prediction in records if isinstance(prediction, Prediction)]
        )
        sections.of_file = True
        for signal in beside:
            if (of_time := sections.logged.get(signal.content.time)) is not None:
                prediction = sections.computed.get((signal.content.symbol, signal.content.time))
                if prediction is None or not ready.section:
                    of_time[signal.content.symbol] = signal.provenance.offset, _prediction_of(signal, prediction)
        return sections

    def at(self, time: int) -> Section:
        offset, closing = next((entry for entry in self.closings if entry[1].time >= time), (None, None))
        signals = {s.content.symbol: s for _, s in reversed(self.of_log.signals) if s.content.time == time}
        every = [signal for _, signal in sorted(signals.items())]
        return Section(time, self.logged.get(time, {}), every, closing, offset, self.of_file)

    def difference(self, section: Section, symbol: str, published: SignalContent | None) -> FirstDifference | None:
        """The first input of the signal of `symbol`, as the log has it, that is not what is recomputed.

        Of a closing this is how it is decided and about whom, as far as the configuration that it names tells. Who
        came in time only the log knows: that is questioned when the signal is another than was `published` (None: it is
        the same), and would be the published one if all had come that are there. In a file all have, the closing is
        what is recomputed, and a signal that differs from the published one is itself the difference.
        """
        if self.of_file and published is not None:
            return None
        return next(self._differences(section, symbol, published), None)

    def _differences(self, section: Section, symbol: str, published: SignalContent | None) -> Iterator[FirstDifference]:
        for name in sorted({symbol, *section.logged}, key=lambda name: (name != symbol, name)):
            if difference := self._of_prediction(section, name):
                yield difference
        if self.of_file or section.closing is None:
            return
        if difference := self._of_closing(section, section.closing, published):
            yield difference

    def _of_prediction(self, section: Section, symbol: str) -> FirstDifference | None:
        _, logged = section.logged.get(symbol, (0, None))
        computed = self.computed.get((symbol, section.time))
        if computed is None and logged and is_lost(self.past.get(logged.provenance.partition, ()), logged):
            return None
        ours, theirs = (msgspec.to_builtins(bare(one)) if one else NOTHING for one in (logged, computed))
        return first_difference(ours, theirs, f"predictions.{symbol}.")

    def _of_closing(
        self, section: Section, closing: Closing, published: SignalContent | None
    ) -> FirstDifference | None:
        if closing.time != section.time:
            return FirstDifference("closing.time", closing.time, section.time) if published else None
        known = [self.ready, *(s.strategy for past in self.past.values() for s in past if s.strategy)]
        by = next((strategy for strategy in known if strategy.config_hash == closing.config_hash), None)
        if by is None:
            hashes = {stretch.applied.config_hash for past in self.past.values() for stretch in past}
            here = None if closing.config_hash in hashes else self.ready.config_hash
            return FirstDifference("closing.config_hash", closing.config_hash, here) if here else None
        named = {*closing.members, *closing.left}
        due = _due(by, closing, [symbol for symbol in section.in_time if symbol in named])
        whole = _due(by, closing, section.in_time)
        if published and self._makes(section, whole, published):
            due = whole
        return first_difference(msgspec.to_builtins(closing), msgspec.to_builtins(due), "closing.")

    def _makes(self, section: Section, closing: Closing, published: SignalContent) -> bool:
        """Does the closing result in the published signal?"""
        contents = [signal.content for signal in signals_of(closing, self._there(section), self.deciders(closing))]
        return any(encode(content) == encode(published) for content in contents)

    def _there(self, section: Section) -> dict[str, Prediction]:
        """Of each symbol what is recomputed, else what is on the log."""
        return {
            symbol: self.computed.get((symbol, section.time), prediction)
            for symbol, (_, prediction) in section.logged.items()
        }

    def made(self, section: Section, symbol: str) -> dict[str, float | None]:
        """Of a symbol that was decided about, the columns that were made of the cross-section."""
        if section.closing is None or section.closing.time != section.time or symbol in section.late:
            return {}
        decider, there = self.deciders(section.closing), self._there(section)
        members = [name for name in section.closing.members if name in there]
        if decider.strategy is None or symbol not in members:
            return {}
        columns, row = decider.predicted([there[name] for name in members]).columns, members.index(symbol)
        return {one.name: none_if_nan(float(columns[one.name][row])) for one in decider.strategy.section}


def _prediction_of(signal: Signal, prediction: Prediction | None) -> Prediction:
    """What the signal tells of its prediction; why there is none it tells in words of its own."""
    content = signal.content
    return Prediction(
        content.strategy, content.symbol, content.time, content.prediction, prediction.reason if prediction else None,
        content.model, content.config_hash, content.gap, content.valid_until, signal.provenance,
    )  # fmt: skip


def _due(by: ReadyStrategy, closing: Closing, present: Sequence[str]) -> Closing:
    """The closing of that time which strategy `by` writes when these symbols have come; whether its signals come with
    it is its owner's to say.
    """
    members, left = members_and_left(by.universe, closing.time, present)
    if by.universe.periods is None:  # whom a rule expected, only the log knows
        expected = closing_of(by, closing.time, members, left, members)
        expected = msgspec.structs.replace(expected, missing=closing.missing, expected=closing.expected)
    else:
        expected = closing_of(by, closing.time, members, left, by.universe.expected(closing.time, {}, ()) or ())
    return msgspec.structs.replace(expected, with_signals=closing.with_signals)
