"""A second story: articles of former years, which count from their publication on, and the real scorer of them.

So all of a score is the same whenever it is made; only marks hold the scorer's clock.
"""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.recorded.checkout import Checkout
from tests.recorded.inputs import MINUTE, PARTITIONS, START, SYMBOLS, Sent
from tests.recorded.topics import Input, Recording, reading
from tests.recorded.worker_lives import Lives

PREFIX = "scored."
COUNT = 120
PHRASES = [
    "profit rises to a great record", "a terrible loss after the fraud", "shares are unchanged", "wonderful growth",
    "<b>good</b> &amp; safe", "bad news, and worse to come", "the board meets on Monday",
    "Gewinn steigt auf Rekordhöhe im Quartal",
]  # fmt: skip


def articles() -> Iterator[Sent]:
    """With copies, new versions, several symbols or none, and some that are no articles."""
    rng = random.Random("articles")
    for number in range(COUNT):
        published, identity = START + number * MINUTE, f"a{number if number % 13 else max(number - 5, 0)}"
        value: dict[str, Any] = {
            "id": identity, "published_at": published, "symbols": rng.sample(SYMBOLS, rng.choice([0, 1, 1, 2, 3])),
            "headline": rng.choice(PHRASES), "body": " ".join(rng.choices(PHRASES, k=rng.randint(0, 3))),
            "historical": True,
        }  # fmt: skip
        if number % 17 == 3:
            value |= {"headline": "", "body": "<i></i>"}
        key = "another" if number % 19 == 4 else identity
        data = b"no JSON" if number % 23 == 6 else json.dumps(value).encode()
        yield Sent("news", 0, key.encode(), data, published)


def write_config(file: Path, bootstrap: str) -> Path:
    settings = {
        "kafka": {"bootstrap": bootstrap, "prefix": PREFIX, "group": "scored", "session_timeout": 5.0,
                  "partitions": PARTITIONS, "news_partitions": 1},
        "worker": {"http": False},
        "news": {"scorer": "lexicon", "batch_size": 8, "mark_interval": 0.05},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(settings))
    return file


async def play(recording: Recording, sides: Sequence[Checkout], config: Path, bootstrap: str) -> None:
    """Killed before it writes, then in the midst; the third has all, and stops in good order."""
    lives = Lives(recording, sides, config, ("scorer",))

    def marked() -> int:
        marks = [r for r in recording.of(f"{PREFIX}news.scores") if (r.key or b"").startswith(b":mark/")]
        reached = dict.fromkeys(range(PARTITIONS), 0)
        for record in marks:
            reached[record.partition] = max(reached[record.partition], int(record.decoded()["next"]))
        return min(reached.values())

    async with Input(bootstrap, PREFIX) as sent, reading(bootstrap, recording.records, PREFIX, PREFIX):
        try:
            await sent.send(list(articles())[: COUNT // 2])
            lives.start("before_scores=3")
            await lives.dead()
            lives.start()
            await lives.until("half of the articles", lambda: marked() == COUNT // 2, marked)
            await sent.send(list(articles())[COUNT // 2 :])
            await lives.until("some more", lambda: marked() > COUNT // 2, marked)
            lives.kill("in the midst")
            lives.start()
            # records of the life before may still come; the log is its own
            await lives.until(
                "its partitions", lambda: "news/" in lives.alive().log.read_text(errors="replace"), marked
            )
            await lives.until("all articles", lambda: marked() == COUNT, marked)
            lives.stop()
            await asyncio.sleep(1.0)
        finally:
            lives.close()
