"""``python -m tests.faults --faults 1000 --minutes 60 --out FILE``: a run with faults and all checks, as Markdown."""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.checks import examine
from tests.faults.cluster import Cluster
from tests.faults.controller import Run, Settings
from tests.faults.report import table
from tests.faults.setting import setting


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rate", type=float, default=120.0, help="bars a second")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--mutation", default="unchanged")
    parser.add_argument("--folder", type=Path, help="where logs stay")
    parser.add_argument("--out", type=Path)
    wishes = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of course the broker is away now and then
    folder = wishes.folder or Path(tempfile.mkdtemp(prefix="alphawire-faults-"))
    print(f"seed {wishes.seed}, logs in {folder}", flush=True)
    with Cluster(folder, wishes.workers) as cluster:
        file, config = setting(folder, "run", cluster.bootstrap)
        settings = Settings(wishes.faults, wishes.minutes, wishes.seed, wishes.rate, mutation=wishes.mutation)
        run = Run(cluster, file, config, settings)
        run.play()
        found = examine(run, file)
    text = table(run, found)
    print(text)
    if wishes.out:
        wishes.out.write_text(text)
    return 1 if found.red else 0


if __name__ == "__main__":
    sys.exit(main())
