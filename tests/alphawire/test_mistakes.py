"""What is wrong with a strategy is told with its file, and before what a missing model would say."""

import sys
from pathlib import Path

import pytest
import yaml

from alphawire.cli import main

STRATEGY = {
    "interval": "1d",
    "features": ["technical.rsi"],
    "model": {"key": "ml.lightgbm", "artifact": "no-model"},
    "signal": {"key": "signal.ranking", "top_n": 3},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"features": [{"technical.rsi": {"period": "fourteen"}}]},
            "strategies.s.features.0: technical.rsi: parameter",
        ),
        ({"universe": {"file": "nobody.txt"}}, "strategies.s.universe: cannot read"),
        ({"universe": ["A", "B"]}, "strategies.s.signal: "),
        ({"universe": list("ABCDEFGH")}, None),
    ],
)
def test_the_file_is_named(
    change: dict[str, object], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file, bars = tmp_path / "mine.yaml", Path("examples/data/equities_daily.parquet").absolute()
    file.write_text(yaml.safe_dump({"strategies": {"s": STRATEGY | change}}))
    out = str(tmp_path / "out.jsonl")
    monkeypatch.setattr(sys, "argv", ["alphawire", "replay", "s", "--source", str(bars), "--out", out, "-c", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    expected = f"{file}: {said}" if said else "no-model: there is no model artifact"
    assert line.startswith(f"alphawire: {expected}")
