"""What the kit reports: a finding for each check, a report for each plugin."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ONE_KIND = "equal on one kind of processor"
Status = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes
    ----------
    check
        Its name.
    status
        passed, failed, or not applicable.
    did
        What was done.
    saw
        What came of it; for a check that cannot apply, why.
    mend
        What to change; empty unless it failed.
    """

    check: str
    status: Status
    did: str
    saw: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.check}: {self.saw}" + (f"; {self.mend}" if self.mend else "")


@dataclass(slots=True)
class Report:
    """All findings on one plugin."""

    key: str
    category: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    interval: str | None = None
    """Of the bars that it was checked on, where one was named."""

    @property
    def failures(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.status == "failed"]

    @property
    def passed(self) -> bool:
        """Nothing failed, and something was found to hold."""
        return not self.failures and any(finding.status == "passed" for finding in self.findings)

    def __getitem__(self, check: str) -> Finding:
        return next(finding for finding in self.findings if finding.check == check)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "key": self.key,
            "category": self.category,
            **({"interval": self.interval} if self.interval else {}),
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
        } | {"findings": [asdict(finding) for finding in self.findings]}

    def __str__(self) -> str:
        """A line for each failure, or one line with the number of checks passed."""
        name = self.key + (f" on bars of {self.interval}" if self.interval else "")
        passed = sum(finding.status == "passed" for finding in self.findings)
        if self.passed:
            one_kind = next((f"; {f.saw.partition('; ')[2]}" for f in self.findings if ONE_KIND in f.saw), "")
            return f"{name}: passed {passed} checks{one_kind}"
        lines = [f"  {finding}" for finding in self.failures] or ["  no check could be made"]
        return "\n".join([f"{name}: failed {len(self.failures)} of {passed + len(self.failures)} checks", *lines])
