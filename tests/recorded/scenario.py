"""The story that is recorded: the same inputs, wishes and kills, by the code of one checkout or of two in turn.

Kills come at named places, or when there are so many signals. What a life has reached when it dies is a matter of time,
so what is compared are facts that do not depend on it; between two steps everything is at rest.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.recorded import inputs
from tests.recorded.checkout import Checkout
from tests.recorded.progress import Progress
from tests.recorded.strategies import GRACE, PREFIX, SHORT_GRACE, set_grace
from tests.recorded.topics import Input, Recording, reading
from tests.recorded.worker_lives import Lives

STILL = 150.0
"""Seconds without a record; the longest wait of the story is `SHORT_GRACE`."""


class Scenario:
    """One recording, in the folder of `config`; the lives' code comes from `sides` in turn."""

    def __init__(
        self, recording: Recording, sides: Sequence[Checkout], config: Path, plugin: Path, bootstrap: str,
        sha256: dict[str, str],
    ) -> None:  # fmt: skip
        self.recording, self.plugin, self.bootstrap, self.sha256 = recording, plugin, bootstrap, sha256
        self.lives = Lives(recording, sides, config, ("worker", "--plugins", str(plugin)))
        self.progress = Progress(recording)

    async def play(self) -> Recording:
        async with Input(self.bootstrap, PREFIX) as self.input, reading(self.bootstrap, self.recording.records, PREFIX):
            try:
                await self._an_hour()
                await self._half_an_hour()
                await self._failing_and_restoring()
                await self._without_scorer()
                await self._late()
            finally:
                self.lives.close()
        return self.recording

    async def _an_hour(self) -> None:
        """Killed in the midst; the next one begins with wishes, and is killed in a round of snapshots."""
        await self.input.send(inputs.first_half_hour())
        self.lives.start()
        await self._until("some signals", lambda: self.progress.signals >= 300)
        self.lives.kill("in the midst")
        await self.input.send(inputs.hour())
        model, later = {"artifact": "gbm_b", "sha256": self.sha256["gbm_b"]}, inputs.close_time(70)
        await self.input.send(
            [
                inputs.wish("use", "w1", "forest", **model, from_time=later),
                inputs.wish("use", "w2", "forest", **model | {"sha256": "0" * 64}),
                inputs.wish("pause", "w3", "plain", from_time=inputs.close_time(75)),
            ]
        )
        self.lives.start("before_roster=2")
        await self.lives.dead()

    async def _half_an_hour(self) -> None:
        """Bars while it is at work; then a wish at once, and a kill of an idle worker."""
        self.lives.start()
        await self._quiet("the first hour")
        for begin in (60, 75):
            await self.input.send(inputs.quarter(begin))
            await self._quiet(f"minute {begin + 15}")
        await self.input.send([inputs.wish("resume", "w4", "plain")])
        await self._until("plain goes on", lambda: self.progress.applied("plain", paused=False) == inputs.PARTITIONS)
        await self._quiet("resumed")
        self.lives.kill("idle")

    async def _failing_and_restoring(self) -> None:
        """A plugin fails in two lives, of which the second dies while it restores; the third has all of it."""
        fail = self.plugin.with_name("fail")
        fail.write_text(" ".join(str(inputs.prices(symbol)[95][3]) for symbol in ("AAA", "BBB", "CCC")))
        await self.input.send([*inputs.quarter(90), *inputs.quarter(105)])
        self.lives.start("after_send=25")
        await self.lives.dead()
        self.lives.start("in_load=2")
        await self.lives.dead()
        fail.unlink()
        self.lives.start()
        await self._quiet("two hours")
        await self.input.send([inputs.wish("use", "w5", "forest", artifact=None, sha256=None)])
        await self._until("forest is as configured", lambda: self.progress.back("forest") == inputs.PARTITIONS)

    async def _without_scorer(self) -> None:
        """Bars that nobody scores, one by one; a kill while one is held; what is missing is given up in time."""
        for minute in inputs.SILENT:
            await self.input.send(inputs.silent_minute(minute))
            if minute == inputs.SILENT[1]:
                self.lives.kill("while bars are held")
                set_grace(self.lives.config, SHORT_GRACE)
                self.lives.start()
            await self._until("decided without news", lambda: self.progress.unknown(self.input.ends))
        await self._quiet("without news")
        self.lives.kill("without news")

    async def _late(self) -> None:
        """What was given up comes late; then all goes on to a stop in good order."""
        set_grace(self.lives.config, GRACE)
        await self.input.send(inputs.late())
        self.lives.start()
        await self._quiet("late")
        await self.input.send(inputs.quarter(135))
        await self._quiet("the last quarter")
        self.lives.stop()
        await asyncio.sleep(2.0)
        self._checkpoint("end")

    async def _quiet(self, name: str) -> None:
        """Until all is published, in a round of snapshots, and nothing more is written."""
        await self._until(f"rest at {name}", lambda: self.progress.rests(self.input.ends))
        self._checkpoint(name)

    def _checkpoint(self, name: str) -> None:
        self.recording.checkpoints[name] = len(self.recording.records)
        self.lives.say(f"checkpoint {name}: {self.progress.signals} signals")

    async def _until(self, what: str, condition: Callable[[], bool]) -> None:
        """A worker that stands still is begun again: in the code before, an error of the client may end the task that
        folds a strategy by itself, without a word.
        """
        self.progress.begin()

        def came() -> bool:
            if self.progress.silence > STILL and not condition():
                self.progress.begin()
                self.lives.again(f"stood still: {self.progress.unrest(self.input.ends)}")
            return condition()

        await self.lives.until(what, came, lambda: self.progress.unrest(self.input.ends))
