"""``make bench``: the table of docs/performance.md, in one run on the embedded broker or (``--kafka``) on Apache Kafka.

Names (``throughput``) choose single benchmarks, ``all`` runs each of them (`recovery` and `rolling` on Apache Kafka
always); ``--peers PYTHON`` adds other projects to the table (`benchmarks/peers.py`).
"""

import argparse
import importlib
import os
import platform

NAMES = (
    "throughput", "latency", "restore", "startup", "recovery", "rolling", "stages", "swap", "strategies", "features",
    "engines", "models", "replay", "cross_section", "news", "join", "growth", "decoding", "trades", "large_files",
    "derived", "ta", "frames", "workers",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, {', '.join(NAMES)}")
    parser.add_argument("--kafka", action="store_true", help="on Apache Kafka")
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has the other projects' libraries")
    options = parser.parse_args()
    if unknown := set(options.names) - {"all", *NAMES}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there is: all, {', '.join(NAMES)}")
    engine = "kafka" if options.kafka else "tansu"
    cores, python = len(os.sched_getaffinity(0)), f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{platform.machine()}, {python}, {cores} cores, {engine}\n")
    if not options.names:
        importlib.import_module("benchmarks.table").main(engine, options.peers)
    for name in NAMES if "all" in options.names else options.names:
        importlib.import_module(f"benchmarks.{name}").main(engine)


if __name__ == "__main__":
    main()
