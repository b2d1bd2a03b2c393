"""The shadows of a worker's strategies: made ready at the start, and how they compare with what is in force."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plugins.pipeline.prediction.shadow import ReadyShadow, ready_shadow
from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Strategy

log = logging.getLogger("alphawire.shadow")


@dataclass
class Shadows:
    """By strategy: those that are ready, and why another one is not. A shadow that cannot be used stops nothing."""

    ready: dict[str, ReadyShadow] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def status(self) -> dict[str, dict[str, Any]]:
        """By strategy, how its shadow has done since the worker started."""
        ready = {
            name: {
                "sha256": shadow.model_id.sha256,
                "fault": shadow.comparison.first_failure,
                **shadow.comparison.describe(),
            }
            for name, shadow in self.ready.items()
        }
        faulty = {name: {"sha256": None, "fault": reason} for name, reason in self.faults.items()}
        return dict(sorted((ready | faulty).items()))

    def log_status(self) -> None:
        """Logs one line for each shadow."""
        for name, shadow in sorted(self.ready.items()):
            figures = ", ".join(
                f"{figure.replace('_', ' ')} {_shown(value)}" for figure, value in shadow.comparison.describe().items()
            )
            log.info("%s and its shadow %s: %s", name, shadow.model_id.sha256[:12], figures)


def load_shadows(strategies: Sequence[ReadyStrategy], settings: Mapping[str, Strategy]) -> Shadows:
    """The shadows that the configuration names, certified; one that fails is logged, and left out."""
    shadows = Shadows()
    for strategy in strategies:
        try:
            shadow = ready_shadow(strategy, settings[strategy.name])
        except Exception as error:  # an artifact's fault, or a plugin's own code: the strategy goes on
            reason = shadows.faults[strategy.name] = " ".join(str(error).split()) or type(error).__name__
            log.error("%s runs without its shadow: %s", strategy.name, reason)
            continue
        if shadow is not None:
            shadows.ready[strategy.name] = shadow
            log.info("%s has the shadow %s %s", strategy.name, shadow.model_id.key, shadow.model_id.sha256[:12])
    return shadows


def _shown(value: float | int | None) -> str:
    return "undefined" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
