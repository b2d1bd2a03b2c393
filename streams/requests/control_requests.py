"""The control requests on `control`, in log order, and what this worker makes of them.

A request holds until another one comes for the same model or pause. What is in force on a partition is what `applied`
says there: a request only leads to one.
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
from streams.requests.switches import StrategySwitch

log = logging.getLogger("alphawire.requests")

REST = 4.0
"""Seconds of pause for a second of certifying: on full cores bars took 140 ms longer without it (seen)."""


@dataclass(frozen=True)
class RequestedModel:
    """The newest model that was requested and accepted, and from which time on (ms; None: at once)."""

    ready: ReadyStrategy
    from_time: int | None


class ControlRequests:
    """What is requested of `strategies`, which are as configured (`settings`)."""

    def __init__(self, strategies: Sequence[ReadyStrategy], settings: Mapping[str, Strategy]) -> None:
        self._configured = {strategy.name: strategy for strategy in strategies}
        self._settings = settings
        self._models: dict[str, RequestedModel] = {}
        self._pauses: dict[str, Pause | Resume] = {}
        self._refused: dict[str, dict[str, str]] = defaultdict(dict)
        """By strategy, of the requests that came after the accepted one: SHA-256 → why it was refused."""
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
        """The strategies for which there are requests."""
        return self._models.keys() | self._pauses.keys()

    def concerns(self, request: Wish) -> bool:
        """Does the strategy run here?"""
        return request.strategy in self._configured

    def begin(self, requests: Iterable[Wish]) -> dict[str, str | None]:
        """Takes all requests from before the start; by the id of each that was judged, why it is refused."""
        answers: dict[str, str | None] = {}
        uses: dict[str, list[Use]] = defaultdict(list)
        for request in requests:
            if isinstance(request, Use):
                uses[request.strategy].append(request)
            else:
                self._pauses[request.strategy] = request
        for own in uses.values():
            for request in reversed(own):
                answers[request.id] = self._judge(request)
                if answers[request.id] is None:
                    log.info(
                        "%s: the model %s, as requested, replaces the configured one", request.strategy, _named(request)
                    )
                    break
        return answers

    def take(self, request: Wish) -> str | None:
        """Takes a new request: why it is refused, or None. Certifying a model takes time and is safe in a thread of its
        own: what is in force goes on meanwhile.
        """
        if not isinstance(request, Use):
            self._pauses[request.strategy] = request
            return None
        with throttled(REST):
            reason = self._judge(request)
        if reason is None:
            self._refused[request.strategy].clear()
        return reason

    def _judge(self, request: Use) -> str | None:
        try:
            ready = self._certified(request)
        except AlphawireError as error:
            reason = " ".join(str(error).split())
        except Exception as error:  # a plugin's own code, whatever it raises: the old model stays
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        else:
            self._models[request.strategy] = RequestedModel(ready, request.from_time)
            return None
        self._refused[request.strategy][request.sha256 or ""] = reason
        return reason

    def _certified(self, request: Use) -> ReadyStrategy:
        ours = self._configured[request.strategy]
        if request.artifact is None or request.sha256 is None:
            return ours
        ready = with_artifact(ours, self._settings[request.strategy], request.artifact, request.sha256)
        prepare([ready])
        return ready

    def requested(self, name: str) -> Iterable[ReadyStrategy]:
        """The strategy with the model that was requested last, if one was."""
        return [self._models[name].ready] if name in self._models else []

    def switches(self, name: str) -> list[StrategySwitch]:
        """What a partition has to do for the strategy, if it has not done so yet."""
        switches = []
        if model := self._models.get(name):
            switches.append(StrategySwitch(name, model.from_time, ready=model.ready))
        if pause := self._pauses.get(name):
            switches.append(StrategySwitch(name, pause.from_time, paused=isinstance(pause, Pause)))
        return switches

    def at_start(self, name: str, known: Applied | None) -> ReadyStrategy:
        """The strategy as a partition goes on with it whose owner this worker becomes, `known` being in force there:
        its interval written as there, so that hash and states stay.

        Raises
        ------
        ConfigurationError
            When what must go on there is not here: never another model instead.
        """
        ready = self._modelled(name, known)
        return ready if known is None else ready.spelled_as(known.config)

    def _modelled(self, name: str, known: Applied | None) -> ReadyStrategy:
        """With the model that goes on there."""
        ours, requested = self._configured[name], self._models.get(name)
        in_force = known.model if known else None
        if requested and in_force == requested.ready.model_id:
            return requested.ready
        if known is not None and in_force is not None and known.artifact is not None:
            reason = self._refused[name].get(in_force.sha256)
            if reason is not None:
                raise _not_here(known, reason)
        if requested is None or requested.from_time is None:
            return requested.ready if requested else ours
        if known is None or in_force is None:
            return ours
        try:
            return find_model(ours, self._settings[name], in_force, known.artifact)
        except AlphawireError as error:
            if known.artifact is None:  # the configuration names another one now
                return ours
            raise _not_here(known, str(error)) from None


def _named(request: Use) -> str:
    return f"{request.artifact} ({(request.sha256 or '')[:12]})" if request.artifact else "of the configuration"


def _not_here(known: Applied, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"strategy {known.strategy} runs with the model {known.artifact} on {known.topic}/{known.partition}, and that"
        f" cannot be used here: {reason}; put it there, or go back: `alphawire models use {known.strategy} --back`"
    )
