"""`explain` of signals in a file that were decided together: the cross-section is shown, and what the signals beside
one say of their predictions is checked.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from alphawire.display.explanation import show
from backtest.explain.explain import Explanation, explain_many
from backtest.explain.first_difference import FirstDifference
from backtest.replay.replay import replay
from backtest.replay.signal_files import write_signals
from schemas.configuration import Config

SYMBOLS = ["A", "B", "C"]
CLOSES = {"A": [10.0, 11.0, 12.0], "B": [10.0, 9.0, 9.9], "C": [10.0, 10.5, 10.5]}
"""Momentum over one bar at the third: A 1/11, B 0.1, C 0; so B is bought and C is sold."""
STRATEGY = {
    "interval": "1m",
    "universe": SYMBOLS,
    "features": [{"statistical.momentum": {"window": 1}}],
    "prediction": "momentum",
    "signal": {"key": "signal.ranking", "top_n": 1, "bottom_n": 1},
}
CONFIG = Config.model_validate({"strategies": {"ranked": STRATEGY}})
FIRST = 1_380_000_000_000
TIME = FIRST + 180_000


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    rows = [
        {"symbol": symbol, "interval": "1m", "open_time": FIRST + minute * 60_000}
        | {"close_time": FIRST + (minute + 1) * 60_000}
        | dict.fromkeys(("open", "high", "low", "close"), closes[minute])
        | {"volume": 1.0}
        for minute in range(3)
        for symbol, closes in CLOSES.items()
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "bars.parquet", index=False)
    write_signals(replay(CONFIG, "ranked", str(tmp_path / "bars.parquet")).raw, tmp_path / "signals.jsonl")
    return tmp_path / "signals.jsonl"


def explained(signals: Path, symbol: str) -> Explanation:
    contents = [json.loads(line)["content"] for line in signals.read_bytes().splitlines()]
    (identity,) = (c["id"] for c in contents if (c["symbol"], c["time"]) == (symbol, TIME))
    (found,) = explain_many(CONFIG, [identity], signals, str(signals.with_name("bars.parquet")))
    return found


def alter(signals: Path, symbol: str, change: Callable[[dict[str, Any]], Any]) -> None:
    plain = [json.loads(line) for line in signals.read_bytes().splitlines()]
    (one,) = (p["content"] for p in plain if (p["content"]["symbol"], p["content"]["time"]) == (symbol, TIME))
    change(one)
    signals.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in plain))


def test_the_cross_section_is_shown(signals: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = explained(signals, "A")
    assert found.reproduced, found.difference
    section = found.section
    assert section is not None
    assert (section["rank"], section["ranked"], section["late"], section["offset"]) == (2, 3, [], None)
    assert (section["closing"]["members"], section["closing"]["missing"]) == (SYMBOLS, [])
    rows = [(row["symbol"], row["rank"], row["signal"], row["offset"]) for row in section["symbols"]]
    assert rows == [("A", 2, "FLAT", 6), ("B", 3, "BUY", 7), ("C", 1, "SELL", 8)]
    assert [row["prediction"] for row in section["symbols"]] == pytest.approx([1 / 11, 0.1, 0.0])
    show(found)
    page = capsys.readouterr().out
    assert "all that have a bar" in page
    assert "A *" in page


def test_what_a_signal_beside_it_says_of_its_prediction_is_checked(signals: Path) -> None:
    alter(signals, "B", lambda content: content.update(prediction=0.5))
    assert explained(signals, "A").difference == FirstDifference("predictions.B.prediction", 0.5, 9.9 / 9.0 - 1)
    assert explained(signals, "B").difference == FirstDifference("content.prediction", 0.5, 9.9 / 9.0 - 1)


def test_what_is_wrong_with_the_signal_itself_comes_first(signals: Path) -> None:
    alter(signals, "A", lambda content: content.update(weight=0.5))
    alter(signals, "B", lambda content: content.update(prediction=0.5))
    assert explained(signals, "A").difference == FirstDifference("content.weight", 0.5, 0.0)


def test_those_that_the_file_leaves_out_are_shown_all_the_same(signals: Path) -> None:
    signals.write_bytes(b"".join(line + b"\n" for line in signals.read_bytes().splitlines() if b'"symbol":"A"' in line))
    found = explained(signals, "A")
    assert found.reproduced
    assert found.section is not None
    assert len(found.section["symbols"]) == 3
