// Validate SCHEMAS MESSAGES: each message by its folder's schema; one JSON line for each.
import com.fasterxml.jackson.databind.ObjectMapper;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SpecVersion;
import java.io.File;

public class Validate {
    public static void main(String[] args) throws Exception {
        var json = new ObjectMapper();
        var factory = JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012);
        for (File path : new File(args[0]).listFiles()) {
            var topic = path.getName().replace(".schema.json", "");
            var schema = factory.getSchema(json.readTree(path));
            for (File file : new File(args[1], topic).listFiles()) {
                var valid = schema.validate(json.readTree(file)).isEmpty();
                System.out.println(json.writeValueAsString(new Object[] {topic, file.getName(), valid}));
            }
        }
    }
}
