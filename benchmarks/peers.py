"""Other projects on the same work, as yardsticks. They are installed in an environment of their own, which ``--peers``
names: Python 3.12 with ``nautilus_trader==1.231.0 'pandas<3' quixstreams==3.28.1 talipp==2.7.0 lightgbm==4.7.0``.
"""

import asyncio
import subprocess
from pathlib import Path

from benchmarks.common import copy_topic, fill, generated_bars, growth, write_config
from streams.kafka.topics import topic_name

HERE = Path(__file__).parent
BARS = 50_000


def nautilus(python: str) -> float:
    """Bars a second of NautilusTrader's backtest."""
    done = subprocess.run(
        [python, str(HERE / "peer_nautilus.py"), str(BARS)], capture_output=True, text=True, check=True
    )
    bars, seconds = done.stdout.split()[-2:]
    return int(bars) / float(seconds)


def quix(python: str, bootstrap: str, folder: Path) -> float:
    """Bars a second of Quix Streams, from the first tenth of its output to the last, as of our worker."""
    _, config = write_config(folder, bootstrap, "quix.")
    fill(config, generated_bars(500, BARS // 500))
    asyncio.run(copy_topic(config))
    model = next(path for path in (folder / "model").iterdir() if path.read_bytes()[:4] == b"tree")
    arguments = [bootstrap, topic_name(config.kafka, "bars"), f"{config.kafka.prefix}copy", str(model)]
    with (folder / "quix.log").open("wb") as log:
        process = subprocess.Popen([python, str(HERE / "peer_quix.py"), *arguments], stdout=log, stderr=log)
        try:
            seen = asyncio.run(growth(config, "copy", BARS))
        finally:
            process.terminate()
            process.wait()
    first = next(i for i, (_, count) in enumerate(seen) if count >= BARS / 10)
    return (seen[-1][1] - seen[first][1]) / (seen[-1][0] - seen[first][0])
