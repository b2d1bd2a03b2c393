"""``make bench``: all benchmarks, on the embedded broker or, with ``--kafka``, on Apache Kafka (always: `recovery`,
`rolling`); names (``throughput``) choose some.
"""

import platform
import sys

from benchmarks import (
    cross_section,
    engines,
    features,
    join,
    latency,
    models,
    news,
    recovery,
    replay,
    restore,
    rolling,
    startup,
    swap,
    throughput,
)

NAMES = {
    "throughput": throughput, "latency": latency, "restore": restore, "startup": startup, "recovery": recovery,
    "rolling": rolling, "swap": swap, "features": features, "engines": engines, "models": models, "replay": replay,
    "cross_section": cross_section, "news": news, "join": join,
}  # fmt: skip


def main() -> None:
    if unknown := [name for name in sys.argv[1:] if name not in NAMES and name != "--kafka"]:
        sys.exit(f"{__doc__}\nunknown: {' '.join(unknown)}; there is: {', '.join(NAMES)}, --kafka")
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(NAMES)
    engine = "kafka" if "--kafka" in sys.argv else "tansu"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{platform.machine()}, {python}, {cores()} cores, {engine}")
    for name in chosen:
        NAMES[name].main(engine)


def cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
