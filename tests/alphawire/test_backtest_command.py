"""``alphawire backtest`` from a file of real bars to a folder."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from alphawire.cli import cli
from schemas.errors import ConfigurationError
from tests.backtest.test_report import read

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
    assert (tmp_path / "run" / "ledger" / "trades.parquet").exists()


def test_json_and_a_range(config: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli, arguments(config, tmp_path / "run", "--json", "--from", "2015-01-01", "--to", "2016-01-01")
    )
    told = json.loads(done.stdout)
    assert (told["first_open"][:10], told["last_close"][:10]) == ("2014-12-31", "2015-12-31")
    assert told["symbols"] == ["AAPL", "JNJ"]
    assert told["engines"]["ledger"]["metrics"]["trades"] > 0
    assert len(told["config_hash"]) == 16


def test_bars_that_the_model_was_trained_on_are_told(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm", reason="the model's library is not installed: pip install 'alphawire[boost]'")
    config, model = tmp_path / "model.yaml", f"    model: {{key: ml.lightgbm, artifact: {tmp_path / 'model'}}}"
    config.write_text(CONFIG.replace("    prediction: momentum", model))
    learn = ["train", "trend", "--bars", str(DAILY), "--to", "2016-01-01", "-c", str(config)]
    assert CliRunner().invoke(cli, learn).exit_code == 0
    seen, fresh = (
        json.loads(CliRunner().invoke(cli, arguments(config, tmp_path / day, "--json", "--from", day)).stdout)
        for day in ("2015-01-01", "2016-02-01")
    )
    (line,) = [text for text in seen["warnings"] if "in sample" in text]
    closes = pd.read_parquet(DAILY).query("symbol in ('AAPL', 'JNJ')")["timestamp"] + pd.Timedelta("1D")
    known = closes[closes.between("2015-01-01", "2015-12-22")].nunique()
    assert line.startswith(f"{known} of the ")  # the last targets reach beyond the training's last bar, into 2015-12-31
    assert not any("in sample" in text for text in fresh["warnings"])


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
    yearly = json.loads((tmp_path / "run" / "metrics.json").read_text())["engines"]["ledger"]["metrics"]
    assert told[2]["sharpe"] * yearly["periods_per_year"] ** 0.5 == pytest.approx(yearly["sharpe"], rel=1e-9)


def test_two_runs_side_by_side(config: Path, tmp_path: Path) -> None:
    for number, text in enumerate((CONFIG, CONFIG.replace("0.5", "0.25").replace("window: 20", "window: 30"))):
        config.write_text(text)
        done = CliRunner().invoke(cli, arguments(config, tmp_path / f"run{number}", "--to", f"201{5 + number}-01-01"))
        assert done.exit_code == 0, done.output
    both = ["backtest", "--compare", str(tmp_path / "run0"), str(tmp_path / "run1")]
    done = CliRunner().invoke(cli, [*both, "--out", str(tmp_path / "both.html"), "-c", str(config)])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "both.html").read_text()
    assert read(page).fetched == []
    assert "<tr><th>execution.weight</th><td>0.5</td><td>0.25</td></tr>" in page
    assert "<tr><th>features.momentum.params.window</th><td>20</td><td>30</td></tr>" in page
    assert "<th>execution.commission</th>" not in page.partition("<h2>Metrics")[0]  # equal settings are left out
    for number in range(2):
        told = json.loads((tmp_path / f"run{number}" / "metrics.json").read_text())
        assert f"<td>{told['config_hash']}</td>" in page
        assert f"<td>{told['engines']['ledger']['metrics']['sharpe']:,.2f}</td>" in page
    done = CliRunner().invoke(cli, [*both[:3], str(tmp_path), "--out", str(tmp_path / "x.html"), "-c", str(config)])
    assert f"{tmp_path} holds no backtest" in str(done.exception)
    assert not (tmp_path / "x.html").exists()
    assert CliRunner().invoke(cli, ["backtest", "--out", "x", "-c", str(config)]).exit_code == 2


def test_two_engines_are_compared(config: Path, tmp_path: Path) -> None:
    pytest.importorskip("vectorbt", reason="the engine's library is not installed: pip install 'alphawire[vectorbt]'")
    out = tmp_path / "run"
    done = CliRunner().invoke(cli, arguments(config, out, "--engine", "backtrader", "--engine", "vectorbt"))
    assert done.exit_code == 0, done.output
    told = json.loads((out / "metrics.json").read_text())
    fills = told["engines"]["backtrader"]["metrics"]["fills"]
    assert f"backtrader and vectorbt agree: the same {fills} fills, identical equity" in done.output
    (found,) = told["agreement"]
    assert (found["engines"], found["agree"]) == (["backtrader", "vectorbt"], True)
    assert found["difference"] <= 1e-8
    assert told["engines"]["vectorbt"]["metrics"] == told["engines"]["backtrader"]["metrics"]


def test_wrong_use_is_told_before_anything_is_replayed(config: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, arguments(config, tmp_path / "run", "--engine", "backtradr"))
    assert isinstance(done.exception, ConfigurationError)
    assert "did you mean backtrader" in str(done.exception)
    done = CliRunner().invoke(cli, arguments(config, tmp_path))
    assert "holds files that no backtest wrote" in str(done.exception)
