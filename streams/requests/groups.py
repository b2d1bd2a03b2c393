"""Which consumer group works on the topics: two would publish every signal twice, each by its own configuration."""

import logging

from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

from schemas.configuration import Kafka
from schemas.errors import ConfigurationError
from streams.kafka.clients import open_admin
from streams.kafka.topics import topic_name

log = logging.getLogger("alphawire.groups")


async def members(kafka: Kafka, group: str, topic: str) -> int | None:
    """How many workers of the group read `topic` now; None where the broker does not say. A group may have workers on
    topics of other prefixes, too.
    """
    async with open_admin(kafka) as admin:
        (answer,) = await admin.describe_consumer_groups([group])
    error, *_, running = answer.groups[0][:6]
    return None if error else sum(_reads(metadata, topic) for _, _, _, metadata, _ in running)


def _reads(metadata: bytes, topic: str) -> bool:
    """By what a member said when it joined; one that is joining has said nothing yet, and counts."""
    return not metadata or topic in ConsumerProtocolMemberMetadata.decode(metadata).subscription


async def check_group(kafka: Kafka, last: str | None, tells_members: bool) -> None:
    """`ConfigurationError` while workers of another group run, which was the `last` one on these topics by `control`;
    `tells_members`: the broker knows which are running (Tansu shows members for ever).
    """
    if last is None or last == kafka.group:
        return
    bars = topic_name(kafka, "bars")
    running = await members(kafka, last, bars) if tells_members else None
    if running:
        raise ConfigurationError(
            f"the group {last} works on {bars}: {running} of its workers are running, and a second group would publish"
            f" every signal once more; stop them, set kafka.group: {last}, or choose other topics (kafka.prefix);"
            f" a worker that was killed counts until its session of {kafka.session_timeout:g} s is over"
        )
    if running is None:
        log.warning(
            "the group %s worked on %s until now, and the broker does not say whether its workers are running: while"
            " they are, every signal is published twice; stop them", last, bars,
        )  # fmt: skip
    else:
        log.info("the group %s worked on %s until now and has no workers; %s goes on", last, bars, kafka.group)
