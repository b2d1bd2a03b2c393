"""``python tests/faults/independent_check.py BOOTSTRAP PREFIX STRATEGY[=SYMBOL,…] …``: is every signal there, once?

Shares nothing with the product: a plain Kafka consumer, the bars on the log, JSON, and the hash that an id is. A bar is
accepted when it is closed, of the interval 1m, and opens at or after the close of its symbol's last accepted one; each
strategy owes exactly one signal for each accepted bar of its symbols, in the order of the bars.
"""

import asyncio
import hashlib
import json
import sys
from collections import defaultdict

from aiokafka import AIOKafkaConsumer, TopicPartition

Log = dict[int, list[tuple[int, dict]]]


async def read(bootstrap: str, topic: str) -> Log:
    """All committed records of a topic: (offset, JSON) by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        while not (partitions := consumer.partitions_for_topic(topic)):
            await consumer.topics()
        tps = [TopicPartition(topic, number) for number in sorted(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        log: Log = {tp.partition: [] for tp in tps}
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                log[tp.partition] += [(record.offset, json.loads(record.value)) for record in records]
        return log
    finally:
        await consumer.stop()


def accepted(bars: Log) -> dict[int, list[tuple[int, str, int]]]:
    """(offset, symbol, close time) of the bars that count, by partition."""
    found = {}
    for partition, records in bars.items():
        last: dict[str, int] = defaultdict(lambda: -1)
        found[partition] = []
        for offset, bar in records:
            if bar.get("closed", True) and bar["interval"] == "1m" and bar["open_time"] >= last[bar["symbol"]]:
                last[bar["symbol"]] = bar["close_time"]
                found[partition].append((offset, bar["symbol"], bar["close_time"]))
    return found


def identity(strategy: str, symbol: str, time: int) -> str:
    return hashlib.sha256(f"{strategy}\x1f{symbol}\x1f{time}".encode()).hexdigest()[:32]


def faults(bars: Log, signals: Log, strategies: dict[str, set[str] | None]) -> list[str]:
    found = []
    ids = [signal["content"]["id"] for records in signals.values() for _, signal in records]
    if len(ids) != len(set(ids)):
        found.append(f"{len(ids) - len(set(ids))} ids more than once")
    for partition, owed in accepted(bars).items():
        for strategy, universe in strategies.items():
            wanted = [
                (offset, symbol, time, identity(strategy, symbol, time))
                for offset, symbol, time in owed
                if universe is None or symbol in universe
            ]
            there = [
                (s["provenance"]["offset"], s["content"]["symbol"], s["content"]["time"], s["content"]["id"])
                for _, s in signals.get(partition, [])
                if s["content"]["strategy"] == strategy
            ]
            if wanted != there:
                missing, more = set(wanted) - set(there), set(there) - set(wanted)
                found.append(
                    f"{strategy}, partition {partition}: {len(missing)} missing, {len(more)} not owed,"
                    f" {len(there)} there in {'the same' if sorted(there) == there else 'another'} order"
                )
    if unknown := {s["content"]["strategy"] for r in signals.values() for _, s in r} - strategies.keys():
        found.append(f"signals of {unknown}")
    return found


async def main() -> int:
    bootstrap, prefix, *names = sys.argv[1:]
    parts = [name.partition("=") for name in names]
    strategies = {name: set(symbols.split(",")) if symbols else None for name, _, symbols in parts}
    bars, signals = await read(bootstrap, f"{prefix}bars"), await read(bootstrap, f"{prefix}signals")
    found = faults(bars, signals, strategies)
    number = sum(len(records) for records in signals.values())
    print("\n".join(found) or f"{number} signals: each owed one is there, once, in the order of its bars")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
