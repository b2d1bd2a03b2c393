"""What a plugin reaches for besides its input: files, the network, other programs, the clock."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from plugins.checks.findings.outcome import Failed

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
DATABASES = ("sqlite3.connect",)
UNPICKLING = "pickle.find_class"
CODE = (".py", ".pyc", ".pyi", ".so", ".nbi", ".nbc", ".pth", ".egg-link", ".pyd", ".dll")
SYSTEM = ("/proc/", "/sys/", "/dev/", "/usr/share/zoneinfo", "/etc/localtime")
LIBRARIES = ("joblib", "threadpoolctl", "importlib", "_frozen_importlib", "numba")
"""What these read at their first use (number of cores, code) is no data."""
CLOCKS = ("now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime")

_watching: list[list[tuple[str, str]]] = []
"""Where the audit hook writes, the innermost last; empty: it does nothing."""


class OutsideAccess(RuntimeError):
    """Raised into a plugin that reaches for the network while it is checked."""


def install() -> None:
    """Adds the audit hook to this process; hooks cannot be removed, and this one does nothing outside `watched`."""
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == UNPICKLING:
        _watching[-1].append((event, f"{args[0]}.{args[1]}"))
    elif (event in NETWORK or event in PROGRAMS) and not _of_a_library():
        _watching[-1].append((event, str(args[0])[:80]))
        raise OutsideAccess(f"{event} while it is checked")
    elif (event in DATABASES or (event == "open" and _is_data(args[0]))) and not _of_a_library():
        _watching[-1].append((event, str(args[0])))


def _of_a_library() -> bool:
    """Whether one of `LIBRARIES` is among the callers."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in LIBRARIES:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _is_data(path: Any) -> bool:
    """Whether a file is none of code, interpreter, installed library and system."""
    if not isinstance(path, str | bytes):
        return False
    name = path if isinstance(path, str) else path.decode(errors="replace")
    if name.startswith((sys.prefix, sys.base_prefix, *SYSTEM)) or name.endswith(CODE):
        return False
    return "__pycache__" not in name and not os.path.isdir(name)


@contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """The list gets (event, what) for each access to the outside within the block."""
    seen: list[tuple[str, str]] = []
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


@contextmanager
def clocks(file: str) -> Iterator[list[str]]:
    """The list gets the name of each clock that code in `file` reads within the block."""
    seen: list[str] = []

    def profile(frame: Any, event: str, function: Any) -> None:
        if event == "c_call" and frame.f_code.co_filename == file and _is_clock(function):
            seen.append(getattr(function, "__qualname__", function.__name__))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(before)


def _is_clock(function: Any) -> bool:
    owner = getattr(function, "__module__", None) or getattr(function, "__self__", None)
    name = owner if isinstance(owner, str) else getattr(owner, "__module__", "")
    return getattr(function, "__name__", "") in CLOCKS and name in ("time", "datetime")


def only_input(use: Callable[[], object], cls: type[Any]) -> str:
    """Calls `use`; `Failed` when it reads anything but its input, or when code in the module of `cls` reads a clock."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    # Another check reports what it raises.
    with watched() as seen, clocks(str(Path(file)) if file else "") as times, suppress(Exception, SystemExit):
        use()
    reached = [(event, what) for event, what in seen if event != UNPICKLING]
    if reached:
        event, what = reached[0]
        raise Failed(
            f"it reached outside: {event} {what}",
            "use the bars alone; what a plugin reads by date may hold the future, and is not there at a replay",
        )
    if times:
        raise Failed(f"it read the clock: {times[0]}", "take the time from data's index: replay must see what was then")
    return "no file, no network, no program, no clock"
