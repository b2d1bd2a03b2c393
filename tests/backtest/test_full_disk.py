"""A disk that is full while a result is written: one line, and the earlier result is untouched."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest.engines.backtest import run_backtest
from backtest.replay.replay import replay
from backtest.replay.signal_files import write_signals
from schemas.errors import AlphawireError
from tests.backtest.test_backtest import bars, says, strategy
from tests.backtest.test_explain import BARS, CONFIG

pytest.importorskip("backtrader", reason="the engine's library is not installed: pip install 'alphawire[backtest]'")


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: the kernel refuses the write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_backtest(tmp_path: Path) -> None:
    given = bars(A=[(10.0, 10.0), (10.0, 11.0), (11.0, 12.0)]), says(A={0: 1.0})
    run_backtest(strategy(), *given, ["backtrader"], tmp_path / "out")
    before = files(tmp_path)
    said = r"cannot write .*out: .*(File too large|Errno 27).*; nothing was changed"
    with room_for(3_000), pytest.raises(AlphawireError, match=said):
        run_backtest(strategy(), *given, ["backtrader"], tmp_path / "out", name="another")
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["signals.jsonl", "signals.parquet"])
def test_the_signals_of_a_replay(tmp_path: Path, name: str) -> None:
    BARS[:400].to_parquet(tmp_path / "bars.parquet", index=False)
    signals = replay(CONFIG, "demo", str(tmp_path / "bars.parquet")).raw
    write_signals(signals[:5], tmp_path / name)
    before = files(tmp_path)
    with room_for(20_000), pytest.raises(AlphawireError, match=r"cannot be written: .*(File too large|Errno 27)"):
        write_signals(signals, tmp_path / name)
    assert files(tmp_path) == before
