// trades.mjs BOOTSTRAP TOPIC: as Trades.java.
import { createInterface } from "node:readline";
import kafkajs from "kafkajs";

const [bootstrap, topic] = process.argv.slice(2);
const kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.ERROR });
const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
await producer.connect();
let waiting = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== "") {
    const [symbol, time, price, size, id, side] = line.split(",");
    const trade = { symbol, time: Number(time), price: Number(price), size: Number(size), id, side };
    waiting.push({ key: symbol, value: JSON.stringify(trade), timestamp: time });
    continue;
  }
  await producer.send({ topic, messages: waiting, acks: -1 });
  waiting = [];
  console.log("sent");
}
await producer.disconnect();
