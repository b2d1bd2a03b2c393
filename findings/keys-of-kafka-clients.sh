#!/usr/bin/env bash
# Kafka clients do not agree on the partition of a key; kafka-go's writer and librdkafka do not use the Java clients' murmur2.
#
# For whoever writes to one topic with several languages, or reads with code that expects a key on its partition.
#   murmur2 as Java:  franz-go, kafkajs (default, not LegacyPartitioner), kafka-python-ng, aiokafka
#   crc32:            librdkafka (confluent-kafka and all that wrap it); murmur2_random makes it as Java
#   FNV-1a:           sarama; NewMurmur2Partitioner makes it as Java
#   no key at all:    kafka-go's Writer without a Balancer, round robin: one key comes to every partition
# sarama's and kafka-go's FNV-1a are the same for these keys. kafka-go's Writer asks for no acknowledgement by default.
# Seen on 2026-11-30 with the versions below, Go 1.26, Node 20, Python 3.11.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

mkdir go && cd go
cat > main.go <<'GO'
package main

import (
	"fmt"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	all := []int{0, 1, 2, 3, 4, 5, 6}
	franz, hash := kgo.StickyKeyPartitioner(nil).ForTopic("t"), sarama.NewHashPartitioner("t")
	murmur, fnv, robin := sarama.NewMurmur2Partitioner("t"), &kafka.Hash{}, &kafka.RoundRobin{}
	for i := 0; i < 200; i++ {
		key := []byte(fmt.Sprintf("SYM%d", i))
		a, _ := hash.Partition(&sarama.ProducerMessage{Key: sarama.ByteEncoder(key)}, 7)
		b, _ := murmur.Partition(&sarama.ProducerMessage{Key: sarama.ByteEncoder(key)}, 7)
		m := kafka.Message{Key: key}
		fmt.Println(franz.Partition(&kgo.Record{Key: key}, 7), a, b, fnv.Balance(m, all...),
			kafka.Murmur2Balancer{}.Balance(m, all...), kafka.CRC32Balancer{}.Balance(m, all...), robin.Balance(m, all...),
			int((&kafka.Writer{}).RequiredAcks))
	}
}
GO
go mod init clients 2> /dev/null
go get github.com/twmb/franz-go@v1.22.3 github.com/IBM/sarama@v1.61.1 github.com/segmentio/kafka-go@v0.4.51 2> /dev/null
go mod tidy 2> /dev/null
go run . > ../go.txt
cd ..

mkdir npm && cd npm
npm init --yes > /dev/null
npm install --silent --no-audit --no-fund kafkajs@2.2.4
cat > keys.cjs <<'NODE'
const { Partitioners } = require("kafkajs");
const partitionMetadata = [0, 1, 2, 3, 4, 5, 6].map((partitionId) => ({ partitionId, leader: 1 }));
const both = [Partitioners.DefaultPartitioner(), Partitioners.LegacyPartitioner()];
for (let i = 0; i < 200; i++)
  console.log(...both.map((of) => of({ topic: "t", partitionMetadata, message: { key: `SYM${i}` } })));
NODE
node keys.cjs > ../kafkajs.txt 2> /dev/null
cd ..

mkdir java && cd java
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>keys</groupId><artifactId>keys</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka-clients</artifactId><version>4.4.0</version>
</dependency></dependencies></project>
XML
cat > Keys.java <<'JAVA'
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
public class Keys {
    public static void main(String[] args) {
        for (int i = 0; i < 200; i++) System.out.println(BuiltInPartitioner.partitionForKey(("SYM" + i).getBytes(), 7));
    }
}
JAVA
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=libs > /dev/null
java -cp "libs/*" Keys.java > ../java.txt 2> /dev/null
cd ..

python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check confluent-kafka==2.16.1 kafka-python-ng==2.2.3 aiokafka==0.14.0
python/bin/python - <<'PYTHON'
import sys
import zlib

from aiokafka.partitioner import DefaultPartitioner as Aiokafka
from confluent_kafka import Producer, libversion
from kafka.partitioner.default import DefaultPartitioner as KafkaPython

keys = [f"SYM{i}".encode() for i in range(200)]
every = list(range(7))


def table(name):
    return [*zip(*(map(int, line.split()) for line in open(name)), strict=True)]


(java,) = table("java.txt")
franz, sarama, sarama_murmur2, go_hash, go_murmur2, go_crc32, go_robin, go_acks = table("go.txt")
kafkajs, legacy = table("kafkajs.txt")
crc32 = tuple(zlib.crc32(key) % 7 for key in keys)


def librdkafka(**options):  # its own broker for tests, which has four partitions
    producer, placed = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 3, **options}), {}
    for key in keys:
        producer.produce("t", b"x", key=key, on_delivery=lambda _, record: placed.setdefault(record.key(), record.partition()))
    producer.flush(30)
    return [placed[key] for key in keys]


def murmur2_of_four():
    return [Aiokafka()(key, [0, 1, 2, 3], [0, 1, 2, 3]) for key in keys]


facts = {
    "franz-go 1.22.3 as Java": franz == java,
    "kafkajs 2.2.4 as Java": kafkajs == java,
    "kafkajs LegacyPartitioner not": legacy != java,
    "kafka-python-ng 2.2.3 as Java": tuple(KafkaPython()(key, every, every) for key in keys) == java,
    "aiokafka 0.14.0 as Java": tuple(Aiokafka()(key, every, every) for key in keys) == java,
    f"librdkafka {libversion()[0]}: crc32": librdkafka() == [zlib.crc32(key) % 4 for key in keys],
    "librdkafka with murmur2_random as Java": librdkafka(partitioner="murmur2_random") == murmur2_of_four(),
    "sarama 1.61.1 neither": sarama not in (java, crc32),
    "sarama NewMurmur2Partitioner as Java": sarama_murmur2 == java,
    "kafka-go 0.4.51 Hash as sarama": go_hash == sarama,
    "kafka-go Murmur2Balancer as Java": go_murmur2 == java,
    "kafka-go CRC32Balancer as librdkafka": go_crc32 == crc32,
    "kafka-go RoundRobin (a Writer's default) takes turns": go_robin == tuple(i % 7 for i in range(200)),
    "kafka-go Writer asks for no acknowledgement": set(go_acks) == {0},
}
for fact, holds in facts.items():
    print("yes" if holds else "NO ", fact)
sys.exit(not all(facts.values()))
PYTHON
