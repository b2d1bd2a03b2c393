"""Named places where the fault suite makes a worker die.

``ALPHAWIRE_FAILPOINTS="after_signals=3,in_revoke=1"`` kills the process, as SIGKILL would, when it comes to that
place for the third, the first time. Without the variable a failpoint is one look-up in an empty dict.
"""

import os
import signal
from collections.abc import Mapping

NAMES = (
    "after_fetch",
    "mid_chunk",
    "after_chunk",
    "before_signals",
    "after_signals",
    "mid_round",
    "before_roster",
    "after_round",
    "after_marker",
    "before_commit",
    "after_commit",
    "in_load",
    "in_silent_fold",
    "in_catch_up",
    "in_revoke",
)
OF_REPLAY = ("after_replay_intention", "before_replay_marks", "before_replay_commit")
"""In ``alphawire dead-letters replay``."""


def armed(environment: Mapping[str, str]) -> dict[str, int]:
    """The failpoints that `environment` arms, and how often each is passed before it kills."""
    text = environment.get("ALPHAWIRE_FAILPOINTS", "")
    pairs = (part.partition("=") for part in text.split(",") if part)
    found = {name.strip(): int(count or 1) for name, _, count in pairs}
    if unknown := found.keys() - {*NAMES, *OF_REPLAY}:
        raise ValueError(
            f"there is no failpoint {', '.join(sorted(unknown))}; there is: {', '.join((*NAMES, *OF_REPLAY))}"
        )
    return found


_armed = armed(os.environ)


def failpoint(name: str) -> None:
    """Dies here when this place is armed and its count is up."""
    if name in _armed:
        _armed[name] -= 1
        if _armed[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
