"""How a strategy runs on one partition, and what an observer of it is shown."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from plugins.base import FloatArray
from plugins.base.streaming import IntArray
from plugins.pipeline.accepted_bars import AcceptedBars
from plugins.pipeline.prediction.shadow import ReadyShadow

Lap = Callable[[str, int], AbstractContextManager[None]]
"""Measures what runs inside: a stage (``features``, ``model``) of so many bars. The pipeline itself knows no clock."""
_NOTHING = nullcontext()


def unmeasured(_stage: str, _bars: int) -> AbstractContextManager[None]:
    """Nobody wants to know."""
    return _NOTHING


@dataclass(frozen=True)
class Observation:
    """What a run made of accepted bars.

    Parameters
    ----------
    counts
        Shape (bars,): the bar's number among its symbol's bars, from 1.
    published
        Numbers of the rows about which something is published.
    columns
        What the generator decides by, of the published rows: features, its own fold, ``prediction``.
    """

    accepted: AcceptedBars
    counts: IntArray
    published: IntArray
    columns: Mapping[str, FloatArray]


@dataclass(frozen=True)
class RunSettings:
    """How a strategy runs on one partition.

    Parameters
    ----------
    origin_offset
        Offset at which its fold begins; earlier bars are none of its own.
    publish_from
        Offset from which on its signals are published; earlier bars are folded silently.
    in_force_from
        Offset of the `applied` that is in force. Where a strategy publishes changes, each symbol's first bar from there
        on is published, and what it said before `publish_from` is found out again.
    start_time
        The same by the bar's close, in ms since the epoch (UTC); None: as the strategy is configured.
    paused
        Fold all bars silently, until `StrategyRun.resume`.
    asleep
        Its states are folded elsewhere: no bar is fed until `StrategyRun.wake`.
    shadow
        A second model that predicts beside the strategy's own.
    observer
        Is shown each batch after it was fed.
    lap
        Measures how long features and models take.
    """

    origin_offset: int = 0
    publish_from: int = 0
    in_force_from: int = 0
    start_time: int | None = None
    paused: bool = False
    asleep: bool = False
    shadow: ReadyShadow | None = None
    observer: Callable[[Observation], None] | None = None
    lap: Lap = unmeasured


AS_CONFIGURED = RunSettings()
