"""A plugin that is one file runs live without another file being touched; a broken one beside it does no harm.

The README's own example, and the two of examples/plugins, in one real worker.
"""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import talib

from schemas.configuration import Config
from schemas.wire import PluginEntry
from streams.kafka.brokers import TansuBroker
from streams.kafka.brokers.probe import free_port
from tests.support.deadlines import deadline
from tests.support.forked import run
from tests.support.live import (
    MINUTES,
    ROOT,
    SignalCount,
    WorkerProcess,
    minute_bars,
    records,
    strategy,
    topics_and_bars,
    wait_for,
    write_config,
)

EXAMPLES = ROOT / "examples" / "plugins"
KEYS = ("mydesk.volume_surprise", "technical.ema_cross", "ml.ridge")
BARS = 1_500

pytestmark = pytest.mark.broker


def readme_plugin() -> str:
    """The block of Python below the heading that promises 15 lines."""
    section = (ROOT / "README.md").read_text().split("## A plugin in 15 lines", 1)[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def alphawire(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return run(*words)


def strategies(folder: Path) -> dict[str, Any]:
    signal = {"key": "signal.threshold", "buy_threshold": 2.0, "sell_threshold": 0.25}
    surprise = strategy(features=["mydesk.volume_surprise"], prediction="volume_surprise", signal=signal)
    ridge = strategy(
        features=["technical.ema_cross"],
        model={"key": "ml.ridge", "artifact": str(folder / "ridge"), "trusted": True},
        signal={"key": "signal.threshold", "buy_threshold": 1e-5, "sell_threshold": -1e-5},
    )
    del ridge["prediction"]
    return {"surprise": surprise, "ridge": ridge}


@dataclass
class ScorerPartition:
    """A folder with one-file plugins, and what came of them."""

    folder: Path
    file: Path
    config: Config
    options: tuple[str, ...]
    pages: dict[str, Any]
    log: str

    def predictions(self, name: str) -> dict[tuple[str, int], float | None]:
        contents = [json.loads(record.value)["content"] for record in records(self.config, "signals")]
        return {(c["symbol"], c["time"]): c["prediction"] for c in contents if c["strategy"] == name}


@pytest.fixture(scope="module")
def desk(tansu: TansuBroker, tmp_path_factory: pytest.TempPathFactory) -> ScorerPartition:
    folder = tmp_path_factory.mktemp("desk")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "my_feature.py").write_text(readme_plugin())
    (plugins / "broken.py").write_text("import a_library_that_nobody_has\n")
    options = ("--plugins", str(plugins), "--plugins", str(EXAMPLES))
    file, port = folder / "desk.yaml", free_port()
    config = write_config(file, tansu.bootstrap, "desk-plugins.", strategies(folder), http=True, http_port=port)
    trained = alphawire("train", "ridge", "--bars", MINUTES, "--to", "2013-10-09", "-c", file, *options)
    assert trained.returncode == 0, trained.stderr
    topics_and_bars(config, minute_bars(BARS))
    signals = SignalCount(config)
    with WorkerProcess(file, *options) as worker:
        wait_for(lambda: signals() >= 2 * BARS or worker.process.poll() is not None)
        pages = {
            path: page(port, path) for path in ("/features/plugins/available", "/models/plugins/available", "/plugins")
        }
        assert worker.stop() == 0
    return ScorerPartition(folder, file, config, options, pages, file.with_suffix(".log").read_text())


def page(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=deadline(10)) as answer:
        return json.load(answer)


def test_the_command_line_lists_them(desk: ScorerPartition) -> None:
    done = alphawire("plugins", "--json", *desk.options)
    assert done.returncode == 0
    entries = {entry["key"]: entry for entry in json.loads(done.stdout)["plugins"]}
    assert set(KEYS) <= entries.keys()
    told = entries["mydesk.volume_surprise"]
    assert told["summary"] == "A bar's volume over the mean volume of the last 20 bars, this one included."
    assert told["outputs"] == ["volume_surprise"]
    assert told["distribution"] == "file"


def test_the_topic_lists_them(desk: ScorerPartition) -> None:
    listed = {record.key.decode(): json.loads(record.value) for record in records(desk.config, "plugins")}
    assert {"features/mydesk.volume_surprise", "features/technical.ema_cross", "models/ml.ridge"} <= listed.keys()
    assert listed["features/mydesk.volume_surprise"].keys() == set(PluginEntry.__struct_fields__)


def test_the_worker_lists_them_over_http(desk: ScorerPartition) -> None:
    features = desk.pages["/features/plugins/available"]["plugins"]
    assert {"mydesk.volume_surprise", "technical.ema_cross"} <= set(features)
    assert features == sorted(features)
    assert "ml.ridge" in desk.pages["/models/plugins/available"]["plugins"]
    everything = {entry["key"] for entry in desk.pages["/plugins"]["plugins"]}
    assert set(KEYS) <= everything


def test_the_broken_one_is_named_with_its_fault_and_mend(desk: ScorerPartition) -> None:
    """On the command line and in the worker's log; everything else is there all the same."""
    done = alphawire("plugins", *desk.options)
    assert done.returncode == 0
    for told in (done.stderr, desk.log):
        (line,) = [line for line in told.splitlines() if "broken.py" in line]
        assert str(desk.folder / "plugins" / "broken.py") in line
        assert "a_library_that_nobody_has" in line
        assert "install a_library_that_nobody_has" in line
    assert "Traceback" not in desk.log


def by_symbol() -> Iterator[tuple[str, pd.DataFrame]]:
    for symbol, bars in minute_bars(BARS).groupby("symbol"):
        yield str(symbol), bars.sort_values("close_time")


def test_the_readmes_plugin_runs_live(desk: ScorerPartition) -> None:
    """Each value against numpy on its own 20 bars."""
    live = desk.predictions("surprise")
    assert len(live) == BARS
    for symbol, bars in by_symbol():
        volume = bars["volume"].to_numpy()
        for row, time in enumerate(bars["close_time"]):
            told = live[symbol, time]
            if row < 19:
                assert told is None
            else:
                assert told == pytest.approx(volume[row] / np.mean(volume[row - 19 : row + 1]), rel=1e-12)


def test_the_example_plugins_run_live(desk: ScorerPartition) -> None:
    """Each prediction against scikit-learn's model on TA-Lib's means."""
    live = desk.predictions("ridge")
    (stored,) = (desk.folder / "ridge").glob("*.joblib")
    model = joblib.load(stored)["model"]
    for symbol, bars in by_symbol():
        close = bars["close"].to_numpy()
        fast, slow = talib.EMA(close, 12), talib.EMA(close, 26)
        known = ~np.isnan(slow)
        wanted = model.predict(np.column_stack([fast, slow, fast - slow])[known])
        told = [live[symbol, time] for time in bars["close_time"]]
        assert told[: int((~known).sum())] == [None] * int((~known).sum())
        np.testing.assert_allclose(told[int((~known).sum()) :], wanted, rtol=1e-9)


@pytest.mark.parametrize("name", ["surprise", "ridge"])
def test_live_is_what_a_replay_says(desk: ScorerPartition, name: str) -> None:
    done = alphawire("verify", name, "-c", desk.file, "--json", *desk.options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["equal"] == BARS


def test_a_model_that_unpickles_runs_only_when_trusted(desk: ScorerPartition) -> None:
    file = desk.folder / "untrusted.yaml"
    file.write_text(desk.file.read_text().replace("trusted: true", "trusted: false"))
    done = alphawire("worker", "-c", file, *desk.options)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("alphawire: ")]
    assert "ml.ridge" in line
    assert "`trusted: true`" in line


def test_without_the_option_a_worker_says_which_plugin_it_lacks(desk: ScorerPartition) -> None:
    done = alphawire("worker", "-c", desk.file, "--plugins", EXAMPLES)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("alphawire: ")]
    assert "mydesk.volume_surprise" in line
