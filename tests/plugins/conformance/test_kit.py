"""The kit itself: what its findings say, and that a misbehaving plugin cannot take it down."""

import contextlib
import re
from pathlib import Path

import pandas as pd
import pytest

from plugins.base import BaseFeature
from plugins.checks import bars as checked_bars
from plugins.checks import check_plugin, target_of
from plugins.checks.catalogue import CATALOGUE
from schemas.errors import ConfigurationError
from tests.plugins.conformance import clean_features, faulty_behaviour, faulty_looks_ahead, faulty_memory
from tests.plugins.conformance.table import OneColumn

pytestmark = pytest.mark.slow


ROOT = Path(__file__).parents[3]


class Chatty(OneColumn):
    """Prints, and reads from standard input."""

    def value(self, data):
        print("not JSON")
        with contextlib.suppress(EOFError):
            input()
        return data["close"].rolling(20).mean()


class HangsWithoutVolume(OneColumn):
    lookback = 2

    def value(self, data):
        while len(data) > 2 and data["volume"].max() == 0:
            pass
        return data["close"].diff()


def mend(kit, cls: type[BaseFeature], check: str) -> str:
    return kit.check(target_of(cls))[check].mend


@pytest.mark.parametrize(
    ("cls", "check", "said"),
    [
        (faulty_memory.TooShort, "lookback", "declare lookback = 30,"),
        (faulty_memory.OneTooShort, "lookback", "declare lookback = 21,"),
        (faulty_memory.Undeclared, "lookback", "declare lookback = 12,"),
        (faulty_memory.ExpandingMean, "lookback", "write it as a fold"),
        (faulty_memory.LaterThanDeclared, "warm_up", "declare warmup = 1 "),
        (faulty_looks_ahead.NextReturn, "no_look_ahead", "it reaches 1 bar ahead"),
        (faulty_looks_ahead.ChikouSpan, "no_look_ahead", "it reaches 26 bars ahead"),
        (faulty_looks_ahead.Standardised, "no_look_ahead", "over the whole frame"),
        (faulty_looks_ahead.Dummies, "no_look_ahead", "the columns and their dtypes must not depend on the data"),
    ],
)
def test_a_mend_says_what_to_do(kit, cls, check, said) -> None:
    assert said in mend(kit, cls, check)


def test_what_a_plugin_prints_and_reads_does_no_harm(kit) -> None:
    report = kit.check(target_of(Chatty))
    assert report.passed, str(report)


def test_after_a_hang_the_kit_goes_on(kit, monkeypatch) -> None:
    monkeypatch.setattr(kit, "deadline", 6.0)
    report = kit.check(target_of(HangsWithoutVolume))
    assert report["edge_cases"].saw.startswith("no end within 6 s")
    statuses = [finding.status for finding in report.findings]
    assert len(statuses) == len(CATALOGUE["features"])
    assert report["lookback"].status == "passed"
    assert report["state_size"].status == "passed"


def test_after_a_crash_the_next_plugin_is_checked(kit) -> None:
    assert "exit code 3" in kit.check(target_of(faulty_behaviour.EndsTheProcess))["computes"].saw
    assert kit.check(target_of(clean_features.Change)).passed


def test_the_helper_for_tests_raises_a_readable_report() -> None:
    with pytest.raises(AssertionError, match=r"(?s)NextReturn: failed \d+ of \d+ checks.*\n  no_look_ahead: when "):
        check_plugin(faulty_looks_ahead.NextReturn)


def test_parameters_can_be_given() -> None:
    (report,) = check_plugin(clean_features.Configurable, window=5)
    assert report["lookback"].saw.startswith("6 bars suffice")


def test_a_class_within_a_function_is_refused_with_the_reason() -> None:
    class Local(OneColumn):
        pass

    with pytest.raises(ConfigurationError, match="define it in a module"):
        check_plugin(Local)


@pytest.mark.parametrize("category", CATALOGUE)
def test_every_check_says_what_it_does_and_is_documented(category) -> None:
    page = (ROOT / "docs" / "conformance.md").read_text()
    (section,) = [
        part for part in re.split(r"^## ", page, flags=re.MULTILINE) if part.startswith(category.capitalize())
    ]
    for check in CATALOGUE[category]:
        assert len(check.did) > 20
        assert f"`{check.name}`" in section


def test_its_real_bars_are_those_of_the_examples() -> None:
    daily = pd.read_parquet(ROOT / "examples" / "data" / "equities_daily.parquet")
    minutes = pd.read_parquet(ROOT / "examples" / "data" / "equities_minute.parquet")
    for symbol in checked_bars.REAL:
        source = daily if symbol in ("XOM", "JNJ") else minutes
        wanted = source[source["symbol"] == symbol].iloc[:600]
        assert (
            checked_bars.real(symbol).to_numpy().tolist() == wanted[list(checked_bars.COLUMNS)].to_numpy(float).tolist()
        )
