"""Strategies of a partition that are behind the others: read from further back, until they stand where those do."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from itertools import islice
from typing import Any

from schemas.configuration import Kafka
from streams.kafka.clients import read_batches_to_end
from streams.owners.bars_partition import BarsPartition, LaggingStrategies

log = logging.getLogger("alphawire.catchup")

Reader = Callable[[int], AsyncGenerator[list[Any], None]]
"""Records of the partition from an offset on, in lists, up to the end that the log then has."""
PIECE = 200


def log_reader(kafka: Kafka, topic: str, partition: int) -> Reader:
    """Reads the log as the worker's own consumer does."""
    return lambda start: read_batches_to_end(kafka, topic, partition, start, isolation="read_committed")


async def catch_up(
    part: BarsPartition, read: Reader, pending: int, clock: Callable[[], float] = time.monotonic
) -> None:
    """Feeds those that are behind, in small pieces between which the others go on, and returns when they have joined
    them: from the log as far back as needed, and from what the others have just read.
    """
    began, behind = clock(), part.behind
    if behind is None:
        return
    while part.behind is not None:
        if behind.position < behind.recent_from:
            await _from_log(part, behind, read, pending)
        else:
            await _from_memory(part, behind, pending)
    log.info(
        "bars/%d: %s joined the others at offset %d after %.2f s",
        part.number, ", ".join(behind.pipeline.runs), behind.position, clock() - began,
    )  # fmt: skip


async def _from_log(part: BarsPartition, behind: LaggingStrategies, read: Reader, pending: int) -> None:
    upto, batches = part.position, read(behind.position)
    async with contextlib.aclosing(batches):
        async for batch in batches:
            for first in range(0, len(batch), PIECE):
                records = batch[first : first + PIECE]
                piece = [record for record in records if record.offset < part.position]
                if piece:
                    await behind.intake.prepare(piece)
                    part.feed_behind(piece, piece[-1].offset + 1)
                    await _breathe(part, pending)
                if len(piece) < len(records) or part.behind is None:
                    return
    if behind.position < upto:  # the log ends in a gap
        part.feed_behind([], upto)


async def _from_memory(part: BarsPartition, behind: LaggingStrategies, pending: int) -> None:
    piece = list(islice((record for record in behind.recent if record.offset >= behind.position), PIECE))
    following = piece[-1].offset + 1 if len(piece) == PIECE else part.position  # more may be read meanwhile
    await behind.intake.prepare(piece)
    part.feed_behind(piece, following)
    await _breathe(part, pending)
    if part.behind is not None and behind.position == part.position:  # states of the others are still ahead
        part.moved.clear()
        await part.moved.wait()


async def _breathe(part: BarsPartition, pending: int) -> None:
    await asyncio.sleep(0)
    while part.waiting > pending:
        part.drained.clear()
        await part.drained.wait()
