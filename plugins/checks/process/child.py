"""The process in which plugins are checked: foreign code may hang, crash and print there without harm.

Each question is a line of JSON on standard input, each answer a line of JSON on standard output.
"""

import json
import os
import sys
import warnings
from typing import Any

from plugins.checks import bars
from plugins.checks.catalogue import CATALOGUE, Check
from plugins.checks.engines.engine_checks import EngineSubject
from plugins.checks.features.subject import FeatureSubject, describe
from plugins.checks.findings.outcome import Failed, Inapplicable
from plugins.checks.models.subject import ModelSubject
from plugins.checks.process import outside
from plugins.checks.process.target import Target
from plugins.checks.sections.subject import SectionSubject
from plugins.checks.signals.subject import SignalSubject
from schemas.errors import AlphawireError

SUBJECTS: dict[str, type[Any]] = {
    "features": FeatureSubject,
    "sections": SectionSubject,
    "models": ModelSubject,
    "signals": SignalSubject,
    "engines": EngineSubject,
}


def main() -> None:
    # What a plugin prints or reads must not get between the questions and the answers; its errors are in the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    asks = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    warnings.simplefilter("ignore")
    outside.install()
    child = Child()
    answers.write("ready\n")
    answers.flush()
    for line in asks:
        answers.write(json.dumps(child.answer(json.loads(line))) + "\n")
        answers.flush()


class Child:
    """Holds the plugin that is being checked."""

    def __init__(self) -> None:
        self._subject: Any = None
        self._category = ""

    def answer(self, ask: dict[str, Any]) -> dict[str, Any]:
        """status, saw and mend; in how many frames, for another process to do as much."""
        try:
            if ask["do"] == "open":
                return self._open(Target(**ask["target"]), ask["path"])
            check = next(check for check in CATALOGUE[self._category] if check.name == ask["check"])
            return self._check(check, ask.get("frames", 0))
        except Failed as failed:
            return {"status": "failed", "saw": failed.saw, "mend": failed.mend}
        except Inapplicable as reason:
            return {"status": "not applicable", "saw": str(reason), "mend": ""}

    def _open(self, target: Target, path: list[str]) -> dict[str, str]:
        sys.path[:] = [*path, *(place for place in sys.path if place not in path)]
        try:
            cls = target.load()
        except AlphawireError as error:
            raise Failed(str(error), "see there") from error
        except (Exception, SystemExit) as error:
            raise Failed(f"it cannot be imported: {describe(error)}", f"correct {target.module}") from error
        bars.use(target.interval, target.bars)
        self._category = target.category
        self._subject = SUBJECTS[target.category](cls, target.params)
        return {"status": "passed", "saw": "", "mend": ""}

    def _check(self, check: Check, frames: int) -> dict[str, Any]:
        try:
            self._subject.frames = frames
            saw = check.function(self._subject)
            return {"status": "passed", "saw": saw, "mend": "", "frames": self._subject.frames}
        except (Failed, Inapplicable):
            raise
        except (Exception, SystemExit) as error:  # foreign code, wherever it is called
            raise Failed(
                f"it raised {describe(error)}", "see what it does with the bars that the check gives"
            ) from error


if __name__ == "__main__":
    main()
