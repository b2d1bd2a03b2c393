"""The conformance kit: what a plugin promises, checked.

>>> from plugins.checks import check_plugin
>>> check_plugin("technical.rsi")  # doctest: +SKIP
"""

from pathlib import Path
from typing import Any

from plugins.base import Plugin
from plugins.checks.findings.finding import Finding, Report
from plugins.checks.process.session import DEADLINE, Session
from plugins.checks.process.target import Target, target_of, targets_of_file

__all__ = ["Finding", "Report", "Session", "Target", "check_plugin", "target_of", "targets_of_file"]


def check_plugin(
    plugin: str | Path | type[Plugin], *, deadline: float = DEADLINE, strict: bool = True, **params: Any
) -> list[Report]:
    """Checks a plugin: the helper for tests in other packages.

    Parameters
    ----------
    plugin
        A class, a registered key, or a file (all plugins that it registers).
    deadline
        Seconds for one check.
    strict
        Raise `AssertionError` with a readable report when a check fails; else only report.
    params
        Of the plugin; its defaults where not given.

    Returns
    -------
    list[Report]
        One for each plugin: what each check did and saw, and how to mend it.
    """
    if isinstance(plugin, Path) or (isinstance(plugin, str) and plugin.endswith(".py")):
        targets = targets_of_file(Path(plugin))
    else:
        targets = [target_of(plugin, params)]
    with Session(deadline) as session:
        reports = [session.check(target) for target in targets]
    failed = [report for report in reports if not report.passed]
    if failed and strict:
        raise AssertionError("\n".join(map(str, failed)))
    return reports
