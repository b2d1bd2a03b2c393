"""`alphawire check`: exit codes, lines for people, JSON for programs."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.forked import run

ROOT = Path(__file__).parents[2]

GOOD = """
import pandas as pd
from plugins.features import BaseFeature, feature_registry


@feature_registry.register("mydesk.change")
class Change(BaseFeature):
    lookback = 2

    def compute(self, data):
        return pd.DataFrame({"change": data["close"].diff()})
"""
LEAKY = GOOD.replace("mydesk.change", "mydesk.leak").replace("diff()", "diff(-2)")


def check(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return run("check", *words, seconds=600.0)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {"good": tmp_path / "good.py", "leaky": tmp_path / "leaky.py", "broken": tmp_path / "broken.py"}
    for name, text in (("good", GOOD), ("leaky", LEAKY), ("broken", "import a_library_that_nobody_has\n")):
        found[name].write_text(text)
    return found


def test_a_good_plugin_gives_0_and_a_line(files) -> None:
    done = check(files["good"])
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("mydesk.change: passed ")
    assert done.stderr == ""


def test_a_leaky_one_gives_1_and_a_line_with_the_mend(files) -> None:
    done = check(files["good"], files["leaky"])
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mydesk.change: passed ")
    (said,) = [line for line in lines if line.strip().startswith("no_look_ahead: ")]
    assert "it reaches 2 bars ahead" in said


def test_json_has_every_finding(files) -> None:
    done = check(files["leaky"], "--json")
    assert done.returncode == 1
    (report,) = json.loads(done.stdout)["reports"]
    assert (report["key"], report["category"], report["passed"]) == ("mydesk.leak", "features", False)
    by_name = {finding["check"]: finding for finding in report["findings"]}
    assert by_name["no_look_ahead"]["status"] == "failed"
    assert by_name["restart"]["status"] == "not applicable"
    assert by_name["restart"]["saw"] == "no_look_ahead must pass first"
    assert all(finding["did"] for finding in report["findings"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name plugins or files to check, or give --all"),
        (["technical.rsi", "--all"], "name plugins or files to check, or give --all"),
        (["technical.rsj"], "did you mean technical.rsi"),
        (["nowhere.py"], "there is no such file"),
        (["broken"], "install a_library_that_nobody_has"),
    ],
)
def test_wrong_use_gives_2_and_one_line(files, words, said) -> None:
    done = check(*[files.get(word, word) for word in words])
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.slow
def test_all_plugins_that_ship_are_certified() -> None:
    done = check("--all", "--json")
    reports = json.loads(done.stdout)["reports"]
    failed = [(r["key"], f["check"], f["saw"]) for r in reports for f in r["findings"] if f["status"] == "failed"]
    assert failed == []
    assert done.returncode == 0
    assert {"technical.rsi", "ml.lightgbm", "signal.threshold", "backtrader", "vectorbt"} <= {r["key"] for r in reports}


def test_the_plugins_of_the_examples_are_certified() -> None:
    done = check(*sorted((ROOT / "examples" / "plugins").glob("*.py")))
    assert done.returncode == 0, done.stdout
