"""Named places where the fault suite lets something happen to a worker.

``ALPHAWIRE_FAILPOINTS="after_signals=3,in_revoke=1:stop,mid_chunk=5:delay=2.5"``: when the process comes to that place
for the third, the first, the fifth time, it dies as by SIGKILL, stops as by SIGSTOP (until someone sends SIGCONT), or
blocks for 2.5 s with all its threads waiting for the event loop. It says so on standard error first. Without the
variable a failpoint is one look-up in an empty dict.
"""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

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
    "after_fencing",
    "after_send",
    "before_commit",
    "after_commit",
    "in_load",
    "in_silent_fold",
    "in_catch_up",
    "in_revoke",
    "before_swap_applied",
    "after_swap_applied",
    "before_closing",
    "mid_gather",
    "after_gathered",
    "in_gathered_load",
    "before_unknown",
    "after_unknown",
    "in_news_read",
    "after_news_held",
    "in_references_read",
    "before_references",
    "after_reference_held",
    "before_absent",
    "after_refused",
    "before_left_out",
    "in_schema_wait",
)
OF_CLOCK = ("after_refused",)
"""That of `NAMES` that only a worker reaches which refuses a bar by its clock."""
OF_NEWS = ("before_unknown", "after_unknown", "in_news_read", "after_news_held")
"""Those that only a worker reaches whose strategies use news: before it says that bars are decided without, when the
log has said so, when it has read scores, and when bars wait.
"""
OF_REFERENCES = ("in_references_read", "before_references", "after_reference_held", "before_absent")
"""Those that only a worker reaches whose strategies have references: when it has read what stands beside its bars,
before it copies some, when bars wait, and before it says that bars are decided without.
"""
OF_REPLAY = ("after_replay_intention", "before_replay_marks", "before_replay_commit")
"""In ``alphawire dead-letters replay``."""
OF_SCORER = ("after_scoring", "before_scores", "after_scores", "after_scorer_marks")
"""In ``alphawire scorer``; `TRANSACTIONAL` and ``after_send`` are there too."""
OF_TRADES = ("after_trades", "before_ticks", "mid_open_bars", "in_open_bars_load")
"""In ``alphawire bars``; those of fetching and publishing (``after_fetch``, ``before_signals`` …) are there too."""
OF_LEFT_OUT = ("before_left_out",)
"""That of `NAMES` that only a worker reaches that is to leave bars out, before it says that it does."""
OF_REGISTRY = ("in_schema_wait",)
"""That of `NAMES` that only a worker reaches which waits for a schema, because the registry is away."""
OF_SWAPS = ("before_swap_applied", "after_swap_applied")
"""Those of `NAMES` that only a worker reaches that gets a control request (another model, a pause) while it runs."""
OF_CROSS_SECTIONS = ("before_closing", "mid_gather", "after_gathered", "in_gathered_load")
"""Those of `NAMES` that only an owner of cross-sections reaches."""
TRANSACTIONAL = ("after_fencing", "before_commit", "after_commit")
"""Those that only a worker with transactions reaches."""


@dataclass
class Armed:
    """What happens, and how many passes are left until then."""

    left: int
    action: str = "kill"
    seconds: float = 0.0


def armed(environment: Mapping[str, str]) -> dict[str, Armed]:
    """The failpoints that `environment` arms; `ValueError` for a name or an action that there is not."""
    text = environment.get("ALPHAWIRE_FAILPOINTS", "")
    return dict(_parse(part.strip()) for part in text.split(",") if part.strip())


def _parse(text: str) -> tuple[str, Armed]:
    place, _, what = text.partition(":")
    name, _, count = place.partition("=")
    action, _, seconds = (what or "kill").partition("=")
    if name not in (known := (*NAMES, *OF_REPLAY, *OF_SCORER, *OF_TRADES)):
        raise ValueError(f"there is no failpoint {name}; there is: {', '.join(known)}")
    if action not in ("kill", "stop", "delay"):
        raise ValueError(f"a failpoint cannot {action}; it can: kill, stop, delay=SECONDS")
    return name, Armed(int(count or 1), action, float(seconds or 0))


_armed = armed(os.environ)


def failpoint(name: str) -> None:
    """When this place is armed and its count is up, it happens here."""
    if name in _armed:
        _armed[name].left -= 1
        if _armed[name].left <= 0:
            _happen(name, _armed.pop(name))


def _happen(name: str, what: Armed) -> None:
    os.write(2, f"failpoint {name}: {what.action}\n".encode())
    if what.action == "delay":
        time.sleep(what.seconds)
    else:
        os.kill(os.getpid(), signal.SIGSTOP if what.action == "stop" else signal.SIGKILL)
