"""Training from more rows than memory holds: the same artifact, little memory, one line where the disk is full."""

import resource
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import schemas.scratch
from backtest.training import make_samples, train
from schemas.errors import ConfigurationError
from tests.backtest.test_full_disk import room_for
from tests.backtest.test_training import bars, config

MODELS: list[dict[str, Any]] = [
    {"key": "ml.lightgbm", "params": {"n_estimators": 5, "min_child_samples": 5}},
    {"key": "ml.lightgbm", "params": {"n_estimators": 5, "min_child_samples": 5, "early_stopping_rounds": 2}},
    {"key": "ml.xgboost", "params": {"n_estimators": 5}},
    {"key": "ml.catboost", "params": {"iterations": 5}},
    {"key": "dl.lstm", "params": {"epochs": 1, "seq_len": 4}},
]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array lies in a file, and every block is small."""
    for name, value in {
        "schemas.scratch.LEAST": 1, "schemas.scratch.BLOCK": 5, "plugins.pipeline.frames.BLOCK": 7,
        "backtest.training.samples.AT_ONCE": 1, "backtest.training.samples.BLOCK": 3,
    }.items():  # fmt: skip
        monkeypatch.setattr(name, value)


@pytest.mark.parametrize(
    ("model", "change"),
    [*((model, {}) for model in MODELS), (MODELS[0], {"per_symbol": True})],
    ids=lambda each: f"{each.get('key', each)}-{len(each.get('params', []))}",
)
def test_the_artifact_is_the_same(
    model: dict[str, Any], change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Symbols in another order than their names, bars that come twice, and one symbol with a hole."""
    library = {"dl.lstm": "torch"}.get(model["key"], model["key"].partition(".")[2])
    pytest.importorskip(library, reason="the model's library is not installed")
    data = bars("BA", 150, hole=20)
    data = data.iloc[np.sort(np.append(np.arange(len(data)), [30, 31]))].reset_index(drop=True)
    given = config(
        model=model | {"artifact": "models/s"}, training={"horizon_bars": 2} | change,
        features=[{"technical.rsi": {"period": 3}}, {"statistical.momentum": {"window": 5}}],
    )  # fmt: skip
    usual = train("s", given, data, out=tmp_path / "usual", holdout=0.2)
    in_scratch(monkeypatch)
    small = train("s", given, data, out=tmp_path / "small", holdout=0.2)
    assert files(tmp_path / "small") == files(tmp_path / "usual")
    assert (small.in_sample, small.holdout, small.dropped) == (usual.in_sample, usual.holdout, usual.dropped)


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory at once is less than half of the matrix, with the part that is trained on cut out of it."""
    monkeypatch.setattr(schemas.scratch, "LEAST", 2**20)
    monkeypatch.setattr("backtest.training.samples.AT_ONCE", 5_000)
    windows = range(2, 42)
    wide = config(features=[{"statistical.momentum": {"window": window, "as": f"m{window}"}} for window in windows])
    data = bars("ABCDEFGH", 10_000)
    make_samples("s", wide.strategies["s"], data[:2_000])  # compiles, imports
    tracemalloc.start()
    samples = make_samples("s", wide.strategies["s"], data)
    part = samples.where(np.arange(len(samples.y)) % 3 > 0).only(samples.known_columns[:30])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert part.X.shape[1] == 30
    assert peak < 8 * len(data) * len(windows) / 2 + 65_536 * len(windows) * 8 * 2.5  # and some blocks


def test_the_disk_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas.scratch, "LEAST", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with room_for(1_000), pytest.raises(ConfigurationError, match=r"no room for .* MB of scratch .*set TMPDIR"):
        make_samples("s", config().strategies["s"], bars())
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1_000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "model", [each for each in MODELS[:4] if len(each["params"]) != 3], ids=lambda each: str(each["key"])
)
def test_progress(model: dict[str, Any], tmp_path: Path) -> None:
    """Of the features by bars, of the training by rounds."""
    pytest.importorskip(model["key"].partition(".")[2], reason="the model's library is not installed")
    said: list[tuple[str, int, int]] = []

    def stage(text: str, done: int | None = None, total: int | None = None, /) -> None:
        if done is not None and total is not None:
            said.append((text.split()[0], done, total))

    train("s", config(model=model | {"artifact": "models/s"}), bars(), out=tmp_path / "m", stage=stage)
    assert ("computing", 240, 240) in said
    assert [done for text, done, total in said if text == "training"] == [1, 2, 3, 4, 5]
