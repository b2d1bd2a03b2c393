"""What a terminal shows of long work: a total where there is one, never a question without an end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from alphawire.cli import cli
from alphawire.commands.progress import counted, stages
from tests.support.live import MINUTES


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What standard error has got, which rich takes for a terminal."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    return lambda: capsys.readouterr().err


def test_work_without_rounds(terminal: Callable[[], str]) -> None:
    with stages() as stage:
        stage("computing the features of 13,429 bars")
    shown = terminal()
    assert "computing the features of 13,429 bars" in shown
    assert "/?" not in shown


def test_work_in_rounds_and_then_without(terminal: Callable[[], str]) -> None:
    with stages() as stage:
        stage("training", 30, 100)
    assert " 30/100 training" in terminal()
    with stages() as stage:
        stage("training", 100, 100)
        stage("scoring")
    assert "/100 scoring" not in terminal()


def test_counted_without_a_total(terminal: Callable[[], str]) -> None:
    with counted("bars") as advance:
        advance(12_000)
        advance(345)
    shown = terminal()
    assert " 12,345 bars" in shown
    assert "/?" not in shown


def test_counted_to_a_total_that_is_known_bit_by_bit(terminal: Callable[[], str]) -> None:
    """As partition after partition is read."""
    with counted("bars") as advance:
        advance(0, None, 100)
        advance(100)
        advance(0, None, 50)
        advance(20, 1_380_882_660_000)
    shown = terminal()
    assert "120/150 bars up to 2013-10-04 10:31" in shown


def test_a_replay_of_a_file_has_a_total(terminal: Callable[[], str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "strategies: {demo: {interval: 1m, features: [technical.rsi], prediction: rsi, signal: signal.threshold}}"
    )
    out = ["--out", str(tmp_path / "s.jsonl"), "-c", str(tmp_path / "a.yaml")]
    with pytest.raises(SystemExit):
        cli.main(["replay", "demo", "--source", str(MINUTES), *out], standalone_mode=False)
    assert "13429/13429 bars up to " in terminal()


def test_counted_to_a_total(terminal: Callable[[], str]) -> None:
    with counted("bars", 20_000) as advance:
        advance(12_000)
    assert " 12000/20000 bars" in terminal()
