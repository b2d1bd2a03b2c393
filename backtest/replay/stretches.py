"""What was in force for a strategy on a partition, stretch by stretch."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from plugins.strategy.identity import edited
from plugins.strategy.model_exchange import recreated
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from schemas.wire import Applied, Signal


@dataclass(frozen=True)
class Stretch:
    """Bars from offset `begin` up to, not including, `end`, for which one `applied` was in force; no signals where that
    says paused.

    `strategy` recomputes them; without one, `fault` says why they cannot be: `gone` when that is because the log no
    longer reaches their origin.
    """

    begin: int
    end: int
    applied: Applied
    strategy: ReadyStrategy | None
    fault: str | None = None
    gone: bool = False

    def covers(self, signal: Signal) -> bool:
        return self.begin <= signal.provenance.offset < self.end


def strategies_of(past: Sequence[Stretch]) -> list[ReadyStrategy]:
    """Those that can be made here."""
    return [stretch.strategy for stretch in past if stretch.strategy is not None]


def stretches(entries: Sequence[Applied], oldest: int, ready: ReadyStrategy, config: Config) -> list[Stretch]:
    """The past of a strategy on a partition, from all that was ever applied there; `ready` is what it is here, by
    `config`. What began before `oldest`, the first offset of the log, cannot be recomputed.
    """
    ends = [*(entry.offset for entry in entries), sys.maxsize][1:]
    strategies: dict[str, ReadyStrategy | None] = {ready.config_hash: ready}
    for entry in entries:
        if strategies.get(entry.config_hash) is None:
            strategies[entry.config_hash] = recreated(entry, config)
    return [
        _stretch(entry, end, oldest, strategies[entry.config_hash], ready)
        for entry, end in zip(entries, ends, strict=True)
        if end > entry.offset
    ]


def _stretch(entry: Applied, end: int, oldest: int, strategy: ReadyStrategy | None, ready: ReadyStrategy) -> Stretch:
    if oldest > entry.origin.offset:
        fault = (
            f"{entry.topic}/{entry.partition} begins at offset {oldest} now,"
            f" after the origin {entry.origin.offset} of the state"
        )
        return Stretch(entry.offset, end, entry, None, fault, gone=True)
    if strategy is not None:
        return Stretch(entry.offset, end, entry, strategy)
    fault = (
        f"{entry.topic}/{entry.partition} ran configuration {entry.config_hash} from offset {entry.offset} on,"
        f" which cannot be made here{_lacking(entry, ready)}; here it is {ready.config_hash}"
    )
    return Stretch(entry.offset, end, entry, None, fault)


def _lacking(entry: Applied, ready: ReadyStrategy) -> str:
    if entry.config.get("sessions", ready.config.get("sessions")) != ready.config.get("sessions"):
        return f": it needs other sessions of {ready.execution.calendar}, of another version of exchange_calendars"
    if changes := edited(entry.config, ready.config):
        return f": {'; '.join(changes)}"
    if entry.model is None:
        return ""
    return f": it needs the model {entry.artifact or entry.model.key} of SHA-256 {entry.model.sha256}"
