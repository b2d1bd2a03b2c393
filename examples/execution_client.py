"""How a trading system should read signals: a plain Kafka consumer, which imports nothing of alphawire.

    python examples/execution_client.py localhost:9092 demo [PREFIX OF THE TOPICS]

prints the orders that strategy `demo` asks for, on paper, and on standard error what became of the signals: history is
all too late. The rules, in the order of `ExecutionClient`:

1. Read with ``read_committed``: what a worker took back (an aborted transaction) is then never seen.
2. Drop an `id` that was handled before: after a crash a worker may publish a signal again, with the same bytes.
3. Refuse what is past `valid_until` by **your** clock: it was decided for a market that is gone.
4. Bring the position to the target, ``equity * weight / price`` in whole lots, rounded toward zero. A weight of
   ``null`` keeps the position, whatever it is.
5. Order, then note the position, then commit the offset. A crash in between shows signals again: so keep with each
   position the time of the signal that it comes from, and drop what is not newer; and give your broker the `id` as
   the order's own id, so that it refuses a second one.
6. Of a strategy that publishes changes only, the last decision stands until its `silent_until`. When that has passed
   and no signal came, although the market trades, something is down: `overdue` names the symbols.
"""

import asyncio
import contextlib
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError

REMEMBERED = 1_000_000
"""Ids kept to know a repeat by: some days of a thousand symbols' minutes. Repeats come within moments."""


@dataclass
class ExecutionClient:
    """Turns the signals of one strategy into orders; those of others are left."""

    strategy: str
    positions: dict[str, tuple[int, int]]  # symbol: lots (short: negative), time of the signal; as in your database
    order: Callable[[str, int, str], object]  # order(symbol, lots, id) sends an order; negative lots sell
    price: Callable[[str], float | None]  # a symbol's last price; None: not known
    equity: Callable[[], float]  # what the account is worth now
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000  # milliseconds since the epoch
    lot: float = 1.0  # shares in a lot
    counts: Counter[str] = field(default_factory=Counter)  # what became of the records
    silent_until: dict[str, int] = field(default_factory=dict)  # by symbol, of a strategy that publishes changes
    _seen: dict[str, None] = field(default_factory=dict)

    def summary(self) -> str:
        """``1,200 signals: 1,000 too late, 150 kept, 50 ordered``."""
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in self.counts.most_common())
        return f"{self.counts.total():,} signals: {outcomes or 'none yet'}"

    async def run(self, bootstrap: str, topic: str = "signals", group: str = "execution", **settings: Any) -> None:
        """Reads and acts until cancelled. A restart goes on from the offsets that `group` committed."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, isolation_level="read_committed",
            enable_auto_commit=False, auto_offset_reset="earliest", **settings,
        )  # fmt: skip
        await consumer.start()
        try:
            while True:
                fetched = await consumer.getmany(timeout_ms=1000)
                for record in (record for records in fetched.values() for record in records):
                    self.counts[self.handle(record.value)] += 1
                # when it fails, another member has the partitions now and sees these records again
                with contextlib.suppress(CommitFailedError):
                    await consumer.commit()
        finally:
            await consumer.stop()

    def handle(self, value: bytes) -> str:
        """Acts on one record of the topic; returns what became of it."""
        try:
            signal = json.loads(value)["content"]
            strategy, symbol, weight = signal["strategy"], signal["symbol"], signal["weight"]
            identity, decided, valid_until = signal["id"], signal["time"], signal["valid_until"]
        except (ValueError, KeyError, TypeError):
            return "unreadable"
        if strategy != self.strategy:
            return "other strategy"
        held, since = self.positions.get(symbol, (0, -1))
        if identity in self._seen or decided <= since:
            return "repeat"
        self._seen[identity] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]  # the oldest: a dict keeps the order of insertion
        if (silent_until := signal.get("silent_until")) is not None:
            self.silent_until[symbol] = silent_until
        if self.clock() > valid_until:
            return "too late"
        if weight is None:
            return "kept"
        if (price := self.price(symbol)) is None:
            return "no price"
        target = self.target(weight, price)
        if target != held:
            self.order(symbol, target - held, identity)
        self.positions[symbol] = target, decided
        return "ordered" if target != held else "there already"

    def overdue(self, patience: int = 120_000) -> list[str]:
        """Symbols that a signal was due for so many milliseconds ago: allow for a bar's length. Ask while the market
        trades.
        """
        now = self.clock() - patience
        return sorted(symbol for symbol, until in self.silent_until.items() if until < now)

    def target(self, weight: float, price: float) -> int:
        """Lots that `weight` of the equity buys; 2.9999999999 lots are 3, but for rounding."""
        lots = weight * self.equity() / (price * self.lot)
        return int(math.copysign(math.floor(abs(lots) + 1e-9), lots))


async def on_paper(bootstrap: str, strategy: str, prefix: str = "", equity: float = 100_000.0) -> None:
    """Prints orders and takes them for filled; prices are the closes on the topic `bars`."""
    closes: dict[str, float] = {}

    async def follow_prices() -> None:
        async with AIOKafkaConsumer(f"{prefix}bars", bootstrap_servers=bootstrap) as bars:
            async for bar in bars:
                closes[bar.key.decode()] = json.loads(bar.value)["close"]

    client = ExecutionClient(strategy, {}, order=print, price=closes.get, equity=lambda: equity)

    async def show() -> None:
        shown = ""
        while True:
            if (summary := client.summary()) != shown:
                print(shown := summary, file=sys.stderr, flush=True)
            await asyncio.sleep(1)

    await asyncio.gather(follow_prices(), client.run(bootstrap, f"{prefix}signals", f"{prefix}execution"), show())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(on_paper(*sys.argv[1:4]))
