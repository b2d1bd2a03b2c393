"""The kit on the bars that a plugin is for, on signals of features' columns, and without a processor's wide loops."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from plugins.checks import bars
from plugins.checks.process.session import DISABLE, processor_features
from plugins.checks.signals.subject import SignalSubject
from plugins.signals import BaseSignalGenerator
from tests.support.forked import run

HOURS = """
from plugins.features import BaseFeature, feature_registry

@feature_registry.register("mydesk.hours")
class Hours(BaseFeature):
    \"\"\"Mean of the closes of sixteen hours: 960 minute bars, or one of a day.\"\"\"

    lookback = 40
    outputs = ("hours",)

    def compute(self, data):
        return data[["close"]].rolling("16h").mean().set_axis(["hours"], axis=1)
"""


def found(*words: str | Path, check: str = "lookback", cwd: Path | None = None) -> list[dict[str, Any]]:
    done = run("check", *words, "--json", seconds=600.0, **({"cwd": cwd} if cwd else {}))
    reports = json.loads(done.stdout)["reports"]
    return [
        next(finding for finding in report["findings"] if finding["check"] == check) | {"on": report.get("interval")}
        for report in reports
    ]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    (tmp_path / "hours.py").write_text(HOURS)
    return tmp_path / "hours.py"


def test_a_lookback_is_found_out_on_the_bars_that_it_is_for(plugin: Path, tmp_path: Path) -> None:
    """Of the strategies that use it by default; --interval goes before them, and so do the bars of a file."""
    strategies = {
        name: {"interval": interval, "features": ["mydesk.hours"], "prediction": "hours", "signal": "signal.threshold"}
        for name, interval in (("a", "1m"), ("b", "60m"), ("c", "1h"))
    }
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"strategies": strategies}))
    minutes, hours = found(plugin, "-c", tmp_path / "a.yaml")
    assert (minutes["status"], minutes["on"]) == ("failed", "1m")
    assert "declare lookback = 960" in minutes["mend"]
    assert (hours["status"], hours["on"]) == ("passed", "1h")
    (named,) = found(plugin, "-c", tmp_path / "a.yaml", "--interval", "1d")
    assert (named["status"], named["on"]) == ("passed", "1d")


def test_usual_bars_are_of_the_interval(tmp_path: Path) -> None:
    try:
        for interval, step in (("1m", 60), ("5m", 300), ("1h", 3600), ("2h", 7200)):
            bars.use(interval, None)
            for frame in (bars.usual(2_000), bars.walk(50), bars.edges(60)["a jump"]):
                assert frame.index.to_series().diff().dt.total_seconds().median() == step
        own = bars.walk(700, 5).reset_index()
        own.assign(time=own["time"].dt.tz_localize(None)).to_parquet(tmp_path / "own.parquet")
        bars.use("2h", str(tmp_path / "own.parquet"))
        assert bars.usual(600)["close"].tolist() == own["close"].tolist()[:600]
        assert len(bars.usual(900)) == 900
    finally:
        bars.use(None, None)
    assert bars.usual(100).equals(bars.real("XOM", 100))


def _by(read: str) -> type[BaseSignalGenerator]:
    class Generator(BaseSignalGenerator):
        def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
            values = {
                "item": lambda: predictions["momentum"],
                "list": lambda: predictions[["rsi", "momentum"]]["momentum"],
                "only": lambda: predictions[["momentum", "fast.mean"]].sum(axis=1),
                "attribute": lambda: predictions.momentum,
                "loc": lambda: predictions.loc[:, "momentum"],
            }[read]()
            return predictions.assign(signal=np.where(values > 0, "BUY", "HOLD"))

    return Generator


@pytest.mark.parametrize("read", ["item", "list", "only", "attribute", "loc"])
def test_a_signal_is_given_the_columns_for_which_it_asks(read: str) -> None:
    subject = SignalSubject(_by(read), {})
    assert "momentum" in subject.asked
    assert set(subject.baseline["signal"]) == {"BUY", "HOLD"}


@pytest.mark.parametrize(
    ("text", "told"), [("np.exp(data[['close']] / 100)", True), ("(data[['close']] * 2.0)", False)]
)
def test_another_kind_of_processor(tmp_path: Path, text: str, told: bool) -> None:
    """Whether it differs depends on this one: the oracle is NumPy itself in a process without its features."""
    plugin = tmp_path / "logs.py"
    source = (
        HOURS.replace("mydesk.hours", "mydesk.logs")
        .replace('data[["close"]].rolling("16h").mean()', text)
        .replace("from plugins", "import numpy as np\nfrom plugins", 1)
    )
    plugin.write_text(source)
    script = (
        "import numpy as np, hashlib; x = np.random.default_rng(0).uniform(50, 150, 100_000);"
        " print(hashlib.sha256(np.exp(x / 100).tobytes()).hexdigest())"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout
        for env in ({}, {DISABLE: " ".join(processor_features())})
    }
    (tmp_path / "none.yaml").write_text("{}")
    (finding,) = found(plugin, "-c", tmp_path / "none.yaml", check="repeatable")
    assert finding["status"] == "passed"
    assert ("equal on one kind of processor" in finding["saw"]) == (told and len(outputs) == 2)
