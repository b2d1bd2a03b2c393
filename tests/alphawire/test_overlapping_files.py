"""Files that overlap, files that hold no bar to use: the same for all commands."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from alphawire.cli import cli
from schemas.errors import ConfigurationError

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")

HEADER = "symbol,time,open,high,low,close,volume\n"


def rows(count: int) -> list[str]:
    days = pd.bdate_range("2024-01-01", periods=count)
    prices = [100 + 10 * math.sin(number / 3) for number in range(count)]
    return [
        f"AAA,{day.date()},{p:.2f},{p + 1:.2f},{p - 1:.2f},{p:.2f},100" for day, p in zip(days, prices, strict=True)
    ]


ALL = rows(90)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    strategy = {
        "interval": "1d",
        "features": [{"technical.rsi": {"period": 2}}],
        "prediction": "rsi",
        "signal": {"key": "signal.threshold", "buy_threshold": 55, "sell_threshold": 45},
        "execution": {"weight": 0.5},
    }
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump({"strategies": {"demo": strategy}, "sources": {"all": {"repeated": "all"}}})
    )
    return tmp_path


def run(folder: Path, command: str, lines: list[str], *more: str) -> Result:
    file = folder / "bars.csv"
    file.write_text(HEADER + "\n".join(lines) + "\n")
    source = ["--source", str(file), "--out", str(folder / command), "-c", str(folder / "c.yaml"), "--json"]
    return CliRunner().invoke(cli, [command, "demo", *source, "--format", "all", *more])


@pytest.mark.parametrize("command", ["backtest", "sweep"])
def test_rows_that_come_twice_change_nothing(folder: Path, command: str) -> None:
    """Two exports that overlap, one behind the other."""
    more = ["--grid", "signal.buy_threshold=55,60", "--jobs", "1"] if command == "sweep" else []
    once = run(folder, command, ALL, *more)
    figures = "points" if command == "sweep" else "engines"
    told = json.loads(once.stdout)[figures]
    for entry in sorted((folder / command).rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    twice = run(folder, command, ALL[:60] + ALL[40:], *more)
    assert (once.exit_code, twice.exit_code) == (0, 0), twice.stderr
    assert json.loads(twice.stdout)[figures] == told


def test_a_replay_counts_each_bar_once(folder: Path) -> None:
    done = run(folder, "replay", ALL[:60] + ALL[40:])
    assert (json.loads(done.stdout)["bars"], json.loads(done.stdout)["signals"]) == (90, 90)


@pytest.mark.parametrize("command", ["replay", "backtest"])
def test_another_bar_of_a_time_is_left_out_and_told(folder: Path, command: str) -> None:
    other = ALL[40].replace(",100", ",200")
    done = run(folder, command, [*ALL, other])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["left_out"]["reasons"] == {"correction": 1}


@pytest.mark.parametrize("command", ["replay", "backtest"])
def test_a_file_of_which_no_row_is_a_bar_is_an_error(folder: Path, command: str) -> None:
    done = run(folder, command, [line.replace(",100", ",-1") for line in ALL[:3]])
    assert isinstance(done.exception, ConfigurationError)
    assert "holds no bar of 1d that can be used: " in str(done.exception)
    assert "bars.csv:2: " in str(done.exception)
    assert not (folder / command).exists()


@pytest.mark.parametrize(
    ("more", "lines"),
    [(["--from", "2030-01-01"], ALL), ([], [line.replace("AAA", "BBB") for line in ALL])],
    ids=["an empty range", "none of the universe"],
)
def test_a_replay_of_no_bar_falls_short(folder: Path, more: list[str], lines: list[str]) -> None:
    config = yaml.safe_load((folder / "c.yaml").read_text())
    config["strategies"]["demo"]["universe"] = ["AAA"]
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    done = run(folder, "replay", lines, *more)
    assert done.exit_code == 1
    assert "no bar was used" in done.stderr
