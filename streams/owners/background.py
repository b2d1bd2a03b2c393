"""What goes on beside the feeding of a partition of the bars, each in a task of its own: when it cannot, the worker
ends itself.
"""

import logging
from collections.abc import Callable

from aiokafka.errors import KafkaError

from schemas.errors import BrokerError
from streams.owners.catch_up import Reader, catch_up
from streams.owners.news_track import NewsTrack
from streams.owners.partition import Partition
from streams.process.exits import Die, Exit, no_silent_end

log = logging.getLogger("alphawire.worker")


async def until_caught_up(part: Partition, reader: Reader, pending: int, die: Die, clock: Callable[[], float]) -> None:
    """Folds the strategies that are behind until they stand where the others do."""
    try:
        await catch_up(part, reader, pending, clock)
    except (BrokerError, KafkaError) as error:
        die(Exit.BROKER, f"bars/{part.number}: strategies that are behind cannot read on: {error!r}")
    except Exception as error:
        log.exception("bars/%d: catching up failed", part.number)
        die(Exit.FAILED, f"bars/{part.number}: catching up failed: {error!r}")


async def join_news(track: NewsTrack, die: Die) -> None:
    """Feeds the strategies that use news, for as long as the partition is here."""
    number = track.part.number
    with no_silent_end(die, f"bars/{number}: joining news", partition=number):
        try:
            await track.run()
        except (BrokerError, KafkaError) as error:
            die(Exit.BROKER, f"bars/{number}: strategies that use news cannot read on: {error!r}")
        except Exception as error:
            log.exception("bars/%d: joining news failed", number)
            die(Exit.FAILED, f"bars/{number}: joining news failed: {error!r}")
