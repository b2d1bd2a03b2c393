"""``independent_check.py BOOTSTRAP PREFIX STRATEGY[=SYMBOL,…] STRATEGY~TWIN:MS …``: is every signal there, once?

Shares nothing with the product: a plain Kafka consumer, the bars on the log, JSON, and the hash that an id is. A bar is
accepted when it is closed, of the interval 1m, and opens at or after the close of its symbol's last accepted one; each
strategy owes exactly one signal for each accepted bar of its symbols, in the order of the bars. One that publishes
changes owes those of its twin, which publishes all, that change, and one after a heartbeat of so many milliseconds.
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


def told(record: dict) -> tuple:
    """What a signal says, without what names its strategy."""
    content = record["content"]
    names = ("symbol", "time", "signal", "weight", "reason", "prediction", "valid_until")
    return record["provenance"]["offset"], *(content[name] for name in names)


def faults_of_changes(signals: Log, strategy: str, twin: str, heartbeat: int) -> list[str]:
    """Says the strategy what its twin says anew, and nothing else?"""
    found = []
    for partition, records in signals.items():
        of = {name: [s for _, s in records if s["content"]["strategy"] == name] for name in (strategy, twin)}
        owed, last = [], {}
        for signal in of[twin]:
            content = signal["content"]
            says, (before, at) = (content["signal"], content["weight"]), last.get(content["symbol"], (None, 0))
            if says != before or content["time"] - at >= heartbeat:
                last[content["symbol"]] = says, content["time"]
                owed.append(told(signal))
        there = [told(signal) for signal in of[strategy]]
        wrong = [s for s in of[strategy] if s["content"]["silent_until"] - s["content"]["time"] != heartbeat]
        if owed != there or wrong:
            missing, more = set(owed) - set(there), set(there) - set(owed)
            found.append(
                f"{strategy}, partition {partition}: {len(missing)} missing, {len(more)} not owed, {len(there)} there,"
                f" {len(wrong)} with another heartbeat"
            )
    return found


async def main() -> int:
    bootstrap, prefix, *names = sys.argv[1:]
    twins = [name.replace(":", "~").split("~") for name in names if "~" in name]
    parts = [name.partition("=") for name in names if "~" not in name]
    strategies = {name: set(symbols.split(",")) if symbols else None for name, _, symbols in parts}
    bars, signals = await read(bootstrap, f"{prefix}bars"), await read(bootstrap, f"{prefix}signals")
    found = [fault for name, twin, ms in twins for fault in faults_of_changes(signals, name, twin, int(ms))]
    quiet = {name for name, _, _ in twins}
    others = {number: [r for r in some if r[1]["content"]["strategy"] not in quiet] for number, some in signals.items()}
    found += faults(bars, others, strategies)
    number = sum(len(records) for records in signals.values())
    print("\n".join(found) or f"{number} signals: each owed one is there, once, in the order of its bars")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
