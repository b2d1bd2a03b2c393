// RoundTrip CLASS FILE: the message through the generated class, as JSON.
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;

public class RoundTrip {
    public static void main(String[] args) throws Exception {
        var json = new ObjectMapper();
        System.out.println(json.writeValueAsString(json.readValue(new File(args[1]), Class.forName(args[0]))));
    }
}
