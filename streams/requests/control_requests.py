"""What strategies are wished to be: the wishes on `control` in log order, and what this worker makes of them.

A wish stays until another one comes for the same thing. What is in force on a partition is what `applied` says there:
a wish only leads to one.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from plugins.base.throttle import throttled
from plugins.pipeline.pipeline import prepare
from plugins.strategy.model_exchange import find_model, with_artifact
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Strategy
from schemas.errors import AlphawireError, ConfigurationError
from schemas.wire import Applied, Pause, Resume, Use, Wish
from streams.requests.switches import Switch

log = logging.getLogger("alphawire.wishes")

REST = 4.0
"""Seconds for a second of certifying: on full cores bars took 140 ms longer beside it without (seen)."""


@dataclass(frozen=True)
class RequestedModel:
    """The newest model that was wished and accepted, and from which time on (ms; None: at once)."""

    ready: ReadyStrategy
    from_time: int | None


class ControlRequests:
    """The book of wishes for `strategies`, which are as configured (`settings`)."""

    def __init__(self, strategies: Sequence[ReadyStrategy], settings: Mapping[str, Strategy]) -> None:
        self._configured = {strategy.name: strategy for strategy in strategies}
        self._settings = settings
        self._models: dict[str, RequestedModel] = {}
        self._pauses: dict[str, Pause | Resume] = {}
        self._refused: dict[str, dict[str, str]] = defaultdict(dict)
        """By strategy, of the wishes that came after the accepted one: SHA-256 → why it was refused."""
        self._listeners: list[Callable[[str], None]] = []

    def on_accepted(self, listener: Callable[[str], None]) -> None:
        """Calls `listener` with the strategy of each request that is accepted from now on."""
        self._listeners.append(listener)

    def announce(self, strategy: str) -> None:
        """A request for the strategy was accepted."""
        for listener in self._listeners:
            listener(strategy)

    @property
    def names(self) -> set[str]:
        """The strategies for which there are wishes."""
        return self._models.keys() | self._pauses.keys()

    def concerns(self, wish: Wish) -> bool:
        """Does the strategy run here?"""
        return wish.strategy in self._configured

    def begin(self, wishes: Iterable[Wish]) -> dict[str, str | None]:
        """All wishes that were there before the start; by the id of each that was looked at, why it is refused."""
        answers: dict[str, str | None] = {}
        uses: dict[str, list[Use]] = defaultdict(list)
        for wish in wishes:
            if isinstance(wish, Use):
                uses[wish.strategy].append(wish)
            else:
                self._pauses[wish.strategy] = wish
        for own in uses.values():
            for wish in reversed(own):
                answers[wish.id] = self._judge(wish)
                if answers[wish.id] is None:
                    log.info("%s: the model %s, as wished, replaces the configured one", wish.strategy, _named(wish))
                    break
        return answers

    def take(self, wish: Wish) -> str | None:
        """A new wish: why it is refused, or None. Takes its time, and is safe in a thread of its own: what is in force
        goes on meanwhile.
        """
        if not isinstance(wish, Use):
            self._pauses[wish.strategy] = wish
            return None
        with throttled(REST):
            reason = self._judge(wish)
        if reason is None:
            self._refused[wish.strategy].clear()
        return reason

    def _judge(self, wish: Use) -> str | None:
        try:
            ready = self._certified(wish)
        except AlphawireError as error:
            reason = " ".join(str(error).split())
        except Exception as error:  # a plugin's own code, whatever it raises: the old model stays
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        else:
            self._models[wish.strategy] = RequestedModel(ready, wish.from_time)
            return None
        self._refused[wish.strategy][wish.sha256 or ""] = reason
        return reason

    def _certified(self, wish: Use) -> ReadyStrategy:
        ours = self._configured[wish.strategy]
        if wish.artifact is None or wish.sha256 is None:
            return ours
        ready = with_artifact(ours, self._settings[wish.strategy], wish.artifact, wish.sha256)
        prepare([ready])
        return ready

    def switches(self, name: str) -> list[Switch]:
        """What a partition has to do for the strategy, if it has not done so yet."""
        found = []
        if wanted := self._models.get(name):
            found.append(Switch(name, wanted.from_time, ready=wanted.ready))
        if pause := self._pauses.get(name):
            found.append(Switch(name, pause.from_time, paused=isinstance(pause, Pause)))
        return found

    def at_start(self, name: str, known: Applied | None) -> ReadyStrategy:
        """The strategy as a partition goes on with it whose owner this worker becomes, `known` being in force there.

        Raises
        ------
        ConfigurationError
            When what must go on there is not here: never another model instead.
        """
        ours, wanted = self._configured[name], self._models.get(name)
        there = known.model if known else None
        if wanted and there == wanted.ready.model_id:
            return wanted.ready
        if known is not None and there is not None and known.artifact is not None:
            reason = self._refused[name].get(there.sha256)
            if reason is not None:
                raise _not_here(known, reason)
        if wanted is None or wanted.from_time is None:
            return wanted.ready if wanted else ours
        if known is None or there is None:
            return ours
        try:
            return find_model(ours, self._settings[name], there, known.artifact)
        except AlphawireError as error:
            if known.artifact is None:  # the configuration names another one now
                return ours
            raise _not_here(known, str(error)) from None


def _named(wish: Use) -> str:
    return f"{wish.artifact} ({(wish.sha256 or '')[:12]})" if wish.artifact else "of the configuration"


def _not_here(known: Applied, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"strategy {known.strategy} runs with the model {known.artifact} on {known.topic}/{known.partition}, and that"
        f" cannot be used here: {reason}; put it there, or go back: `alphawire models use {known.strategy} --back`"
    )
