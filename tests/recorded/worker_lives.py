"""Lives of a command one after the other, by the code of one checkout or of two in turn."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.recorded.checkout import Checkout, Life, RunError
from tests.recorded.topics import Recording, until

PATIENCE = 900.0
"""Seconds; on a loaded machine a start alone takes a minute."""


class Lives:
    """Of ``alphawire WORDS``; logs go beside `config`. `progress` tells in words what a wait still misses."""

    def __init__(self, recording: Recording, sides: Sequence[Checkout], config: Path, words: Sequence[str]) -> None:
        self.recording, self.config, self.words = recording, config, (*words, "-c", str(config))
        self.now: Life | None = None
        self._sides: Iterator[Checkout] = itertools.cycle(sides)
        self._count = 0
        self._began = time.monotonic()

    def start(self, failpoint: str = "") -> None:
        self._next = next(self._sides), failpoint
        self._start()

    def _start(self) -> None:
        side, failpoint = self._next
        log = self.config.with_name(f"{self.config.stem}-{self._count}-{side.label}.log")
        self._count += 1
        self.now = Life(side, self.words, log, failpoint)

    def kill(self, when: str) -> None:
        life = self.alive()
        life.kill()
        self._ended(life, f"killed {when}")

    def stop(self) -> None:
        life = self.alive()
        life.stop()
        self._ended(life, "stopped")

    def close(self) -> None:
        """Whatever happened."""
        if self.now is not None:
            self.now.kill()

    async def dead(self) -> None:
        """Until the failpoint has killed it."""
        try:
            await until("its end at its failpoint", lambda: self._restarted().ended, PATIENCE, lambda: None)
        except AssertionError as error:
            raise RunError(f"{self.recording.name}: {error}: {self._restarted().last_words()}") from None
        life = self._restarted()
        if not life.killed:
            raise RunError(f"{life.checkout.label}: it should be killed, and ended otherwise: {life.last_words()}")
        words = life.log.read_text(errors="replace").partition("failpoint ")[2]
        self._ended(life, f"killed at {words.partition(':')[0]}")

    async def until(self, what: str, condition: Callable[[], bool], unrest: Callable[[], object]) -> None:
        """While it lives; `unrest` tells what is missing."""
        try:
            await until(what, condition, PATIENCE, self.alive)
        except AssertionError as error:
            raise RunError(f"{self.recording.name}: {error}; {unrest()}") from None

    def alive(self) -> Life:
        life = self._restarted()
        if life.ended:
            raise RunError(f"it ended by itself: {life.last_words()}")
        return life

    def again(self, how: str) -> None:
        """By the same code, as a supervisor does."""
        life = self._restarted()
        life.kill()
        self._ended(life, how)
        self._start()

    def _restarted(self) -> Life:
        """The life; one that gave its broker up is begun again."""
        assert self.now is not None
        if self.now.gave_up:
            self._ended(self.now, "gave its broker up")
            self._start()
        return self.now

    def say(self, text: str) -> None:
        print(f"  {self.recording.name} {time.monotonic() - self._began:6.1f} s: {text}", flush=True)

    def _ended(self, life: Life, how: str) -> None:
        life.check_code()
        self.recording.lives.append(f"{self.words[0]} by {life.checkout.label}, {how}")
        self.say(self.recording.lives[-1])
        self.now = None
