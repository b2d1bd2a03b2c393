"""``alphawire backtest`` from a file of real bars to a folder."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from schemas.errors import ConfigurationError

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

DAILY = Path(__file__).parents[2] / "examples" / "data" / "equities_daily.parquet"
CONFIG = """
strategies:
  trend:
    interval: 1d
    universe: [AAPL, JNJ]
    features: [{statistical.momentum: {window: 20}}]
    prediction: momentum
    signal: {key: signal.threshold, buy_threshold: 0.02, sell_threshold: -0.04}
    execution: {weight: 0.5, long_only: true}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alphawire.yaml"
    path.write_text(CONFIG)
    return path


def arguments(config: Path, out: Path, *more: str) -> list[str]:
    return ["backtest", "trend", "--source", str(DAILY), "--out", str(out), "-c", str(config), *more]


def test_table_and_folder(config: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, arguments(config, tmp_path / "run"))
    assert done.exit_code == 0, done.output
    assert "Total return" in done.output
    assert "buy and hold" in done.output
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "backtrader" / "trades.parquet").exists()


def test_json_and_a_range(config: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, arguments(config, tmp_path / "run", "--json", "--from", "2015-01-01", "--to", "2016-01-01")
    )
    told = json.loads(done.stdout)
    assert (told["first_open"][:10], told["last_close"][:10]) == ("2014-12-31", "2015-12-31")
    assert told["symbols"] == ["AAPL", "JNJ"]
    assert told["engines"]["backtrader"]["metrics"]["trades"] > 0
    assert len(told["config_hash"]) == 16


def test_wrong_use_is_told_before_anything_is_replayed(config: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, arguments(config, tmp_path / "run", "--engine", "backtradr"))
    assert isinstance(done.exception, ConfigurationError)
    assert "did you mean backtrader" in str(done.exception)
    done = CliRunner().invoke(cli, arguments(config, tmp_path))
    assert "holds files that no backtest wrote" in str(done.exception)


def test_two_engines_are_compared(config: Path, tmp_path: Path) -> None:
    pytest.importorskip("vectorbt", reason="the engine's library is not installed: pip install 'alphawire[vectorbt]'")
    out = tmp_path / "run"
    done = CliRunner().invoke(cli, arguments(config, out, "--engine", "backtrader", "--engine", "vectorbt"))
    assert done.exit_code == 0, done.output
    told = json.loads((out / "metrics.json").read_text())
    fills = told["engines"]["backtrader"]["metrics"]["fills"]
    assert f"backtrader and vectorbt agree: the same {fills} fills, equity apart by at most" in done.output
    (found,) = told["agreement"]
    assert (found["engines"], found["agree"]) == (["backtrader", "vectorbt"], True)
    assert found["difference"] <= 1e-8
    assert told["engines"]["vectorbt"]["metrics"] == told["engines"]["backtrader"]["metrics"]


def test_every_different_run_is_a_trial(config: Path, tmp_path: Path) -> None:
    """Counted beside the configuration; the same again is a run, and no further trial."""
    told = []
    for text in (CONFIG, CONFIG, CONFIG.replace("0.02", "0.03")):
        config.write_text(text)
        done = CliRunner().invoke(cli, arguments(config, tmp_path / "run", "--json"))
        told.append(json.loads(done.stdout)["overfitting"])
    assert [(verdict["trials"], verdict["runs"]) for verdict in told] == [(1, 1), (1, 2), (2, 3)]
    assert told[0]["deflated"] == told[0]["probabilistic"]
    assert told[2]["deflated"] < told[2]["probabilistic"]
    assert len((tmp_path / ".alphawire" / "trials.jsonl").read_text().splitlines()) == 3
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<td>2 in 3</td>" in page
    yearly = json.loads((tmp_path / "run" / "metrics.json").read_text())["engines"]["backtrader"]["metrics"]
    assert told[2]["sharpe"] * yearly["periods_per_year"] ** 0.5 == pytest.approx(yearly["sharpe"], rel=1e-9)
