"""The live part: bars come at a steady pace, a worker turns them into signals, and is killed half-way."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.text import Text

from alphawire.demo.screen import FellShort, Progress, Screen
from alphawire.demo.seen import Seen
from schemas.configuration import Config
from schemas.wire import SignalContent
from streams.ingest.produce import produce_bars
from streams.kafka.brokers.process import GuardedProcess, tail
from streams.kafka.clients import open_consumer
from streams.kafka.topics import topic_name
from streams.recovery.state import decode_applied

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

RATE = 300.0
"""Bars a second: more than an hour of this market."""
PATIENCE = 60.0
"""Seconds without anything new after which something is wrong."""
SILENCE = 0.5
"""Seconds: after the kill, a pause as long as this is the outage, not what was under way."""
STOP_TIMEOUT = 20.0
COLOURS = {"BUY": "green", "SELL": "red"}


@contextlib.asynccontextmanager
async def follow(config: Config, topic: str) -> AsyncIterator["AIOKafkaConsumer"]:
    """A consumer of all that is committed on a topic, from its beginning; without a group, so it starts at once."""
    from aiokafka import TopicPartition

    places = [TopicPartition(topic_name(config.kafka, topic), number) for number in range(config.kafka.partitions)]
    async with open_consumer(config.kafka, isolation_level="read_committed", fetch_max_wait_ms=50) as consumer:
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        yield consumer


class Live:
    """Worker processes, one after the other, and what they made of `bars`; `folder` holds their configuration."""

    def __init__(self, config: Config, folder: Path, bars: pd.DataFrame, screen: Screen) -> None:
        self.config, self.folder, self.bars, self.screen = config, folder, bars, screen
        self.seen = Seen()
        self.kills = 0
        self.gap = 0.0
        self._log = folder / "worker.log"
        self._worker: GuardedProcess | None = None
        self._closes = dict(zip(zip(bars["symbol"], bars["close_time"], strict=True), bars["close"], strict=True))

    @property
    def pid(self) -> int:
        return self._worker.pid if self._worker else 0

    def start_worker(self) -> None:
        """Another worker process; it ends with this one, however this one ends."""
        # -P: a folder named plugins where the demo is run must not take the place of ours
        command = [sys.executable, "-P", "-m", "alphawire", "worker", "-c", str(self.folder / "alphawire.yaml")]
        self._worker = GuardedProcess(command, self._log)

    def kill_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()

    def stop_worker(self) -> int | None:
        """A graceful stop; its exit code."""
        assert self._worker is not None
        self._worker.stop(STOP_TIMEOUT)
        return self._worker.exit_code

    async def until_applied(self) -> None:
        """Waits until workers have written, for every partition, from where on they publish."""
        applied: set[int] = set()
        began = time.monotonic()
        async with follow(self.config, "control") as consumer:
            while len(applied) < self.config.kafka.partitions:
                self._check(began)
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    applied |= {record.partition for record in records if decode_applied(record.value)}

    async def run(self) -> None:
        """Produces and reads until there is a signal for every bar, and kills the worker on the way."""
        producing = asyncio.create_task(produce_bars(self.config.kafka, self.bars, rate=RATE))
        try:
            async with follow(self.config, "signals") as consumer:
                with self.screen.counting(len(self.bars)) as show:
                    await self._read(consumer, producing, show)
            await producing
        finally:
            producing.cancel()
            await asyncio.wait({producing})

    async def _read(self, consumer: "AIOKafkaConsumer", producing: "asyncio.Task[object]", show: Progress) -> None:
        total, moved = len(self.bars), time.monotonic()
        while (before := len(self.seen.contents)) < total:
            quiet = time.monotonic() - moved > SILENCE
            show(f"{'waiting for worker' if quiet else 'worker'} {self.pid}", before)
            if producing.done():
                producing.result()
            for records in (await consumer.getmany(timeout_ms=50)).values():
                for record in records:
                    self._take(record.value or b"")
            if len(self.seen.contents) > before:
                self._note_silence(time.monotonic() - moved)
                moved = time.monotonic()
            self._check(moved)
            if not self.kills and len(self.seen.contents) >= total // 2:
                self._kill_and_start_another()

    def _take(self, value: bytes) -> None:
        if (signal := self.seen.take(value)) is not None:
            self.screen.scroll(self._told(signal))

    def _told(self, signal: SignalContent) -> Text:
        """One line: when, what, at which price, and what the model expects."""
        time = datetime.fromtimestamp(signal.time / 1000, UTC).strftime("%d %b %H:%M")
        price, expected = self._closes[signal.symbol, signal.time], signal.prediction or 0.0
        line = Text(f"  {time}  {signal.symbol:<5}")
        line.append(f"{signal.signal!s:<5}", COLOURS[str(signal.signal)])
        return line.append(f" at {price:8.2f}, expects {expected:+.3%}")

    def _check(self, moved: float) -> None:
        """`FellShort` when the worker is gone, or nothing has come for long."""
        if self._worker is None or not self._worker.running:
            raise FellShort(f"the worker ended by itself: {tail(self._log)}")
        if time.monotonic() - moved > PATIENCE:
            raise FellShort(f"nothing came for {PATIENCE:.0f} s; the worker's log ends with: {tail(self._log)}")

    def _kill_and_start_another(self) -> None:
        killed = self.pid
        self.kill_worker()
        self.kills += 1
        self.start_worker()
        self.screen.line("kill", f"SIGKILL to worker {killed}, half-way; worker {self.pid} is started", bad=True)

    def _note_silence(self, seconds: float) -> None:
        if self.kills and not self.gap and seconds > SILENCE:
            self.gap = seconds
            self.screen.line("restart", f"worker {self.pid} goes on where the other one was", seconds)
