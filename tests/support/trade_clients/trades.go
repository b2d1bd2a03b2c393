// trades BOOTSTRAP TOPIC: as Trades.java.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type trade struct {
	Symbol string  `json:"symbol"`
	Time   int64   `json:"time"`
	Price  float64 `json:"price"`
	Size   float64 `json:"size"`
	ID     string  `json:"id"`
	Side   string  `json:"side"`
}

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Args[1]), kgo.DefaultProduceTopic(os.Args[2]))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		line := input.Text()
		if line == "" {
			if err := client.Flush(context.Background()); err != nil {
				panic(err)
			}
			fmt.Println("sent")
			continue
		}
		field := strings.Split(line, ",")
		at, _ := strconv.ParseInt(field[1], 10, 64)
		price, _ := strconv.ParseFloat(field[2], 64)
		size, _ := strconv.ParseFloat(field[3], 64)
		value, _ := json.Marshal(trade{field[0], at, price, size, field[4], field[5]})
		record := &kgo.Record{Key: []byte(field[0]), Value: value, Timestamp: time.UnixMilli(at)}
		client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
			if err != nil {
				panic(err)
			}
		})
	}
}
