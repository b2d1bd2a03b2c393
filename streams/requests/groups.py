"""Which consumer group works on the topics: two would publish every signal, and every score, twice, each by its own
configuration.
"""

import logging

from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from schemas.configuration import Kafka
from schemas.errors import ConfigurationError
from streams.kafka.clients import open_admin
from streams.kafka.topics import topic_name

log = logging.getLogger("alphawire.groups")

SCORERS = "-scorer"
"""What the group of a configuration's scorers has after `kafka.group`."""


async def members(kafka: Kafka, group: str, topic: str, joining: bool = True) -> int | None:
    """How many workers of the group read `topic` now, those that are `joining` and have not said what they read among
    them; None where the broker does not say. A group may have workers on topics of other prefixes, too.
    """
    async with open_admin(kafka) as admin:
        (answer,) = await admin.describe_consumer_groups([group])
    error, *_, running = answer.groups[0][:6]
    said = [metadata for _, _, _, metadata, _ in running if metadata or joining]
    return None if error else sum(_reads(metadata, topic) for metadata in said)


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


async def check_scorers(kafka: Kafka) -> None:
    """`ConfigurationError` while scorers of another group read the topic `news`, as far as this one may see groups."""
    news, own = topic_name(kafka, "news"), f"{kafka.group}{SCORERS}"
    try:
        async with open_admin(kafka) as admin:
            groups = [str(group) for group, *_ in await admin.list_consumer_groups()]
    except KafkaError as error:
        log.warning("whether scorers of another group read %s cannot be told: %s", news, error)
        return
    for group in sorted(name for name in groups if name.endswith(SCORERS) and name != own):
        if running := await members(kafka, group, news, joining=False):
            raise ConfigurationError(
                f"the group {group} scores {news}: {running} of its scorers are running, and a second group would shut"
                f" them out; stop them, set kafka.group: {group.removesuffix(SCORERS)}, or choose other topics"
                f" (kafka.prefix); a scorer that was killed counts until its session of {kafka.session_timeout:g} s is"
                " over"
            )
