"""What bars come to: one outcome for each run of a strategy, and one for a batch."""

from collections import Counter
from dataclasses import dataclass, field

from plugins.pipeline.records.signals import Signals
from schemas.errors import AlphawireError, PluginError
from schemas.wire import ShadowPrediction
from schemas.wire.cross_sections import Prediction


@dataclass(frozen=True)
class Failure:
    """Why a strategy stopped: it failed at the record of this `offset`; all earlier records are dealt with."""

    strategy: str
    offset: int
    what: str
    error: BaseException

    @property
    def reason(self) -> str:
        """One line."""
        text = " ".join(str(self.error).split())
        known = isinstance(self.error, AlphawireError)
        return f"{self.what}: {text if known else f'{type(self.error).__name__}: {text}'}"

    def as_error(self) -> PluginError:
        """For callers that cannot go on without the strategy: one line that names it, the bar and the fault."""
        error = PluginError(f"strategy {self.strategy} fails at {self.reason}")
        error.__cause__ = self.error
        return error


@dataclass(frozen=True)
class Refusal:
    """A well-formed bar that cannot be used."""

    offset: int
    kind: str
    reason: str


@dataclass(slots=True)
class RunOutcome:
    """What one strategy makes of accepted bars: signals, or, where it decides about all symbols at once, predictions.

    With a `failure`, the rest is of the bars before the one at which the strategy failed.
    """

    signals: Signals = field(default_factory=Signals)
    predictions: list[Prediction] = field(default_factory=list)
    shadows: list[ShadowPrediction] = field(default_factory=list)
    failure: Failure | None = None

    def add(self, later: "RunOutcome") -> None:
        """The outcome of the bars that follow."""
        self.signals += later.signals
        self.predictions += later.predictions
        self.shadows += later.shadows
        self.failure = later.failure


@dataclass
class Outcome:
    """What a batch comes to, over all strategies; `failures` lists the strategies that stopped in it."""

    signals: Signals = field(default_factory=Signals)
    predictions: list[Prediction] = field(default_factory=list)
    shadows: list[ShadowPrediction] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: RunOutcome) -> None:
        """The outcome of one more strategy."""
        self.signals += outcome.signals
        self.predictions += outcome.predictions
        self.shadows += outcome.shadows
        if outcome.failure is not None:
            self.failures.append(outcome.failure)
