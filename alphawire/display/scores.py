"""Scores of a model, in words for the terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugins.models.artifacts.manifest import Estimate, OutOfSample


def verdict_lines(tested: "OutOfSample") -> list[tuple[str, str]]:
    """Lines that say how the model did beside the baselines, and whether it is better."""
    verdict = (
        "better than both baselines"
        if tested.better_than_baselines
        else "NOT better than the baselines: the interval of its IC, or of its lead over the last return's, reaches 0"
    )
    return [
        ("IC", f"{interval_text(tested.model.ic)}; last return {interval_text(tested.last_return.ic)}"),
        ("R²", f"{interval_text(tested.model.r2)}; zero {interval_text(tested.zero.r2)}"),
        (
            "hit rate",
            f"{interval_text(tested.model.hit_rate)}; last return {interval_text(tested.last_return.hit_rate)}",
        ),
        ("verdict", verdict),
    ]


def interval_text(estimate: "Estimate") -> str:
    if estimate.value is None:
        return "undefined"
    return f"{estimate.value:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
