"""Which partitions a symbol's bars lie on, as far as `control` knows of all workers: it must be one.

>>> places = SymbolPlaces("bars")
>>> places.take(Placed("bars", 0, ["AAPL", "IBM"]))
>>> places.unknown(1, ["AAPL", "SPY"])
[Placed(topic='bars', partition=1, symbols=['AAPL', 'SPY'])]
>>> places.take(Placed("bars", 1, ["AAPL", "SPY"]))
>>> places.scattered
{'AAPL': [0, 1]}
"""

import logging
from collections import defaultdict
from collections.abc import Iterable

from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import Placed, decode_control
from streams.kafka.log import Log
from streams.kafka.partitioner import scattered
from streams.kafka.topics import topic_name

log = logging.getLogger("alphawire.places")

SYMBOLS = 1_000
"""In a record, which so stays below any broker's limit."""


class SymbolPlaces:
    """Of the symbols of the topic `topic` of bars."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._places: dict[str, set[int]] = defaultdict(set)
        self.scattered: dict[str, list[int]] = {}
        """The symbols that lie on several partitions, and these."""

    def unknown(self, partition: int, symbols: Iterable[str]) -> list[Placed]:
        """The records that say which of these symbols lie on the partition, as far as none on the log does."""
        missing = sorted({symbol for symbol in symbols if partition not in self._places.get(symbol, ())})
        parts = (missing[first : first + SYMBOLS] for first in range(0, len(missing), SYMBOLS))
        return [Placed(self.topic, partition, part) for part in parts]

    def take(self, record: Placed) -> None:
        """A record of the log, whoever wrote it; symbols that are scattered by it are logged."""
        if record.topic != self.topic:
            return
        found = {}
        for symbol in record.symbols:
            numbers = self._places[symbol]
            if record.partition not in numbers and numbers:
                found[symbol] = sorted({*numbers, record.partition})
            numbers.add(record.partition)
        self.scattered |= found
        if fault := self._fault(found):
            log.error("%s", fault)

    def fault(self) -> str | None:
        """What is wrong, and the mend."""
        return self._fault(self.scattered)

    def _fault(self, found: dict[str, list[int]]) -> str | None:
        return scattered(found, self.topic)


async def places_on(log: Log) -> dict[str, set[int]]:
    """The partitions of each symbol, as `control` says; nothing in an archive of bars alone."""
    places: dict[str, set[int]] = defaultdict(set)
    try:
        await log.partition_count("control")
    except ConfigurationError:
        return places
    async for record in log.records("control", 0, isolation="read_committed"):
        try:
            placed = decode_control(record.value)
        except BadRecord:
            continue
        if isinstance(placed, Placed) and placed.topic == topic_name(log, "bars"):
            for symbol in placed.symbols:
                places[symbol].add(placed.partition)
    return places
