"""``python -m tests.recorded --before CHECKOUT --after CHECKOUT``: the same story by the code before and after, and by
both in turn, on both brokers; equal bytes are the proof that a change of the code's shape changed nothing else.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from streams.kafka.brokers import ApacheKafkaBroker, Broker, TansuBroker
from tests.conftest import KAFKA_FOR_TESTS
from tests.recorded import scoring
from tests.recorded.checkout import Checkout, RunError, install, worktree
from tests.recorded.comparing import MASKS, Comparison, compare
from tests.recorded.scenario import Scenario
from tests.recorded.strategies import train, write_config, write_plugin
from tests.recorded.topics import Recording

TURNS = {"before": "B", "after": "A", "before-after": "BA", "after-before": "AB"}
"""By recording: whose code the lives have, in turn. With the first the others are compared."""
SHOWN = 12


def main() -> int:
    options = _options()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="alphawire-recorded-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"logs and recordings in {folder}", flush=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of topics that are a moment old
    before, after = worktree(options.before, folder).resolve(), options.after.resolve()
    sides = {
        "B": Checkout("before", before, options.before_python or install(before)),
        "A": Checkout("after", after, options.after_python or install(after), dict(options.after_failpoint)),
    }
    try:
        return _prove(sides, folder, options.broker or ["tansu", "kafka"], options.turns or list(TURNS)[1:])
    except RunError as error:
        print(f"red: {error}")
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.recorded", description=__doc__)
    parser.add_argument("--before", required=True, help="a checkout (its .venv is made if it is missing) or a revision")
    parser.add_argument("--after", type=Path, default=Path.cwd(), help="a checkout (default: the one here)")
    parser.add_argument("--before-python", type=Path, help="instead of that in its .venv")
    parser.add_argument("--after-python", type=Path, help="the same")
    parser.add_argument("--after-failpoint", type=lambda text: tuple(text.split("=")), action="append", default=[],
                        metavar="NAME=NEW", help="a failpoint that has another name in the code after")  # fmt: skip
    parser.add_argument("--broker", choices=["tansu", "kafka"], action="append", help="default: both")
    parser.add_argument("--turns", choices=list(TURNS)[1:], action="append", help="default: all")
    parser.add_argument("--folder", type=Path, help="for logs and recordings; those that are there are used again")
    return parser.parse_args()


def _prove(sides: dict[str, Checkout], folder: Path, brokers: Sequence[str], turns: Sequence[str]) -> int:
    plugin, models = write_plugin(folder / "plugins"), folder / "models"
    sha256 = train(sides["B"], folder, models, plugin)
    red = _artifacts_differ(train(sides["A"], folder, folder / "models-after", plugin), sha256)
    for broker in brokers:
        first = _recording(broker, "before", sides, folder, plugin, models, sha256)
        for name in turns:
            other = _recording(broker, name, sides, folder, plugin, models, sha256)
            red |= _report(f"{broker}: before, {name}", compare(first, other))
    print("not compared:", *(f"{what}: {why}" for what, why in MASKS.items()), sep="\n  ")
    return int(red)


def _recording(
    kind: str, name: str, sides: dict[str, Checkout], folder: Path, plugin: Path, models: Path, sha256: dict[str, str]
) -> Recording:
    """Of a broker of its own, so that topics and offsets have the same names and numbers."""
    file = folder / f"{kind}-{name}.msgpack"
    if file.exists():
        print(f"{file.name} is there", flush=True)
        return Recording.load(file)
    print(f"{kind}: {name}", flush=True)
    plugin.with_name("fail").unlink(missing_ok=True)
    broker: Broker = TansuBroker() if kind == "tansu" else ApacheKafkaBroker(properties=KAFKA_FOR_TESTS)
    with broker:
        config = write_config(folder / f"{kind}-{name}.yaml", models, broker.bootstrap)
        sides["B"].run("topics", "create", "-c", str(config), folder=folder)
        recording = Recording(f"{kind}-{name}", exactly_once=kind == "kafka")
        turns = [sides[letter] for letter in TURNS[name]]
        asyncio.run(Scenario(recording, turns, config, plugin, broker.bootstrap, sha256).play())
        config = scoring.write_config(folder / f"{kind}-{name}-scorer.yaml", broker.bootstrap)
        sides["B"].run("topics", "create", "-c", str(config), folder=folder)
        asyncio.run(scoring.play(recording, turns, config, broker.bootstrap))
    recording.save(file)
    return recording


def _artifacts_differ(after: dict[str, str], before: dict[str, str]) -> bool:
    differ = [name for name, sha256 in before.items() if after[name] != sha256]
    print(f"artifacts trained by both: {f'{differ} differ' if differ else f'all {len(before)} equal'}", flush=True)
    return bool(differ)


def _report(title: str, found: Comparison) -> bool:
    """Prints it; whether it is red."""
    print(f"{title}: {f'{len(found.differences)} differences' if found.differences else 'equal'}", flush=True)
    for text in found.differences[:SHOWN]:
        print(f"  {text}")
    print("  equal:", ", ".join(f"{what} {count:,}" for what, count in sorted(found.equal.items())))
    return bool(found.differences)


if __name__ == "__main__":
    began = time.monotonic()
    code = main()
    print(f"{'red' if code else 'green'} after {time.monotonic() - began:.0f} s")
    sys.exit(code)
