"""The ledger counts every trial once, whoever writes, and whatever became of a writer."""

import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from backtest.trials.overfitting import deflated_sharpe, moments
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


def test_sharpe_ratios_of_other_bars_are_not_pooled() -> None:
    """A day's Sharpe ratio is twenty times a minute's: beside trials of minutes that of days would be all luck."""
    rng = np.random.default_rng(8)
    days = [rng.normal(0.0008, 0.01, 500) for _ in range(6)]
    minutes = [rng.normal(0.0, 0.0003, 4000) for _ in range(6)]
    daily = [trial("s", "backtest", f"d{n}", each, (0, n), None, 86_400_000) for n, each in enumerate(days)]
    others = [trial("s", "backtest", f"m{n}", each, (0, n), None, 60_000) for n, each in enumerate(minutes)]
    for number, own, length in ((0, days, 86_400_000), (0, minutes, 60_000)):
        verdict = judged(own[number], [*daily, *others], interval_ms=length)
        sharpes = [each.mean() / each.std(ddof=1) for each in own]
        sample = moments(own[number])
        assert sample is not None
        assert verdict.trials == 12
        assert verdict.deflated == deflated_sharpe(sample, sharpes, 12)


def test_trials_that_came_to_the_same_do_not_make_bets_alike() -> None:
    """Under another name, or with twice the weight: no sign that there is no luck to be had."""
    same = [trial("s", "backtest", name, RETURNS * size, (0, 9)) for name, size in (("a", 1.0), ("b", 1.0), ("c", 2.0))]
    sample = moments(RETURNS)
    assert sample is not None
    verdict = judged(RETURNS, same)
    assert verdict.trials == 3
    assert verdict.deflated == deflated_sharpe(sample, [], 3)
    other = trial("s", "backtest", "d", -RETURNS, (0, 9))
    assert judged(RETURNS, [*same, other]).deflated == deflated_sharpe(sample, [sample.sharpe, -sample.sharpe], 4)


def test_a_line_of_before_counts_and_is_not_pooled(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add([trial("demo", "backtest", "a", RETURNS, (0, 9))])
    line = json.loads(ledger.path.read_text())
    del line["interval_ms"]
    ledger.path.write_text(json.dumps(line) + "\n")
    (old,) = ledger.of("demo")
    assert old.interval_ms is None
    new = trial("demo", "backtest", "b", -RETURNS, (0, 9), None, 60_000)
    assert judged(-RETURNS, [old, new], interval_ms=60_000).trials == 2
