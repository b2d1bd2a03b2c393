"""``make bench``: all benchmarks, on the embedded broker; names (``throughput``) choose some."""

import platform
import sys

from benchmarks import features, latency, restore, startup, throughput

NAMES = {"throughput": throughput, "latency": latency, "restore": restore, "startup": startup, "features": features}


def main() -> None:
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(NAMES)
    print(f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}, {cores()} cores")
    for name in chosen:
        NAMES[name].main()


def cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
