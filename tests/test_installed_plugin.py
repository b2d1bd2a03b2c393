"""A plugin in a package of its own: built, installed, found by its entry point, certified, and run live."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.kafka.brokers import TansuBroker
from tests.support.live import (
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

PACKAGE = ROOT / "tests" / "support" / "mydesk_package"
KEY = "mydesk_features.volume.share"
BARS = 400


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package was installed from a wheel, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    source, site = folder / "source", folder / "site"
    shutil.copytree(PACKAGE, source)  # setuptools builds within the source
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--offline", "--no-build-isolation", "--no-deps", "--python", sys.executable,
         "--target", site, source],
        check=True, capture_output=True,
    )  # fmt: skip
    return site


@pytest.fixture
def path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process that the test starts has the package."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), str(ROOT)]))


def alphawire(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "alphawire", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_it_is_listed_with_where_it_comes_from(path: None) -> None:
    done = alphawire("plugins", "features", "--json")
    (entry,) = [entry for entry in json.loads(done.stdout)["plugins"] if entry["key"] == KEY]
    assert (entry["distribution"], entry["distribution_version"]) == ("mydesk-features", "1.0")


def test_it_is_certified(path: None) -> None:
    done = alphawire("check", KEY, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)["reports"]
    assert report["passed"]
    assert {f["check"]: f["status"] for f in report["findings"]}["batch_equals_live"] == "passed"


def test_it_is_not_there_without_the_package() -> None:
    done = alphawire("check", KEY)
    assert done.returncode == 2
    assert "there is no plugin" in done.stderr


def test_it_runs_live(path: None, tansu: TansuBroker, tmp_path: Path) -> None:
    signal = {"key": "signal.threshold", "buy_threshold": 0.01, "sell_threshold": 0.0}
    strategies = {"share": strategy(features=[KEY], prediction="volume_share", signal=signal)}
    file = tmp_path / "share.yaml"
    config = write_config(file, tansu.bootstrap, "installed-plugin.", strategies)
    bars = minute_bars(BARS)
    topics_and_bars(config, bars)
    signals = SignalCount(config)
    with WorkerProcess(file, fresh=True) as worker:
        wait_for(lambda: signals() >= BARS or worker.process.poll() is not None)
        assert worker.stop() == 0
    contents: list[dict[str, Any]] = [json.loads(record.value)["content"] for record in records(config, "signals")]
    seen = {(content["symbol"], content["time"]): content["prediction"] for content in contents}
    shares = bars["volume"] / bars.groupby("symbol")["volume"].cumsum()
    wanted = dict(zip(zip(bars["symbol"], bars["close_time"], strict=True), shares, strict=True))
    assert seen == pytest.approx(wanted, rel=1e-12)
