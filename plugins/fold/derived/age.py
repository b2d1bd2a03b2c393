"""How old the reference's bar is that stands beside each bar."""

from typing import Any

from plugins.fold.feature import FoldFeature


class Age(FoldFeature):
    """Intervals since the reference's bar closed; 0: it closed when the bar did. NaN: there is none."""

    key = "derived.age"
    outputs = ("age",)
    requires = ("with.age",)
    reads = ()
    warmup = 0

    def state(self) -> list[tuple[str, str]]:
        return [("none", "i1")]

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        out.age = bar.with_age
