"""Accepted requests that wait, on one partition, for the offset from which they are in force."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from plugins.base.bars import BarBatch
from plugins.pipeline.strategy_run import StrategyRun
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Applied


@dataclass(frozen=True)
class StrategySwitch:
    """A strategy goes on with another model (`ready`), or is `paused`, or no longer: at once (`from_time` None), or
    from the first bar on that closes at `from_time` (ms) or later.
    """

    strategy: str
    from_time: int | None
    ready: ReadyStrategy | None = None
    paused: bool | None = None

    def applied(self, entry: Applied, offset: int) -> Applied:
        """What is in force from `offset` on, where `entry` was until then."""
        if self.ready is None:
            return msgspec.structs.replace(entry, offset=offset, paused=bool(self.paused))
        ready = self.ready
        return msgspec.structs.replace(
            entry, offset=offset, config_hash=ready.config_hash, config=ready.config, model=ready.model_id,
            layout=ready.layout, artifact=ready.artifact,
        )  # fmt: skip

    def changes(self, entry: Applied) -> bool:
        """Is anything else than this in force?"""
        then = self.applied(entry, entry.offset)
        return (then.config_hash, then.paused) != (entry.config_hash, entry.paused)

    def carry_out(self, run: StrategyRun, offset: int) -> None:
        """From `offset` on."""
        run.put_in_force(offset)
        if self.ready is not None:
            run.exchange(self.ready)
        elif self.paused:
            run.pause()
        else:
            run.resume()


class PendingSwitches:
    """Those that wait. A later one for the same thing, the model or the pause, takes the place of an earlier one.

    `floors`: by strategy, the offset before which all is published already, so that nothing may change.
    """

    def __init__(self, floors: Mapping[str, int]) -> None:
        self._floors = floors
        self._waiting: dict[tuple[str, bool], StrategySwitch] = {}

    def add(self, switch: StrategySwitch, entry: Applied) -> None:
        """`entry` is in force now: what it says already need not be done."""
        if switch.ready is not None:
            switch = replace(switch, ready=switch.ready.spelled_as(entry.config))
        key = (switch.strategy, switch.ready is None)
        self._waiting.pop(key, None)
        if switch.changes(entry):
            self._waiting[key] = switch

    def due(
        self, position: int, end: int, batches: Mapping[str, BarBatch], runs: Mapping[str, StrategyRun]
    ) -> Iterator[tuple[int, StrategySwitch]]:
        """Each with its offset, in the order of these, as far as bars up to `end` tell; they wait no longer."""
        while self._waiting:
            places = {key: self._place(switch, position, batches, runs) for key, switch in self._waiting.items()}
            due = [(offset, key) for key, offset in places.items() if offset is not None and offset < end]
            if not due:
                return
            position, key = min(due)
            yield position, self._waiting.pop(key)

    def _place(
        self, switch: StrategySwitch, position: int, batches: Mapping[str, BarBatch], runs: Mapping[str, StrategyRun]
    ) -> int | None:
        """Not while the strategy's states are folded elsewhere: there it publishes with what was in force before; nor
        once it has failed.
        """
        run, first = runs[switch.strategy], max(position, self._floors[switch.strategy])
        if not run.active:
            return None
        if switch.from_time is None:
            return first
        batch = batches.get(run.strategy.interval)
        if batch is None:
            return None
        rows = np.flatnonzero((batch.offsets >= first) & (batch.bars["time"] >= switch.from_time)).tolist()
        return next((int(batch.offsets[row]) for row in rows if run.wants(batch.symbols[row])), None)
