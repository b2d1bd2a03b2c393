#!/usr/bin/env bash
# Two widely used Go clients do not put a key where the Java client does, unless they are told to.
#
# For whoever reads a topic by key (a stream processor, a compacted table, a join of two topics) that Go programs write.
#   kafka-go   a Writer without a Balancer ignores the key: round robin, so one key lies on all partitions, and its
#              order is lost; Murmur2Balancer places it as the Java client does, CRC32Balancer as librdkafka does
#   sarama     hashes with FNV-1a by default: a key keeps its partition, but another one than the Java client's;
#              NewMurmur2Partitioner places it as that one does, NewConsistentCRCHashPartitioner as librdkafka does
# Seen on 2026-11-30 with kafka-go 0.4.51 and sarama 1.61.1, Go 1.26. No broker is needed: what the writer sends is taken
# where its network would begin.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
export GOMODCACHE="$folder/modules" GOFLAGS=-modcacherw
cd "$folder"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sort"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/produce"
)

// One broker, one topic of four partitions; counts the requests for each.
type broker map[int32]int

func (b broker) RoundTrip(_ context.Context, _ net.Addr, request kafka.Request) (kafka.Response, error) {
	switch r := request.(type) {
	case *metadata.Request:
		topic := metadata.ResponseTopic{Name: "bars"}
		for i := int32(0); i < 4; i++ {
			topic.Partitions = append(topic.Partitions, metadata.ResponsePartition{PartitionIndex: i, LeaderID: 1})
		}
		brokers := []metadata.ResponseBroker{{NodeID: 1, Host: "here", Port: 1}}
		return &metadata.Response{Brokers: brokers, Topics: []metadata.ResponseTopic{topic}}, nil
	case *produce.Request:
		topic := produce.ResponseTopic{Topic: "bars"}
		for _, p := range r.Topics[0].Partitions {
			b[p.Partition]++
			topic.Partitions = append(topic.Partitions, produce.ResponsePartition{Partition: p.Partition})
		}
		return &produce.Response{Topics: []produce.ResponseTopic{topic}}, nil
	}
	return nil, fmt.Errorf("not expected: %T", request)
}

func partitions(balancer kafka.Balancer) []int {
	taken, found := broker{}, []int{}
	writer := kafka.Writer{Addr: kafka.TCP("here:1"), Topic: "bars", Transport: taken, Balancer: balancer, BatchSize: 1}
	for i := 0; i < 8; i++ {
		err := writer.WriteMessages(context.Background(), kafka.Message{Key: []byte("AAPL"), Value: []byte("bar")})
		if err != nil {
			panic(err)
		}
	}
	writer.Close()
	for partition := range taken {
		found = append(found, int(partition))
	}
	sort.Ints(found)
	return found
}

func main() {
	plain, murmur2 := partitions(nil), partitions(kafka.Murmur2Balancer{})
	fmt.Println("kafka-go, 8 records of the key AAPL, as it comes:", plain, "with Murmur2Balancer:", murmur2)
	message := &sarama.ProducerMessage{Key: sarama.StringEncoder("AAPL")}
	fnv, _ := sarama.NewHashPartitioner("bars").Partition(message, 4)
	java, _ := sarama.NewMurmur2Partitioner("bars").Partition(message, 4)
	fmt.Println("sarama, the key AAPL among 4, as it comes:", fnv, "with NewMurmur2Partitioner:", java)
	// (murmur2("AAPL") & 0x7fffffff) % 4, the Java client's, is 1
	if len(plain) != 4 || len(murmur2) != 1 || murmur2[0] != 1 || fnv != 3 || java != 1 {
		fmt.Println("changed")
		os.Exit(1)
	}
}
GO
go mod init keys 2> /dev/null
go get github.com/segmentio/kafka-go@v0.4.51 github.com/IBM/sarama@v1.61.1 2> /dev/null
go version
grep -E "kafka-go|sarama" go.mod
go run .
