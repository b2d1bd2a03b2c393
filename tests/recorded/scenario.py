"""The story that is recorded: the same inputs, wishes and kills, by the code of one checkout or of two in turn.

Kills come at named places, or when there are so many signals. What a life has reached when it dies is a matter of time,
so what is compared are facts that do not depend on it; between two steps everything is at rest.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.recorded import inputs
from tests.recorded.checkout import Checkout, RunError, Worker
from tests.recorded.progress import Progress
from tests.recorded.topics import Input, Recording, reading, until

PATIENCE = 180.0


class Scenario:
    """One recording, in the folder of `config`; the lives' code comes from `sides` in turn."""

    def __init__(
        self, recording: Recording, sides: Sequence[Checkout], config: Path, plugin: Path, bootstrap: str,
        sha256: dict[str, str],
    ) -> None:  # fmt: skip
        self.recording, self.config, self.plugin, self.bootstrap = recording, config, plugin, bootstrap
        self.sha256 = sha256
        self.worker: Worker | None = None
        self.progress = Progress(recording)
        self._sides: Iterator[Checkout] = itertools.cycle(sides)
        self._began = time.monotonic()

    async def play(self) -> Recording:
        async with Input(self.bootstrap) as self.input, reading(self.bootstrap, self.recording):
            try:
                await self._an_hour()
                await self._half_an_hour()
                await self._failing_and_restoring()
                await self._without_scorer()
            finally:
                if self.worker is not None:
                    self.worker.kill()
        return self.recording

    async def _an_hour(self) -> None:
        """Killed in the midst; the next one begins with wishes, and is killed in a round of snapshots."""
        await self.input.send(inputs.step_a())
        self._start()
        await self._until("some signals", lambda: self.progress.signals >= 300)
        self._kill("in the midst")
        await self.input.send(inputs.step_a2())
        await self.input.send(
            [
                inputs.wish("use", "w1", "forest", artifact="gbm_b", sha256=self.sha256["gbm_b"],
                            from_time=inputs.close_time(70)),
                inputs.wish("use", "w2", "forest", artifact="gbm_b", sha256="0" * 64),
                inputs.wish("pause", "w3", "plain", from_time=inputs.close_time(75)),
            ]
        )  # fmt: skip
        self._start("before_roster=2")
        await self._dead()

    async def _half_an_hour(self) -> None:
        """A symbol's bars are missing at the end; then a wish at once, and a kill of an idle worker."""
        self._start()
        await self._quiet("a")
        await self.input.send(inputs.step_b())
        await self._quiet("b")
        await self.input.send([inputs.wish("resume", "w4", "plain")])
        await self._until("plain goes on", lambda: self.progress.applied("plain", paused=False) == inputs.PARTITIONS)
        await self._quiet("b, resumed")
        self._kill("idle")

    async def _failing_and_restoring(self) -> None:
        """A plugin fails in two lives, of which the second dies while it restores; the third has all of it."""
        fail = self.plugin.with_name("fail")
        fail.write_text(" ".join(str(inputs.prices(symbol)[95][3]) for symbol in ("AAA", "BBB", "CCC")))
        await self.input.send(inputs.step_c())
        self._start("after_send=25")
        await self._dead()
        self._start("in_load=2")
        await self._dead()
        fail.unlink()
        self._start()
        await self._quiet("c")
        await self.input.send([inputs.wish("use", "w5", "forest", artifact=None, sha256=None)])
        await self._until("forest is as configured", lambda: self.progress.back("forest") == inputs.PARTITIONS)

    async def _without_scorer(self) -> None:
        """Bars that nobody scores, one by one; a kill while one is held; and all again, to a stop in good order."""
        for minute in inputs.SILENT:
            await self.input.send(inputs.silent_minute(minute))
            if minute == inputs.SILENT[1]:
                self._kill("while bars are held")
                self._start()
            await self._until("decided without news", lambda: self.progress.unknown(self.input.ends))
        await self.input.send(inputs.step_d())
        await self._quiet("d")
        self._stop()
        await asyncio.sleep(2.0)
        self._checkpoint("end")

    def _start(self, failpoints: str = "") -> None:
        side, number = next(self._sides), len(self.recording.lives)
        log = self.config.with_name(f"{self.config.stem}-{number}-{side.label}.log")
        self.recording.lives.append(side.label)
        self.worker = Worker(side, self.config, self.plugin, log, failpoints)

    def _kill(self, when: str) -> None:
        worker = self._alive()
        worker.kill()
        self._ended(worker, when)

    def _stop(self) -> None:
        worker = self._alive()
        worker.stop()
        self._ended(worker, "stopped")

    def _ended(self, worker: Worker, how: str) -> None:
        worker.check_code()
        self.recording.lives[-1] += f", {how}"
        self._say(self.recording.lives[-1])
        self.worker = None

    async def _dead(self) -> None:
        """Until the failpoint has killed it."""
        worker = self.worker
        assert worker is not None
        try:
            await until("a worker's end at its failpoint", lambda: worker.ended, PATIENCE, lambda: None)
        except AssertionError as error:
            raise RunError(f"{self.recording.name}: {error}: {worker.last_words()}") from None
        if not worker.killed:
            raise RunError(f"{worker.checkout.label}: it should be killed, and ended otherwise: {worker.last_words()}")
        words = worker.log.read_text(errors="replace").partition("failpoint ")[2]
        self._ended(worker, f"killed at {words.partition(':')[0]}")

    async def _quiet(self, name: str) -> None:
        """Until all is published, in a round of snapshots, and nothing more is written."""
        await self._until(f"rest at {name}", lambda: self.progress.rests(self.input.ends))
        self._checkpoint(name)

    def _checkpoint(self, name: str) -> None:
        self.recording.checkpoints[name] = len(self.recording.records)
        self._say(f"checkpoint {name}: {self.progress.signals} signals")

    async def _until(self, what: str, condition: object) -> None:
        assert callable(condition)
        try:
            await until(what, condition, PATIENCE, lambda: self._alive() and None)
        except AssertionError as error:
            raise RunError(f"{self.recording.name}: {error}; {self.progress.unrest(self.input.ends)}") from None

    def _alive(self) -> Worker:
        if self.worker is None or self.worker.ended:
            raise RunError(f"a worker ended: {self.worker.last_words() if self.worker else 'there is none'}")
        return self.worker

    def _say(self, text: str) -> None:
        print(f"  {self.recording.name} {time.monotonic() - self._began:6.1f} s: {text}", flush=True)
