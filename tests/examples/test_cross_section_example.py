"""`examples/cross_section.yaml` over the daily bars that are shipped: eight symbols, so both sides shrink to four."""

from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from alphawire.cli import cli
from plugins.strategy.features import features_of
from plugins.strategy.ready import ready_strategy
from plugins.strategy.universe import universe_of
from schemas.configuration import load_config

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "cross_section.yaml"
BARS = ROOT / "examples" / "data" / "equities_daily.parquet"


def test_what_the_example_says_can_be_made():
    config = load_config(FILE)
    assert ready_strategy("momentum", config.strategy("momentum")).generator.cross_section
    assert [bound.columns[0] for bound in features_of("ranking", config.strategy("ranking")).own][:3] == [
        "week", "month", "half_year",
    ]  # fmt: skip
    assert universe_of("ranking", config.strategy("ranking")).ever("AAPL")


def test_a_replay_of_it_and_a_symbol_that_nobody_has(tmp_path):
    text = FILE.read_text().replace("max_weight: 0.05", "max_weight: 0.25")
    text = text.replace("  momentum:\n", "  momentum:\n    universe: [AAPL, BAC, JNJ, XOM, NADA, ZERO]\n")
    other = tmp_path / "some.yaml"
    other.write_text(text)
    out = tmp_path / "signals.jsonl"
    command = ["replay", "momentum", "--source", str(BARS), "--out", str(out), "--from", "2017-08-01", "-c", str(other)]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "2 symbols of the universe have no bars here: NADA, ZERO" in done.stderr
    lines = out.read_text().splitlines()
    days = pd.read_parquet(BARS)["timestamp"]
    count = days[days >= "2017-07-31"].nunique()  # a day's bar closes when the next one begins
    assert len(lines) == 4 * count
    assert sum("rank 4 of 4" in line and '"BUY"' in line for line in lines) == count
