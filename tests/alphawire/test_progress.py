"""What a terminal shows of long work: a total where there is one, never a question without an end."""

from collections.abc import Callable

import pytest

from alphawire.commands.progress import counted, stages


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


def test_counted_to_a_total(terminal: Callable[[], str]) -> None:
    with counted("bars", 20_000) as advance:
        advance(12_000)
    assert " 12000/20000 bars" in terminal()
