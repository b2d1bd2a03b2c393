"""How the topics stand on the broker: for ``alphawire topics list``, and for a service that starts and runs."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.configuration import Kafka
from schemas.errors import BrokerError, ConfigurationError
from streams.kafka.clients import open_admin
from streams.kafka.topics.creation import TopicOnBroker, described, required_topics
from streams.kafka.topics.settings import SettingFault, Settings, setting_faults
from streams.kafka.topics.specs import TOPICS, topic_name

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

log = logging.getLogger("alphawire.topics")

TOPICS_CHECK = 5.0
"""Seconds between looks at the broker and its topics, of a running service."""
MEND = "kafka-configs.sh --bootstrap-server {} --alter --topic NAME --add-config SETTING=VALUE"


@dataclass(frozen=True)
class TopicStatus:
    """A topic as the broker has it: `partitions` is None where it is missing, `settings` where they are not shown."""

    name: str
    full_name: str
    partitions: int | None = None
    settings: Settings | None = None
    faults: Sequence[SettingFault] = field(default_factory=tuple)


async def topic_statuses(kafka: Kafka) -> list[TopicStatus]:
    """All of our topics, in their order."""
    async with open_admin(kafka) as admin:
        there = {name: topic for name, topic in (await described(admin)).items() if topic.led}
        return await _statuses(admin, kafka, there)


async def _statuses(admin: "AIOKafkaAdminClient", kafka: Kafka, there: dict[str, TopicOnBroker]) -> list[TopicStatus]:
    shown = await _shown_settings(admin, [full for name in TOPICS if (full := topic_name(kafka, name)) in there])
    statuses = []
    for name in TOPICS:
        full = topic_name(kafka, name)
        topic, settings = there.get(full), shown.get(full)
        faults = setting_faults(name, full, settings, topic.replicas) if topic and settings else []
        statuses.append(TopicStatus(name, full, topic.partitions if topic else None, settings, tuple(faults)))
    return statuses


async def _shown_settings(admin: "AIOKafkaAdminClient", names: Sequence[str]) -> dict[str, Settings]:
    """Settings by topic, of those whose settings this client may see."""
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    if not names:
        return {}
    replies = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        name: {entry[0]: entry[1] for entry in entries if entry[1] is not None}
        for reply in replies
        for code, _, _, name, entries in reply.resources
        if not code and entries
    }


class TopicsWatch:
    """Looks at the topics when a service starts, and now and then while it runs: so it knows if the broker answers.

    A consumer does not: aiokafka's goes on asking, and hands out nothing, as it does where nothing comes.
    """

    def __init__(self, kafka: Kafka, clock: Callable[[], float] = time.monotonic, service: str | None = None) -> None:
        self._kafka = kafka
        self._service = service
        self._clock = clock
        self._reported: set[SettingFault] = set()
        self._answered_at = clock()
        self._away: str | None = None

    def unready(self) -> dict[str, str]:
        """The condition `broker` with the reason, while the broker does not answer or lacks a leader or a topic."""
        seconds = self._clock() - self._answered_at
        return {} if self._away is None else {"broker": f"{self._away} (last answer {seconds:.0f} s ago)"}

    async def require(self) -> None:
        """Reports what may hurt, and raises what must not be.

        Raises
        ------
        BrokerError
            When a topic is missing, or gets no leader.
        ConfigurationError
            For a wrong number of partitions, or settings with which the log would lose what the service needs.
        """
        statuses = await self._look()
        if unseen := [
            status.full_name for status in statuses if status.partitions is not None and status.settings is None
        ]:
            log.warning("the broker does not show the settings of %s, so nobody has looked at them;"
                " let this client describe configurations", ", ".join(unseen))  # fmt: skip
        self._report(statuses)
        if refused := [str(fault) for status in statuses for fault in status.faults if fault.refused]:
            raise ConfigurationError(f"{'; '.join(refused)} ({MEND.format(self._kafka.bootstrap)})")

    async def watch(self, every: float = TOPICS_CHECK) -> None:
        """Looks again for as long as it is let, and reports what has changed; `ConfigurationError` when the partitions
        do not match any more. A broker that does not answer is one line, however long; writers decide what follows.
        """
        while True:
            await asyncio.sleep(every)
            try:
                self._report(await self._look(), changed=True)
            except BrokerError as error:
                if self._away is None:
                    log.error("the broker is away: %s", error)
                self._away = str(error)
            else:
                if self._away is not None:
                    log.warning("the broker is back after %.0f s", self._clock() - self._answered_at)
                self._away, self._answered_at = None, self._clock()

    async def _look(self) -> list[TopicStatus]:
        async with open_admin(self._kafka) as admin:
            return await _statuses(admin, self._kafka, await required_topics(admin, self._kafka, self._service))

    def _report(self, statuses: Sequence[TopicStatus], changed: bool = False) -> None:
        """What refuses a start is an error where it comes about later: to end would not bring back what is lost."""
        faults = {fault for status in statuses for fault in status.faults}
        for fault in sorted(faults - self._reported, key=str):
            if changed or not fault.refused:
                log.log(logging.ERROR if fault.refused else logging.WARNING, "%s", fault)
        self._reported = faults
