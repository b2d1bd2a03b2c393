"""``python -m tests.mutation``: how many mutants of the core the tests notice, and that each survivor has its reason.

Mutants that no test can tell from the code (or need not) are in ``survivors.toml``. The command ends with 1 when one
survived that is not there, or when fewer than 90 in 100 are killed; it names those that are there and were killed.
"""

import argparse
import contextlib
import json
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from rich.progress import Progress

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.runner import Fate, Result, run
from tests.mutation.targets import ROOT, TARGETS, WITH_BROKERS, modules

REASONS = Path(__file__).with_name("survivors.toml")
ASKED = 0.9


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="modules whose path contains one of these")
    parser.add_argument("--json", type=Path, help="file for all results")
    given = parser.parse_args()
    results: list[Result] = []
    with contextlib.suppress(KeyboardInterrupt), Progress() as progress:  # what is there so far is reported
        for target, tests in TARGETS.items():
            chosen = [
                file for file in modules(target) if any(part in str(file.relative_to(ROOT)) for part in given.only)
            ]
            mutants = [mutant for file in chosen for mutant in mutants_of(file)]
            if not mutants:
                continue
            task = progress.add_task(target, total=len(mutants))

            def each(result: Result, task: object = task) -> None:
                results.append(result)
                progress.advance(task)  # type: ignore[arg-type]
                if result.fate is Fate.SURVIVED:
                    progress.console.print(f"survived: {result.mutant.name}", markup=False, highlight=False)

            run(mutants, tests, target in WITH_BROKERS, each)
    if given.json:
        rows = [
            {"mutant": result.mutant.name, "operator": result.mutant.operator, "fate": result.fate}
            for result in results
        ]
        given.json.write_text(json.dumps(rows, indent=1))
    return report(results, reasons())


@dataclass(frozen=True)
class Reason:
    """Why these mutants may survive: `changes` (line before, line after), and any change of `lines`."""

    module: str
    reason: str
    changes: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()

    def covers(self, module: str, before: str, after: str) -> bool:
        return fnmatch(module, self.module) and ((before, after) in self.changes or before in self.lines)


def reasons() -> list[Reason]:
    """Those of the file; `module` there may have a wildcard."""
    return [
        Reason(
            entry["module"], entry["reason"], tuple(map(tuple, entry.get("changes", ()))), tuple(entry.get("lines", ()))
        )
        for entry in tomllib.loads(REASONS.read_text())["survivors"]
    ]


def _key(mutant: Mutant) -> tuple[str, str, str]:
    return str(mutant.module.relative_to(ROOT)), mutant.before, mutant.after


def report(results: list[Result], known: list[Reason]) -> int:
    """Prints the table and what is wrong with it; returns the exit code."""
    by_module: dict[str, Counter[Fate]] = {}
    for result in results:
        by_module.setdefault(str(result.mutant.module.relative_to(ROOT)), Counter())[result.fate] += 1
    killed = sum(result.fate is not Fate.SURVIVED for result in results)
    for module, fates in by_module.items():
        dead = fates.total() - fates[Fate.SURVIVED]
        print(f"{module:55} {dead:5} of {fates.total():5} killed  {dead / fates.total():6.1%}")
    print(f"{'together':55} {killed:5} of {len(results):5} killed  {killed / max(len(results), 1):6.1%}")
    survivors = {_key(result.mutant) for result in results if result.fate is Fate.SURVIVED}
    unexplained = sorted(key for key in survivors if not any(reason.covers(*key) for reason in known))
    for module, before, after in unexplained:
        print(f"survives without a reason: {module}: {before}  →  {after}")
    for module, before, after in sorted({_key(result.mutant) for result in results} - survivors):
        if any((before, after) in reason.changes and fnmatch(module, reason.module) for reason in known):
            print(f"has a reason, and is killed: {module}: {before}  →  {after}")
    return int(bool(unexplained) or killed < ASKED * len(results))


if __name__ == "__main__":
    sys.exit(main())
