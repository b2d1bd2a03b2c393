"""How the workers of a group are configured: each says it when it joins, and the group's leader tells all of all.

It is said in the URL by which Faust knows a worker; nobody opens it.

>>> there = GroupMember("host-2", {"strategies.demo": "b1", "kafka.partitioner": "murmur2"})
>>> here = GroupMember("host-1", {"strategies.demo": "a1", "kafka.partitioner": "murmur2"})
>>> there.difference(here)
{'strategies.demo': ['b1', 'a1']}
"""

import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from uuid import uuid4

from plugins.strategy.ready import ReadyStrategy
from schemas.configuration import Kafka

log = logging.getLogger("alphawire.members")

SCHEME = "alphawire"
PREFIX = "kafka.prefix"
SHOWN = 12
"""Characters of a hash in a log line."""


@dataclass(frozen=True)
class GroupMember:
    """A worker by host and process, and what its signals depend on: settings by their place in the configuration, of
    strategies their hashes.
    """

    name: str
    settings: dict[str, str]

    def url(self) -> str:
        """One that no other worker has."""
        return f"{SCHEME}://{uuid4()}/{quote(self.name, safe='')}?{urlencode(self.settings)}"

    def difference(self, other: "GroupMember") -> dict[str, list[str | None]]:
        """Each setting that is not the `other`'s: the value here, and there; None: it has none."""
        places = sorted(self.settings.keys() | other.settings.keys())
        values = {place: [self.settings.get(place), other.settings.get(place)] for place in places}
        return {place: both for place, both in values.items() if both[0] != both[1]}


def read_member(url: str) -> GroupMember | None:
    """None for a worker that does not say it, of an earlier version."""
    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    return GroupMember(name, dict(parse_qsl(parts.query))) if name else None


def this_worker(kafka: Kafka, strategies: Sequence[ReadyStrategy], exactly_once: bool) -> GroupMember:
    settings = {f"strategies.{strategy.name}": strategy.config_hash for strategy in strategies}
    settings[PREFIX] = kafka.prefix
    settings |= {f"kafka.topics.{topic}": name for topic, name in kafka.topics.items()}
    settings |= {f"kafka.encoding.{topic}": kind for topic, kind in kafka.encoding.items() if kind != "json"}
    settings["kafka.partitioner"] = kafka.partitioner
    settings["kafka.delivery"] = "exactly_once" if exactly_once else "at_least_once"
    return GroupMember(f"{socket.gethostname()[:100]}-{os.getpid()}", settings)


@dataclass
class GroupMembers:
    """The group as `own` sees it."""

    own: GroupMember
    _told: dict[str, dict[str, list[str | None]]] = field(default_factory=dict)

    def differing(self, urls: Iterable[str]) -> dict[str, dict[str, list[str | None]]]:
        """The members that are configured otherwise: by name, each setting with its value there and here. Those on
        topics of another prefix share no partition with this one, whatever they do.
        """
        read = [member for url in urls if (member := read_member(url)) is not None]
        others = [member for member in read if member.settings.get(PREFIX) == self.own.settings.get(PREFIX)]
        found = {member.name: member.difference(self.own) for member in others}
        return {name: difference for name, difference in sorted(found.items()) if difference}

    def look(self, urls: Iterable[str]) -> None:
        """Logs what differs since the last look."""
        found = self.differing(urls)
        for name, difference in found.items():
            if self._told.get(name) != difference:
                log.warning(
                    "the worker %s of this group is configured otherwise: %s; a partition changes with its owner until"
                    " all workers have one configuration", name, _in_words(difference),
                )  # fmt: skip
        if self._told and not found:
            log.info("all workers of the group are configured alike again")
        self._told = found


def _in_words(difference: dict[str, list[str | None]]) -> str:
    there_and_here = {place: [(value or "not there")[:SHOWN] for value in both] for place, both in difference.items()}
    return "; ".join(f"{place} is {there}, and {here} in this one" for place, (there, here) in there_and_here.items())
