"""The ledger of trials: every backtest, sweep point and training of a strategy, a line of JSON each.

It lies beside the configuration, in ``.alphawire/trials.jsonl``, and only grows: a trial that is not counted makes the
best of the others look better than it is.
"""

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.trials.overfitting import (
    deflated_sharpe,
    expected_maximum,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
)
from schemas.errors import AlphawireError, ConfigurationError
from schemas.wire import bar_length, canonical_interval

FOLDER, FILE = ".alphawire", "trials.jsonl"


@dataclass(frozen=True)
class Trial:
    """One trial; `sharpe` is per bar (None for a training), of so many `returns`; `first` and `last` are its bars'
    close times (ms); `interval_ms` is the bars' length, of bars that no time closes their name (None in lines of builds
    that did not write it); `time` is when it was added to a ledger, by that one's clock.
    """

    strategy: str
    kind: str
    config_hash: str
    time: str = ""
    sharpe: float | None = None
    returns: int = 0
    first: int | None = None
    last: int | None = None
    interval_ms: int | str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> tuple[Any, ...]:
        """The same again is no further trial."""
        return self.kind == "train", self.config_hash, self.first, self.last


def length_of(interval: str) -> int | str:
    """As a trial has it: whose Sharpe ratios are alike."""
    return bar_length(interval) or canonical_interval(interval)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The trials in a file; several processes may add to it."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self.path = folder / FOLDER / FILE
        self._clock = clock

    def add(self, trials: Iterable[Trial]) -> None:
        """Each trial is one line, written in one piece; `AlphawireError` when it cannot be."""
        now = self._clock().isoformat(timespec="seconds")
        lines = "".join(json.dumps(asdict(replace(trial, time=now)), sort_keys=True) + "\n" for trial in trials)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file, _locked(file):
                file.seek(0, 2)
                if file.tell() and not _ends_whole(file):
                    lines = "\n" + lines  # a process died within its line: that one stays unreadable, ours does not
                file.write(lines.encode())
                file.flush()
        except OSError as error:
            reason = error.strerror or error
            raise AlphawireError(f"the trial cannot be counted: {self.path} cannot be written: {reason}") from None

    def of(self, strategy: str) -> list[Trial]:
        """All trials of a strategy, in order; a torn line counts as nothing."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigurationError(f"{self.path}: {error.strerror or error}") from None
        trials = []
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):
                trial = Trial(**json.loads(line))
                if trial.strategy == strategy:
                    trials.append(trial)
        return trials


def _ends_whole(file: Any) -> bool:
    file.seek(-1, 2)
    whole: bool = file.read(1) == b"\n"
    file.seek(0, 2)
    return whole


@contextlib.contextmanager
def _locked(file: Any) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def trial(
    strategy: str,
    kind: str,
    config_hash: str,
    returns: NDArray[np.float64] | None = None,
    times: tuple[int, int] | None = None,
    parameters: Mapping[str, Any] | None = None,
    interval_ms: int | str | None = None,
) -> Trial:
    """A trial, not yet added to a ledger."""
    sample = None if returns is None else moments(returns)
    first, last = times or (None, None)
    return Trial(
        strategy, kind, config_hash, sharpe=sample.sharpe if sample else None,
        returns=0 if returns is None else len(returns), first=first, last=last, interval_ms=interval_ms,
        parameters=dict(parameters or {}),
    )  # fmt: skip


def returns_of(equity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Simple returns from bar to bar, as the metrics take them."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(equity[1:] / equity[:-1] - 1.0)


@dataclass(frozen=True)
class TrialVerdict:
    """How far a result is to be believed: `trials` different ones in `runs` runs; probabilities of a true Sharpe ratio
    above 0 and above `luck`, the best to be expected of chance (per bar); bars that it takes to say so; and, of a
    sweep, the probability of backtest overfitting.
    """

    trials: int
    runs: int
    sharpe: float | None = None
    luck: float | None = None
    probabilistic: float | None = None
    deflated: float | None = None
    minimum_bars: float | None = None
    bars: int = 0
    overfitting: float | None = None


def judged(
    returns: NDArray[np.float64],
    trials: list[Trial],
    overfitting: float | None = None,
    interval_ms: int | str | None = None,
) -> TrialVerdict:
    """A result against all trials of its strategy (itself among them).

    All of them count. How much Sharpe ratios vary is taken from those of bars as long as these, `interval_ms`: that of
    a day's bar is some twenty times that of a minute's.
    """
    different = {one.what: one for one in trials}
    count, sample = max(len(different), 1), moments(returns)
    if sample is None:
        return TrialVerdict(count, len(trials), bars=len(returns), overfitting=overfitting)
    alike = [one for one in different.values() if one.interval_ms == interval_ms]
    # trials that came to the same were one bet, and say nothing about how far bets lie apart
    sharpes = list({round(one.sharpe, 12): one.sharpe for one in alike if one.sharpe is not None}.values())
    variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 1.0 / (sample.count - 1)
    return TrialVerdict(
        count,
        len(trials),
        sample.sharpe,
        expected_maximum(variance, count),
        probabilistic_sharpe(sample),
        deflated_sharpe(sample, sharpes, count),
        minimum_track_record(sample),
        len(returns),
        overfitting,
    )
