"""A replay's signals stay columns until somebody asks for one: the same bytes are written of both, and what a plugin
does with its arrays afterwards changes nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backtest.replay.replay import ReplayResult, replay, replay_file, signals_during
from backtest.replay.signal_files import write_signals
from backtest.sources.offsets import signals_within
from plugins.base import BaseSignalGenerator, Decisions, FloatArray
from plugins.pipeline.records.signals import Signals, together
from plugins.strategy.ready import ready_strategy
from schemas.configuration import Config, Strategy
from schemas.wire import encode
from tests.support.live import minute_bars, strategy

BARS = minute_bars(600)
CONFIG = Config(strategies={"demo": Strategy.model_validate(strategy())})


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("columns") / "bars.parquet"
    BARS.to_parquet(file, index=False)
    return str(file)


@pytest.fixture(scope="module")
def replayed(bars: str) -> ReplayResult:
    return replay(CONFIG, "demo", bars)


def test_written_from_columns_and_from_structs(replayed: ReplayResult, tmp_path: Path) -> None:
    assert isinstance(replayed.raw, Signals)
    structs = list(replayed.raw)
    assert len(structs) == len(replayed.raw) == len(BARS)
    for name in ("signals.jsonl", "signals.parquet"):
        write_signals(replayed.raw, tmp_path / f"columns-{name}")
        write_signals(structs, tmp_path / f"structs-{name}")
        assert (tmp_path / f"columns-{name}").read_bytes() == (tmp_path / f"structs-{name}").read_bytes()
    assert (tmp_path / "columns-signals.jsonl").read_bytes() == b"".join(encode(each) + b"\n" for each in structs)


def test_one_of_them_and_some_of_them(replayed: ReplayResult) -> None:
    signals, structs = replayed.raw, list(replayed.raw)
    count = len(structs)
    for place in (0, 1, count // 2, count - 1, -1, -count):
        assert signals[place] == structs[place]
    assert signals[3:20:4] == structs[3:20:4]
    for place in (count, -count - 1):
        with pytest.raises(IndexError, match=f"signal {place} of {count}"):
            signals[place]


def test_a_range_of_times_or_offsets(replayed: ReplayResult) -> None:
    structs = list(replayed.raw)
    times = sorted({signal.content.time for signal in structs})
    for start, end in ((None, None), (times[5], None), (None, times[9]), (times[5], times[9]), (times[-1] + 1, None)):
        wanted = [s for s in structs if (start or 0) <= s.content.time < (end or times[-1] + 1)]
        for signals in (replayed.raw, structs):
            assert list(signals_during(signals, start, end)) == wanted
    within = {0: range(7, 30), 3: range(100)}
    wanted = [signal for signal in structs if 7 <= signal.provenance.offset < 30]
    for signals in (replayed.raw, structs):
        assert list(signals_within(signals, within)) == wanted
        assert not signals_within(signals, {3: range(100)})


def test_parts_are_columns_where_all_are(replayed: ReplayResult) -> None:
    columns, structs = replayed.raw, list(replayed.raw)
    assert isinstance(together([columns, columns]), Signals)
    assert list(together([columns, columns])) == structs * 2
    assert together([columns, structs[:3]]) == structs + structs[:3]


class Thrifty(BaseSignalGenerator):
    """Gives the same lists again and again, and writes into what it was given before."""

    def __init__(self) -> None:
        super().__init__()
        self.key = "thrifty"
        self._signals: list[str | float] = []
        self._reasons: list[str] = []
        self._before: list[FloatArray] = []

    def decide(self, columns: Mapping[str, FloatArray]) -> Decisions:
        for column in self._before:
            column[:] = -1.0
        prediction = columns["prediction"]
        self._before.append(prediction)
        self._signals[:] = [0.0 if value != value else float(value) for value in prediction]
        self._reasons[:] = [str(value) for value in self._signals]
        return Decisions(self._signals, np.full(len(prediction), np.nan), self._reasons)


class Wasteful(Thrifty):
    """The same decisions, in new lists; what it was given stays as it is."""

    def decide(self, columns: Mapping[str, FloatArray]) -> Decisions:
        decisions = super().decide({"prediction": columns["prediction"].copy()})
        return Decisions(list(decisions.signal), decisions.weight, list(decisions.reason))


def test_what_a_generator_does_with_its_arrays_later(bars: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backtest.sources.bars.FILE_CHUNK", 100)
    ready = ready_strategy("demo", CONFIG.strategy("demo"))
    thrifty, wasteful = (list(replay_file(replace(ready, generator=kind()), bars).raw) for kind in (Thrifty, Wasteful))
    assert len({signal.content.reason for signal in wasteful}) > len(BARS) // 2
    assert thrifty == wasteful
