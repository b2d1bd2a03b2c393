"""Where the owner of a partition of `bars` goes on, by what the log says of it."""

import asyncio
import logging
from collections.abc import Sequence

from plugins.strategy.identity import edited
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Config
from streams.kafka.log import KafkaLog
from streams.kafka.topics import topic_name
from streams.process.failpoints import failpoint
from streams.publishing.writer import WriterFactory, home
from streams.recovery.conditions import Conditions, conditions_of, say
from streams.recovery.plan import NEWS_TRACK, ResumePlan, of_track, resume_plan
from streams.recovery.state import StoredState, load, look_beyond, look_beyond_predictions
from streams.requests.control_requests import ControlRequests

log = logging.getLogger("alphawire.restoring")


class ResumePlanner:
    """Plans for a worker with these `strategies`, and `count` partitions of bars."""

    def __init__(
        self,
        config: Config,
        strategies: Sequence[ReadyStrategy],
        count: int,
        factory: WriterFactory,
        requests: ControlRequests,
    ) -> None:
        self.config = config
        self.log = KafkaLog(config.kafka)
        self.strategies = strategies
        self.partition_count = count
        self.factory = factory
        self.requests = requests
        waits = any(strategy.waits for strategy in strategies)
        self.tracks = ["", NEWS_TRACK] if waits else [""]
        """Of each partition. The second one is there where strategies use news or references."""

    async def plans(self, number: int) -> list[ResumePlan]:
        """One for each track."""
        bars = topic_name(self.log, "bars")
        stored = await load(self.log, number)
        failpoint("in_load")
        if stored.left_out:
            failpoint("before_left_out")
        ready = [await self._going_on(strategy.name, stored) for strategy in self.strategies]
        looked_for = _changed(stored, ready) | (self.requests.names & stored.applied.keys())
        if self._other_partitioner(stored):
            looked_for |= stored.applied.keys() & {strategy.name for strategy in ready}
        if not self.factory.exactly_once and looked_for:
            stored.beyond = await self._beyond(number, looked_for)
        begin, end = await self.log.offset_range("bars", number)
        conditions = conditions_of(stored, self.config.kafka, self.factory.exactly_once, end)
        if not self.factory.exactly_once:
            # signals may be on the log up to here, so a request that comes later takes effect after that
            stored.beyond = dict.fromkeys(stored.applied.keys() - looked_for, end) | stored.beyond
        planned = [
            resume_plan(stored.of_track(track), of_track(ready, track), bars, number, begin, end)
            for track in self.tracks
        ]
        _log_change(number, stored, conditions)
        _log_edited(number, stored, ready)
        for restored in planned:
            say(restored, stored, conditions)
            _log_plan(number, restored)
        return planned

    def _other_partitioner(self, stored: StoredState) -> bool:
        now = self.config.kafka.partitioner, self.config.kafka.bars_source
        return bool(stored.partitioners) and stored.partitioners[-1][1:] != now

    async def _beyond(self, number: int, names: set[str]) -> dict[str, int]:
        """Where the last signals, or predictions, of these strategies lie on the log, past the marker."""
        cross_sectional = {strategy.name for strategy in self.strategies if strategy.at_once} & names
        beyond = await look_beyond(self.log, number, names - cross_sectional) if names - cross_sectional else {}
        for name in cross_sectional:
            at = home(name, self.partition_count)
            beyond |= await look_beyond_predictions(self.log, number, name, at)
        return beyond

    async def _going_on(self, name: str, stored: StoredState) -> ReadyStrategy:
        return await asyncio.to_thread(self.requests.at_start, name, stored.applied.get(name))


def _changed(stored: StoredState, ready: Sequence[ReadyStrategy]) -> set[str]:
    """The strategies that ran with another configuration until now, or with bars that are left out."""
    ours = {one.name: (one.config_hash, stored.left_out_of(one.interval)) for one in ready}
    return {
        name
        for name, known in stored.applied.items()
        if name in ours and (known.config_hash, known.left_out) != ours[name]
    }


def _log_change(number: int, stored: StoredState, conditions: Conditions) -> None:
    (offset, partitioner, source), known = conditions.partitioners[-1], stored.partitioners
    if known and source != known[-1].source:
        log.warning(
            "bars/%d: records from offset %d on are read as %s; those before as %s",
            number, offset, source or "alphawire's own", known[-1].source or "alphawire's own",
            extra={"partition": number, "offset": offset},
        )  # fmt: skip
    if known and partitioner != known[-1].partitioner:
        log.warning(
            "bars/%d: %s says which symbols belong here from offset %d on; before that, %s did: symbols that it refused"
            " begin now, or with their dead letters if these are put back first",
            number, partitioner, offset, known[-1].partitioner, extra={"partition": number, "offset": offset},
        )  # fmt: skip


def _log_edited(number: int, stored: StoredState, ready: Sequence[ReadyStrategy]) -> None:
    """Plugins whose code is another one than that in force, though nobody raised their version."""
    for strategy in ready:
        if known := stored.applied.get(strategy.name):
            for change in edited(known.config, strategy.config):
                log.warning(
                    "bars/%d: %s: %s; it takes effect like a new version: raise it, and others see the change, too",
                    number, strategy.name, change,
                )  # fmt: skip


def _log_plan(number: int, restored: ResumePlan) -> None:
    if restored.why_rebuilt:
        log.warning(
            "bars/%d: states are folded again from offset %d: %s",
            number,
            restored.position,
            restored.why_rebuilt,
            extra={"partition": number, "offset": restored.position},
        )
    for name, why in restored.behind.items():
        log.warning(
            "bars/%d: %s is folded again from offset %d, beside the others: %s",
            number, name, restored.behind_from, why,
        )  # fmt: skip
    for entry in restored.new:
        log.info(
            "bars/%d: %s is in force from offset %d on, configuration %s, its state from offset %d on",
            number, entry.strategy, entry.offset, entry.config_hash, entry.origin.offset,
        )  # fmt: skip
