"""The compiled loop starts warm in the next process, and never with the code of an edited plugin."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest

from plugins.base.streaming import trial_bars
from plugins.features import feature_registry
from plugins.fold.kernel import compile_function, compile_kernel, is_cached

ROOT = Path(__file__).parents[2]
PLUGIN = """
    from plugins.features import feature_registry
    from plugins.fold import FoldFeature

    FACTOR = {factor}

    def scaled(value):
        return value * FACTOR

    @feature_registry.register("my.scaled")
    class Scaled(FoldFeature):
        outputs = ("scaled",)
        reads = ("close",)
        warmup = 0

        def state(self):
            return [("count", "i8")]

        @staticmethod
        def step(state, bar, params, out):
            state.count += 1
            out.scaled = scaled(bar.close)
"""
PROGRAM = """
    import json, sys
    import numpy as np
    from plugins.base.loading.discovery import discover, faults
    from plugins.features import feature_registry
    from plugins.base.streaming import trial_bars
    discover(sys.argv[2:])
    assert not faults, faults
    told = {}
    for key in json.loads(sys.argv[1]):
        feature, outs = feature_registry.create(key), np.empty((30, 1))
        feature.run(feature.new_states(1), np.zeros(30, np.int64), trial_bars(30), outs)
        hits = sum(feature._kernel.stats.cache_hits.values())
        told[key] = [hits, outs[-1, 0] / trial_bars(30)["close"][-1]]
    print(json.dumps(told))
"""
KEYS = ["statistical.z_score", "my.scaled"]


def run(cache: Path, *arguments: str) -> dict[str, list[float]]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "mine" / "scaled.py"
    path.parent.mkdir()
    path.write_text(textwrap.dedent(PLUGIN).format(factor=2.0))
    return path


def test_the_second_process_finds_everything_compiled(tmp_path, plugin):
    cold = run(tmp_path / "cache", json.dumps(KEYS), str(plugin))
    warm = run(tmp_path / "cache", json.dumps(KEYS), str(plugin))
    assert [hits for hits, _ in cold.values()] == [0] * len(KEYS)
    assert [hits for hits, _ in warm.values()] == [1] * len(KEYS)
    assert [value for _, value in cold.values()] == [value for _, value in warm.values()]
    assert warm["my.scaled"][1] == 2.0

    # An edit anywhere in the plugin's file (here a constant that a helper uses) compiles it anew, and it alone.
    plugin.write_text(textwrap.dedent(PLUGIN).format(factor=3.0))
    edited = run(tmp_path / "cache", json.dumps(KEYS), str(plugin))
    assert [hits for hits, _ in edited.values()] == [1, 0]
    assert edited["my.scaled"][1] == 3.0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def last_rsi() -> tuple[int, float]:
    """How often the cache had the code of a feature that was never compiled before, and its last value."""
    compile_kernel.cache_clear()
    feature, outs = feature_registry.create("technical.rsi"), np.empty((30, 1))
    feature.run(feature.new_states(1), np.zeros(30, np.int64), trial_bars(30), outs)
    return sum(feature._kernel.stats.cache_hits.values()), outs[-1, 0]


def test_a_damaged_cache_does_no_harm(cache):
    value = last_rsi()[1]
    assert last_rsi() == (1, value)
    files = sorted(cache.rglob("RSI*")) or sorted(cache.rglob("*RSI*"))
    assert [file.suffix for file in files] == [".nbc", ".nbi"]
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        assert last_rsi() == (0, value)
        file.write_bytes(whole)


def add_one(values):
    values[0] += 1.0


def test_what_another_python_compiled_is_not_taken_for_ours(cache):
    assert not is_cached(add_one)
    compile_function(add_one, np.zeros(1))
    assert is_cached(add_one)
    for file in cache.rglob("*add_one*"):
        file.rename(file.with_name(file.name.replace(f".py3{sys.version_info.minor}", ".py310")))
    assert not is_cached(add_one)


def test_a_cache_that_cannot_be_written_does_no_harm(cache, monkeypatch):
    value = last_rsi()[1]
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserProvidedCacheLocator")
    shutil.rmtree(cache)
    cache.write_text("a file where the folder should be")
    assert last_rsi() == (0, value)
