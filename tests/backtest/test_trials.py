"""The ledger counts every trial once, whoever writes, and whatever became of a writer."""

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from backtest.trials.overfitting import moments
from backtest.trials.trials import Ledger, judged, returns_of, trial
from schemas.errors import AlphawireError

RETURNS = np.random.default_rng(5).normal(0.001, 0.01, 400)


def _write(folder: Path, name: str) -> None:
    for number in range(50):
        Ledger(folder).add([trial("demo", "sweep", f"{name}-{number}", RETURNS, (0, 9), {"x": number})])


def test_several_processes_add_to_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write, args=(tmp_path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = Ledger(tmp_path).of("demo")
    assert len(found) == len({one.config_hash for one in found}) == 150
    assert Ledger(tmp_path).of("other") == []


def test_a_torn_line_costs_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add([trial("demo", "backtest", "a", RETURNS)])
    with ledger.path.open("ab") as file:
        file.write(b'{"strategy": "demo", "ki')
    ledger.add([trial("demo", "backtest", "b", RETURNS)])
    assert [one.config_hash for one in ledger.of("demo")] == ["a", "b"]


def test_the_time_of_a_trial_is_the_ledgers_clock(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, lambda: datetime(2024, 3, 5, 14, 30, 7, 999, UTC))
    ledger.add([trial("demo", "train", "a")])
    assert [one.time for one in ledger.of("demo")] == ["2024-03-05T14:30:07+00:00"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.path.parent.mkdir()
    ledger.path.symlink_to("/dev/full")
    with pytest.raises(AlphawireError, match=r"cannot be counted: .*trials.jsonl cannot be written: No space left"):
        ledger.add([trial("demo", "backtest", "a", RETURNS)])


def test_the_same_again_is_no_further_trial() -> None:
    same = [trial("demo", kind, "a", RETURNS, (0, 9)) for kind in ("backtest", "sweep", "backtest")]
    verdict = judged(RETURNS, same)
    found = moments(RETURNS)
    assert found is not None
    assert (verdict.trials, verdict.runs, verdict.luck, verdict.sharpe) == (1, 3, 0.0, found.sharpe)
    assert verdict.deflated == verdict.probabilistic
    others = [*same, trial("demo", "backtest", "b", -RETURNS, (0, 9)), trial("demo", "train", "a"),
              trial("demo", "backtest", "a", RETURNS, (0, 8))]  # fmt: skip
    more = judged(RETURNS, others)
    assert (more.trials, more.runs) == (4, 6)
    assert (more.deflated or 0.0) < (verdict.deflated or 0.0)


def test_returns_go_from_bar_to_bar() -> None:
    assert returns_of(np.array([100.0, 110.0, 99.0])).tolist() == [110 / 100 - 1, 99 / 110 - 1]
    assert judged(np.zeros(10), []).sharpe is None
