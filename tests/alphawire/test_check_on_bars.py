"""The kit on the bars that a plugin is for, on signals of features' columns, and without a processor's wide loops."""

import itertools
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
from plugins.checks.features import processors
from plugins.checks.features.subject import FeatureSubject
from plugins.checks.process.session import plain_processor
from plugins.checks.signals.subject import SignalSubject
from plugins.features import feature_registry
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


OTHERWISE = {
    "exp": ("np.exp(close.pct_change().clip(-9, 9))", "np.exp(x)"),
    "log": ("np.log(close)", "np.log(wide)"),
    "log_of_ratios": ("np.log(close / close.shift(1))", "np.log(wide)"),
    "dot": ("data[PRICES] @ WEIGHTS", "x.reshape(-1, 4) @ np.array([0.1, 0.2, 0.3, 0.4])"),
}
"""Feature → its values, and what it calls of NumPy: of `x` between -3 and 3, `wide` as prices are."""
ALIKE = {
    "root": ("np.sqrt(close)", "np.sqrt(wide)"),
    "weighted": ("(data[PRICES] * WEIGHTS).sum(axis=1)", "wide.reshape(-1, 100).sum(1)"),
    "deviation": ("close.rolling(2).std()", "wide.reshape(-1, 100).std(axis=1)"),
}
KINDS = """
import numpy as np
import pandas as pd
from plugins.features import BaseFeature, feature_registry

PRICES, WEIGHTS = ["open", "high", "low", "close"], np.array([0.1, 0.2, 0.3, 0.4])
"""
KIND = """
@feature_registry.register("mydesk.{name}")
class Feature_{name}(BaseFeature):
    lookback = 2
    outputs = ("{name}",)

    def compute(self, data):
        close = data["close"]
        return pd.DataFrame({{"{name}": {values}}}, index=data.index)
"""
ORACLE = """
import hashlib, json
import numpy as np
random = np.random.default_rng(0)
x, wide = random.uniform(-3, 3, 200_000), np.ldexp(1 + random.random(200_000), random.integers(-6, 16, 200_000))
"""


def test_another_kind_of_processor(tmp_path: Path) -> None:
    """Whether it differs depends on this one: the oracle is NumPy itself in a process without its features."""
    cases = OTHERWISE | ALIKE
    plugin = tmp_path / "kinds.py"
    plugin.write_text(KINDS + "".join(KIND.format(name=name, values=values) for name, (values, _) in cases.items()))
    calls = ", ".join(f"'{name}': {call}" for name, (_, call) in cases.items())
    script = (
        ORACLE + f"print(json.dumps({{n: hashlib.sha256(v.tobytes()).hexdigest() for n, v in {{{calls}}}.items()}}))"
    )
    here, there = (
        json.loads(subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, check=True).stdout)
        for env in ({}, plain_processor())
    )
    differ = {name for name in cases if here[name] != there[name]}
    assert differ == (set(OTHERWISE) if plain_processor() else set())
    (tmp_path / "none.yaml").write_text("{}")
    findings = found(plugin, "-c", tmp_path / "none.yaml", check="processors")
    assert {finding["status"] for finding in findings} == {"passed"}
    told = {name for name, one in zip(sorted(cases), findings, strict=True) if "equal on one kind" in one["saw"]}
    assert told == differ


def test_as_many_bars_as_there_is_time_for_and_in_the_other_process_as_many() -> None:
    """By a clock that says 0.1 s for each frame, 0.4 s from the fourth on."""
    subject = FeatureSubject(feature_registry.get("technical.rsi"), {})
    times = iter([0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.7])
    sizes = list(processors._sizes(subject, lambda: next(times)))
    assert [later / earlier for earlier, later in itertools.pairwise(sizes)] == [2, 2, 2]
    assert subject.frames == 4
    assert list(processors._sizes(subject, lambda: 0.0)) == sizes
    subject.frames = 0
    sizes = list(processors._sizes(subject, lambda: 0.0))
    assert processors.MANY <= sum(sizes) < processors.MANY + processors.LONGEST
