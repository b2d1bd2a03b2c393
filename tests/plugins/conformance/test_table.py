"""The kit tells clean plugins from faulty ones, and finds the faulty ones for the reason that they are faulty."""

from collections import Counter

import pytest

from plugins.base import Plugin
from plugins.checks import Report, Session, target_of
from plugins.checks.catalogue import CATALOGUE
from tests.plugins.conformance import (  # noqa: F401  (each fills the table)
    clean_features,
    clean_folds,
    engines,
    faulty_behaviour,
    faulty_looks_ahead,
    faulty_memory,
    longer_bars,
    models,
    sections,
    sequences,
    signals,
)
from tests.plugins.conformance.table import CLEAN, FAULTY
from tests.support.deadlines import deadline
from tests.support.told import ROWS

pytestmark = pytest.mark.slow


LONGEST = 60.0
"""Seconds that a plugin may take on a quiet machine."""
HANG = 4.0
"""Deadline for those that never end, so that the table does."""

_reports: dict[type[Plugin], Report] = {}


def report_of(kit: Session, cls: type[Plugin]) -> Report:
    if cls not in _reports:
        kit.deadline = HANG if cls.__name__ in ("Hangs", "Sleeps") else deadline(30.0)
        _reports[cls] = kit.check(target_of(cls))
    return _reports[cls]


def name(cls: type[Plugin]) -> str:
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"


@pytest.mark.parametrize("cls", [pytest.param(cls, id=name(cls)) for cls in CLEAN])
def test_a_clean_plugin_is_accepted(kit, cls) -> None:
    report = report_of(kit, cls)
    assert report.passed, str(report)
    assert report.seconds < deadline(LONGEST)


@pytest.mark.parametrize(("cls", "check"), [pytest.param(cls, check, id=name(cls)) for cls, check in FAULTY])
def test_a_faulty_plugin_is_rejected_for_its_fault(kit, cls, check) -> None:
    report = report_of(kit, cls)
    found = report[check]
    assert found.status == "failed", f"{found}\n{report}"
    assert found.saw
    assert found.mend
    assert report.seconds < deadline(LONGEST)


def test_the_table_meets_its_figures(kit) -> None:
    assert len(CLEAN) >= 50
    assert len(FAULTY) >= 50
    accepted = [cls for cls in CLEAN if report_of(kit, cls).passed]
    found = [cls for cls, check in FAULTY if report_of(kit, cls)[check].status == "failed"]
    slowest = max(report.seconds for report in _reports.values())
    ROWS[:] = table()
    ROWS.append(f"clean: {len(accepted)} of {len(CLEAN)} accepted; faulty: {len(found)} of {len(FAULTY)} rejected for "
                f"the stated reason; slowest {slowest:.1f} s")  # fmt: skip
    assert len(accepted) >= 0.98 * len(CLEAN)
    assert len(found) >= 0.98 * len(FAULTY)


def table() -> list[str]:
    """A line for each plugin: what it is, what must find it, what did."""
    rows = [f"  {name(cls):<44} {'nothing':<24} {_failures(_reports[cls])}" for cls in CLEAN]
    rows += [f"  {name(cls):<44} {check:<24} {_failures(_reports[cls])}" for cls, check in FAULTY]
    return [f"  {'plugin':<44} {'must be found by':<24} failed checks", *rows]


def _failures(report: Report) -> str:
    return ", ".join(finding.check for finding in report.failures) or "none"


TELLS = ("processors",)
"""It rejects nothing, it says what another kind of processor makes: see tests/alphawire/test_check_on_bars.py."""


@pytest.mark.parametrize("category", CATALOGUE)
def test_every_check_has_a_plugin_that_it_must_reject(category) -> None:
    covered = Counter(check for cls, check in FAULTY if target_of(cls).category == category)
    assert [check.name for check in CATALOGUE[category] if not covered[check.name] and check.name not in TELLS] == []
