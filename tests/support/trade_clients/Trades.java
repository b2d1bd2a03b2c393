// Trades BOOTSTRAP TOPIC: each line of input, symbol,time,price,size,id,side, is sent as a trade; an empty one is
// answered when the broker has all before it.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Trades {
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("key.serializer", StringSerializer.class);
        settings.put("value.serializer", StringSerializer.class);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (String line = input.readLine(); line != null; line = input.readLine()) {
                if (line.isEmpty()) {
                    producer.flush();
                    System.out.println("sent");
                    continue;
                }
                String[] field = line.split(",");
                long time = Long.parseLong(field[1]);
                String trade = String.format(
                    "{\"symbol\": \"%s\", \"time\": %d, \"price\": %s, \"size\": %s, \"id\": \"%s\", \"side\": \"%s\"}",
                    field[0], time, Double.parseDouble(field[2]), Double.parseDouble(field[3]), field[4], field[5]);
                producer.send(new ProducerRecord<>(arguments[1], null, time, field[0], trade));
            }
        }
    }
}
