"""The plugin listing on its topic: what this worker has, and answers for clients that ask."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from packaging.version import InvalidVersion, Version

from plugins.base.loading.listing import each_entry, entries
from schemas.configuration import Kafka
from schemas.errors import BadRecord
from schemas.wire import PluginEntry, PluginReply, PluginRequest, decode, decode_request, encode
from streams.consuming.intake import DeadLetter
from streams.kafka.clients import read_partition_to_end
from streams.kafka.topics import topic_name
from streams.publishing.writer import Record, Writer, dead_record

log = logging.getLogger("alphawire.listing")
_entry_decoder = msgspec.json.Decoder(PluginEntry)


async def read_listing(kafka: Kafka) -> dict[str, PluginEntry]:
    """The listing as the topic has it, by ``category/key``."""
    found: dict[str, PluginEntry] = {}
    async for record in read_partition_to_end(kafka, topic_name(kafka, "plugins"), 0):
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            found[key] = decode(_entry_decoder, record.value)
        except BadRecord:
            found.pop(key, None)
    return found


async def publish_listing(kafka: Kafka, writer: Writer) -> None:
    """Writes what is new or changed, and tombstones what a distribution that we have dropped."""
    ours = []
    for entry in each_entry():
        ours.append(entry)
        await asyncio.sleep(0)  # bars go on in between
    records = list(changes(topic_name(kafka, "plugins"), ours, await read_listing(kafka)))
    await writer.write(0, records)
    log.info("listing: %d plugins, %d records written", len(ours), len(records))


def changes(topic: str, ours: Sequence[PluginEntry], listed: dict[str, PluginEntry]) -> Iterable[Record]:
    """Records that bring the listing up to date.

    An entry of the same distribution in a newer version stays; one of a distribution that is not installed here is
    not ours to erase.
    """
    mine = {f"{entry.category}/{entry.key}": entry for entry in ours}
    for key, entry in mine.items():
        there = listed.get(key)
        if there != entry and not (there and there.distribution == entry.distribution and _newer(there, entry)):
            yield Record(topic, key.encode(), encode(entry))
    for key, there in listed.items():
        if key not in mine and _have_at_least(there):
            yield Record(topic, key.encode(), None)


def _newer(a: PluginEntry, b: PluginEntry) -> bool:
    try:
        return Version(a.distribution_version) > Version(b.distribution_version)
    except InvalidVersion:
        return False


def _have_at_least(entry: PluginEntry) -> bool:
    try:
        return Version(version(entry.distribution)) >= Version(entry.distribution_version)
    except (PackageNotFoundError, InvalidVersion):
        return False


def answer(request: PluginRequest, listed: Sequence[PluginEntry]) -> PluginReply:
    """The entries that the request asks for."""
    chosen = [
        entry
        for entry in listed
        if (request.category is None or entry.category == request.category)
        and (request.key is None or entry.key == request.key)
    ]
    fault = None if chosen else f"no plugin with category {request.category or 'any'} and key {request.key or 'any'}"
    return PluginReply(request.id, chosen, fault)


def reply_records(kafka: Kafka, records: Iterable[Any]) -> Iterable[Record]:
    """Replies to requests; one that cannot be read is a dead letter."""
    for record in records:
        try:
            request = decode_request(record.value)
        except BadRecord as bad:
            yield dead_record(topic_name(kafka, "dead-letters"), DeadLetter(record, bad.kind, bad.reason))
        else:
            yield Record(topic_name(kafka, "plugins.replies"), request.id.encode(), encode(answer(request, entries())))
