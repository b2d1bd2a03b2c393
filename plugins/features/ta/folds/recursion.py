"""Functions that depend on every bar: the library's recursion, bar by bar, compiled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plugins.features.ta.folds import arithmetic
from plugins.features.ta.functions import Function
from plugins.features.ta.library import require_room
from plugins.fold import Field, FoldFeature, StepParam
from plugins.fold.kernel import Step

Params = dict[str, Any]


@dataclass(frozen=True)
class Recursion:
    """One function's fold: its step, its state's fields, the bars before the first value, and what the library
    derives of the parameters once.
    """

    step: Step
    state: Callable[[Params], Sequence[Field]]
    warmup: Callable[[Params], int]
    constants: Callable[[Params], dict[str, StepParam]] = lambda params: {}
    averages: tuple[int, ...] = ()


class RecursiveFunction(FoldFeature):
    """A function whose value depends on every bar since the first, as a fold. It needs no library."""

    function: ClassVar[Function]
    recursion: ClassVar[Recursion]
    cost = "compiled"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        require_room(self.key, self.state_dtype.itemsize)

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(self.params.get(name, name)) for name in self.function.inputs))

    @property
    def fields(self) -> tuple[str, ...]:
        return self.function.outputs

    @property
    def warmup(self) -> int:
        return self.recursion.warmup(self.params)

    @property
    def chosen_step(self) -> Step:
        return self.recursion.step

    def state(self) -> Sequence[Field]:
        return self.recursion.state(self.params)

    @staticmethod
    def step(state: Any, bar: Any, params: Any, out: Any) -> None:
        """It is `chosen_step` that runs."""
        raise NotImplementedError

    def step_params(self) -> dict[str, StepParam]:
        return {**super().step_params(), **self.recursion.constants(self.params)}

    def prepare(self) -> None:
        arithmetic.register()
        super().prepare()
