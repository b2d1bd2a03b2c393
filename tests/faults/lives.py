"""Lives of a worker without a broker, cut short by writes that break off; and what must hold of the log then."""

import asyncio
import random
from collections.abc import Iterator

from streams.intake import Intake
from tests.faults import audit
from tests.support.memory import Log, fetched, live, messy_bars, ready, undisturbed

COUNT = 200
SYMBOLS = ["A", "B", "C", "D"]


def faults_of(seed: int, transactional: bool, zombies: bool) -> Iterator[str]:
    """The checks that fail, after lives as `seed` has them; `zombies`: several at once, none knowing of the others."""
    rng = random.Random(seed)
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    strategies = [ready("one"), ready("two", universe=["A", "C"])]
    log = Log()

    async def one_life(turns: int = 0) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await live(log, bars, strategies, rng, dies_at=rng.randint(0, 25), transactional=transactional)

    async def run() -> None:
        for _ in range(rng.randint(2, 8)):
            await asyncio.gather(*(one_life(rng.randint(0, 200)) for _ in range(2 if zombies else 1)))
        await live(log, bars, strategies, rng, transactional=transactional)

    asyncio.run(run())
    wanted = undisturbed(bars, strategies)
    try:
        found = log.signals()
    except AssertionError:  # an id with two different values
        yield "invented or altered"
        return
    if wanted.keys() - found.keys():
        yield "missing"
    if any(wanted.get(identity) != value for identity, value in found.items()):
        yield "invented or altered"
    if transactional and len(log.of("signals")) != len(found):
        yield "twice"
    if list(audit.snapshot_faults(strategies, Intake(0, 1, "murmur2"), bars, log.of("state"), log.of("control"))):
        yield "snapshots"
    if not zombies and list(audit.roster_faults(0, log.of("state"))):
        yield "rosters"
