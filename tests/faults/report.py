"""What a run came to, as Markdown."""

from collections import Counter, defaultdict

from tests.faults.checks import Found
from tests.faults.controller import Run
from tests.faults.kinds import DECK

ENDS: dict[int | str, str] = {
    0: "asked to stop",
    -9: "SIGKILL",
    10: "broker away, or an outcome unknown",
    11: "no progress",
}


def table(run: Run, found: Found) -> str:
    """Kinds of faults with their numbers, how workers' lives ended, and each check."""
    lines = ["| fault | times |", "|---|---:|"]
    meanings = {kind.__name__: kind.__name__.replace("_", " ") for kind in DECK}
    lines += [f"| {meanings.get(name, name)} | {number} |" for name, number in sorted(run.injected.items())]
    points: dict[str, Counter[str]] = defaultdict(Counter)
    for happened, number in run.happened.items():
        name, _, action = happened.partition(":")
        points[name][action] += number
    for name, actions in sorted(points.items()):
        detail = ", ".join(f"{action} {number}" for action, number in sorted(actions.items()))
        lines.append(f"| at `{name}`: {detail} | {actions.total()} |")
    lines += [f"| **all**, at {len(points)} named points | **{run.faults}** |", ""]
    lines += ["| a worker's life ended by | times |", "|---|---:|"]
    lines += [f"| {ENDS.get(code, code)} | {number} |" for code, number in sorted(run.ends.items(), key=str)]
    lines += ["", "| check | outcome |", "|---|---|"]
    lines += [f"| {check} | {found.red.get(check, 'holds')} |" for check in found.faults]
    lines += ["", "Seconds of the checks: " + ", ".join(f"{check} {s:.0f}" for check, s in found.seconds.items()) + "."]
    bars = ", ".join(f"{number} {name}" for name, number in sorted(run.producer.counts.items()))
    lines += ["", f"Input: {bars}. Behind for {run.lag_seconds:.1f} s after the last fault."]
    lines += [f"{note}: {number}." for note, number in sorted(run.notes.items())]
    return "\n".join(lines) + "\n"
