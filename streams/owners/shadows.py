"""The shadows of a worker's strategies: made ready at the start, and how they compare with what is in force."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plugins.pipeline.shadow import ReadyShadow, ready_shadow
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Strategy

log = logging.getLogger("alphawire.shadow")


@dataclass
class Shadows:
    """By strategy: those that are ready, and why another one is not. A shadow that cannot be used stops nothing."""

    ready: dict[str, ReadyShadow] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def standing(self) -> dict[str, dict[str, Any]]:
        """By strategy, how its shadow has done since the worker started."""
        there = {
            name: {"sha256": shadow.model_id.sha256, "fault": shadow.standing.first_failure, **shadow.standing.told()}
            for name, shadow in self.ready.items()
        }
        return dict(
            sorted((there | {name: {"sha256": None, "fault": why} for name, why in self.faults.items()}).items())
        )

    def tell(self) -> None:
        """One line a shadow on the log."""
        for name, shadow in sorted(self.ready.items()):
            told = ", ".join(
                f"{what.replace('_', ' ')} {_shown(value)}" for what, value in shadow.standing.told().items()
            )
            log.info("%s and its shadow %s: %s", name, shadow.model_id.sha256[:12], told)


def load_shadows(strategies: Sequence[ReadyStrategy], settings: Mapping[str, Strategy]) -> Shadows:
    """The shadows that the configuration names, certified; one that fails is told, and left out."""
    found = Shadows()
    for strategy in strategies:
        try:
            shadow = ready_shadow(strategy, settings[strategy.name])
        except Exception as error:  # an artifact's fault, or a plugin's own code: the strategy goes on
            reason = found.faults[strategy.name] = " ".join(str(error).split()) or type(error).__name__
            log.error("%s runs without its shadow: %s", strategy.name, reason)
            continue
        if shadow is not None:
            found.ready[strategy.name] = shadow
            log.info("%s has the shadow %s %s", strategy.name, shadow.model_id.key, shadow.model_id.sha256[:12])
    return found


def _shown(value: float | int | None) -> str:
    return "undefined" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
