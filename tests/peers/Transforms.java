// What Kafka's own single message transforms and predicates answer: a table of records, configurations and results, one JSON
// object per line, which connect/transforms replays in its tests. Made anew with:
//   java -cp "$(tests/peers/kafka jars)/*" tests/peers/Transforms.java > connect/transforms/src/tests/kafka-4.3.1.jsonl
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.*;
import org.apache.kafka.connect.header.*;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

public class Transforms {
    static final ObjectMapper JSON = new ObjectMapper();
    static final JsonConverter CONVERTER = new JsonConverter();
    static final String PACKAGE = "org.apache.kafka.connect.transforms.";
    static final Map<String, String> SAMPLES = new LinkedHashMap<>();
    static final long TIME = 1709211845678L;

    static void sample(String name, String schema, String payload) {
        SAMPLES.put(name, "{\"schema\":" + schema + ",\"payload\":" + payload + "}");
    }

    static String struct(String rest, String... fields) {
        return "{\"type\":\"struct\"" + rest + ",\"fields\":[" + String.join(",", fields) + "]}";
    }

    static String field(String name, String type, String rest) {
        return "{\"field\":\"" + name + "\",\"type\":\"" + type + "\"" + rest + "}";
    }

    static final String OPTIONAL = ",\"optional\":true";
    static final String REQUIRED = ",\"optional\":false";
    static final String LOGICAL = ",\"version\":1,\"name\":\"org.apache.kafka.connect.data.";

    static void samples() {
        sample("none", "null", "null");
        sample("text", "null", "\"2024-02-29\"");
        sample("long", "null", "1709211845678");
        sample("double", "null", "300.7");
        sample("list", "null", "[1,\"x\"]");
        sample("map", "null", "{\"a\":300,\"b\":\"17\",\"c\":null,\"d\":-1.9,\"e\":true,\"t\":\"2024-02-29 13:04:05\",\"u\":1709211845678,"
            + "\"n\":{\"x\":1,\"y\":{\"z\":\"q\",\"w\":null}},\"l\":[1,2],\"p.q\":{\"r.s\":9}}");
        String all = struct(REQUIRED + ",\"name\":\"all\",\"version\":3,\"doc\":\"every type\"", field("i8", "int8", REQUIRED),
            field("i16", "int16", REQUIRED), field("i32", "int32", REQUIRED), field("i64", "int64", OPTIONAL),
            field("f32", "float", REQUIRED), field("f64", "double", REQUIRED), field("yes", "boolean", REQUIRED),
            field("s", "string", REQUIRED), field("number", "string", REQUIRED), field("bytes", "bytes", OPTIONAL),
            "{\"field\":\"list\",\"type\":\"array\",\"items\":{\"type\":\"int32\",\"optional\":false},\"optional\":false}",
            "{\"field\":\"map\",\"type\":\"map\",\"keys\":{\"type\":\"string\",\"optional\":false},\"values\":{\"type\":\"int32\",\"optional\":true},\"optional\":false}");
        sample("all", all, "{\"i8\":-7,\"i16\":300,\"i32\":-70000,\"i64\":5000000000,\"f32\":1.5,\"f64\":-2.9e10,\"yes\":true,\"s\":\"Hällo\","
            + "\"number\":\"-12\",\"bytes\":\"AAH/\",\"list\":[1,2],\"map\":{\"k\":4}}");
        sample("all-null", all, "{\"i8\":0,\"i16\":0,\"i32\":0,\"i64\":null,\"f32\":0.0,\"f64\":0.1,\"yes\":false,\"s\":\"\","
            + "\"number\":\"1e3\",\"bytes\":null,\"list\":[],\"map\":{}}");
        sample("logical", struct(REQUIRED, field("id", "int32", REQUIRED),
            field("dec", "bytes", REQUIRED + LOGICAL + "Decimal\",\"parameters\":{\"scale\":\"2\"}"),
            field("day", "int32", REQUIRED + LOGICAL + "Date\""), field("time", "int32", OPTIONAL + LOGICAL + "Time\""),
            field("ts", "int64", OPTIONAL + LOGICAL + "Timestamp\""), field("ts2", "int64", OPTIONAL + LOGICAL + "Timestamp\""),
            field("text", "string", OPTIONAL), field("unix", "int64", REQUIRED)),
            "{\"id\":1,\"dec\":\"/vM=\",\"day\":19782,\"time\":47045678,\"ts\":1709211845678,\"ts2\":null,\"text\":\"2024-02-29 13:04:05\",\"unix\":1709211845}");
        sample("defaults", struct(OPTIONAL + ",\"name\":\"d\"", field("id", "int32", REQUIRED),
            field("a", "int32", OPTIONAL + ",\"default\":42"), field("b", "string", OPTIONAL + ",\"default\":\"7\""),
            field("c", "int64", OPTIONAL + ",\"default\":1709211845"), field("d", "boolean", OPTIONAL)),
            "{\"id\":1,\"a\":null,\"b\":null,\"c\":null,\"d\":null}");
        sample("nested", struct(OPTIONAL + ",\"name\":\"outer\"", field("id", "int64", REQUIRED),
            struct(OPTIONAL + ",\"field\":\"in\"", field("x", "int32", REQUIRED),
                struct(REQUIRED + ",\"field\":\"deep.er\"", field("z", "string", OPTIONAL + ",\"default\":\"dz\""), field("w", "double", REQUIRED))),
            struct(OPTIONAL + ",\"field\":\"gone\"", field("x", "int32", REQUIRED)), field("in.x", "string", OPTIONAL)),
            "{\"id\":5,\"in\":{\"x\":1,\"deep.er\":{\"z\":null,\"w\":0.5}},\"gone\":null,\"in.x\":\"dot\"}");
        sample("clash", struct(REQUIRED, struct(REQUIRED + ",\"field\":\"a\"", field("b", "int32", REQUIRED)), field("a.b", "int32", REQUIRED)),
            "{\"a\":{\"b\":1},\"a.b\":2}");
        sample("string", "{\"type\":\"string\",\"optional\":false,\"name\":\"n\",\"version\":2}", "\"12.5\"");
        sample("int64", "{\"type\":\"int64\",\"optional\":false,\"default\":9,\"doc\":\"d\"}", "1709211845");
        sample("null-int", "{\"type\":\"int32\",\"optional\":true}", "null");
        sample("null-struct", struct(OPTIONAL, field("a", "int32", REQUIRED)), "null");
        sample("timestamp", "{\"type\":\"int64\",\"optional\":true,\"name\":\"org.apache.kafka.connect.data.Timestamp\",\"version\":1}", "-1");
        sample("decimal", "{\"type\":\"bytes\",\"optional\":false,\"name\":\"org.apache.kafka.connect.data.Decimal\",\"version\":1,\"parameters\":{\"scale\":\"3\"}}", "\"AeJA\"");
        sample("bytes", "{\"type\":\"bytes\",\"optional\":false}", "\"AAH/\"");
        sample("array", "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"optional\":true},\"optional\":true}", "[\"a\",null]");
    }

    static SchemaAndValue read(String envelope) {
        return CONVERTER.toConnectData("t", envelope.getBytes(StandardCharsets.UTF_8));
    }

    static JsonNode write(Schema schema, Object value) throws Exception {
        byte[] bytes = CONVERTER.fromConnectData("t", schema, value);
        return bytes == null ? NullNode.instance : JSON.readTree(bytes);
    }

    @SuppressWarnings({"rawtypes", "unchecked"})
    static ConnectRecord<?> record(String sample, boolean isKey, boolean isSink) {
        SchemaAndValue data = read(SAMPLES.get(sample));
        SchemaAndValue none = new SchemaAndValue(null, null);
        SchemaAndValue key = isKey ? data : none;
        SchemaAndValue value = isKey ? none : data;
        ConnectHeaders headers = new ConnectHeaders();
        headers.addString("h", "1").addInt("i", 2).addString("h", "3");
        if (isSink)
            return new SinkRecord("orders-eu", 3, key.schema(), key.value(), value.schema(), value.value(), 7, TIME, TimestampType.CREATE_TIME, headers);
        return new SourceRecord(Map.of(), Map.of(), "orders-eu", null, key.schema(), key.value(), value.schema(), value.value(), null, headers);
    }

    static ObjectNode show(ConnectRecord<?> record) throws Exception {
        ObjectNode shown = JSON.createObjectNode();
        shown.put("topic", record.topic());
        shown.put("partition", record.kafkaPartition());
        shown.put("timestamp", record.timestamp());
        shown.set("key", write(record.keySchema(), record.key()));
        shown.set("value", write(record.valueSchema(), record.value()));
        ArrayNode headers = shown.putArray("headers");
        for (Header header : record.headers())
            headers.addArray().add(header.key()).add(write(header.schema(), header.value()));
        return shown;
    }

    static String error(Throwable error) {
        return error.getClass().getSimpleName() + ": " + error.getMessage();
    }

    static Map<String, String> config(String text) {
        Map<String, String> config = new TreeMap<>();
        for (String pair : text.split(" \\| ")) {
            if (pair.isEmpty()) continue;
            String[] parts = pair.split("=", 2);
            config.put(parts[0], parts[1]);
        }
        return config;
    }

    static void print(ObjectNode line) throws Exception {
        System.out.println(JSON.writeValueAsString(line));
    }

    @SuppressWarnings({"rawtypes", "unchecked"})
    static void apply(String name, String config, String sample, boolean isSink) throws Exception {
        ObjectNode line = JSON.createObjectNode();
        line.put("class", name);
        line.set("config", JSON.valueToTree(config(config)));
        boolean isKey = name.endsWith("$Key");
        if (sample != null) {
            line.put("sample", sample);
            if (!isSink) line.put("source", true);
        }
        try {
            if (name.startsWith("predicates.")) {
                Predicate predicate = (Predicate) Class.forName(PACKAGE + name).getDeclaredConstructor().newInstance();
                predicate.configure(config(config));
                if (sample != null) line.put("test", predicate.test((ConnectRecord) record(sample, isKey, isSink)));
            } else {
                Transformation transformation = (Transformation) Class.forName(PACKAGE + name).getDeclaredConstructor().newInstance();
                transformation.configure(config(config));
                if (sample == null) {
                    line.put("configured", true);
                } else {
                    ConnectRecord before = record(sample, isKey, isSink);
                    ConnectRecord after = (ConnectRecord) transformation.apply(before);
                    if (after == null) line.putNull("after");
                    else changes(line, before, after);
                }
                transformation.close();
            }
        } catch (Throwable error) {
            line.put("error", error(error));
        }
        print(line);
    }

    /** Only what has changed. */
    static void changes(ObjectNode line, ConnectRecord<?> before, ConnectRecord<?> after) throws Exception {
        ObjectNode was = show(before);
        ObjectNode changes = line.objectNode();
        try {
            ObjectNode is = show(after);
            is.fields().forEachRemaining(part -> {
                if (!part.getValue().equals(was.get(part.getKey()))) changes.set(part.getKey(), part.getValue());
            });
            line.set("after", changes);
        } catch (Exception error) {
            line.put("unconvertible", error(error));
        }
    }

    static void cases(String names, String samples, String... configs) throws Exception {
        for (String name : names.split(" "))
            for (String config : configs) {
                if (samples.isEmpty()) apply(name, config, null, true);
                for (String sample : samples.isEmpty() ? new String[0] : samples.split(" ")) {
                    boolean isSource = sample.startsWith("~");
                    apply(name, config, isSource ? sample.substring(1) : sample, !isSource);
                }
            }
    }

    static void definition(String name) throws Exception {
        Object plugin = Class.forName(PACKAGE + name).getDeclaredConstructor().newInstance();
        ConfigDef def = plugin instanceof Transformation ? ((Transformation<?>) plugin).config() : ((Predicate<?>) plugin).config();
        ObjectNode line = JSON.createObjectNode();
        line.put("class", name);
        ArrayNode keys = line.putArray("definition");
        for (ConfigDef.ConfigKey key : def.configKeys().values()) {
            ObjectNode shown = keys.addObject();
            shown.put("name", key.name).put("type", key.type.name()).put("importance", key.importance.name());
            shown.put("required", !key.hasDefault());
            shown.put("default", key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null);
            shown.put("group", key.group).put("order", key.orderInGroup).put("width", key.width.name()).put("display", key.displayName);
        }
        print(line);
    }

    public static void main(String[] args) throws Exception {
        CONVERTER.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false", "converter.type", "value"));
        samples();
        for (Map.Entry<String, String> sample : SAMPLES.entrySet()) {
            ObjectNode line = JSON.createObjectNode();
            line.put("sample", sample.getKey());
            line.set("data", JSON.readTree(sample.getValue()));
            print(line);
        }
        for (String name : ("Cast$Key Cast$Value DropHeaders ExtractField$Key ExtractField$Value Filter Flatten$Key Flatten$Value HeaderFrom$Key "
            + "HeaderFrom$Value HoistField$Key HoistField$Value InsertField$Key InsertField$Value InsertHeader MaskField$Key MaskField$Value "
            + "RegexRouter ReplaceField$Key ReplaceField$Value SetSchemaMetadata$Key SetSchemaMetadata$Value TimestampConverter$Key "
            + "TimestampConverter$Value TimestampRouter ValueToKey predicates.HasHeaderKey predicates.RecordIsTombstone "
            + "predicates.TopicNameMatches").split(" "))
            definition(name);
        castAndFields();
        structures();
        times();
        topicsAndHeaders();
    }

    static void castAndFields() throws Exception {
        String whole = "text long double list string int64 null-int timestamp decimal bytes array";
        cases("Cast$Value", whole, "spec=int8", "spec=int16", "spec=int32", "spec=int64", "spec=float32", "spec=float64", "spec=boolean", "spec=string");
        cases("Cast$Key", "long string none map", "spec=int32", "spec=a:string,b:int8");
        for (String to : "int8 int16 int32 int64 float32 float64 boolean string".split(" ")) {
            cases("Cast$Value", "map", "spec=a:" + to, "spec=b:" + to, "spec=c:" + to + ",none:" + to, "spec=d:" + to, "spec=e:" + to);
            for (String field : "i8 i32 i64 f32 f64 yes s number bytes list".split(" ")) cases("Cast$Value", "all", "spec=" + field + ":" + to);
            cases("Cast$Value", "logical", "spec=dec:" + to, "spec=day:" + to, "spec=time:" + to, "spec=ts:" + to + ",ts2:" + to);
            cases("Cast$Value", "all-null", "spec=i64:" + to, "spec=f64:" + to + ",yes:" + to);
            cases("Cast$Value", "defaults", "spec=a:" + to + ",b:" + to, "spec=a:" + to + ",b:" + to + " | replace.null.with.default=false");
        }
        cases("Cast$Value", "null-struct nested", "spec=a:int8", "spec=id: INT8 ,id:string");
        cases("Cast$Value", "", "", "spec=", "spec=a:b:c", "spec=a:bytes", "spec=int8,a:int8", "spec=nothing", "spec=a:struct", "spec=a:int8,b", "spec=string | replace.null.with.default=x");
        cases("ExtractField$Value", "map all nested defaults null-struct none string text", "field=a", "field=in.x", "field=i32",
            "field=in.x | field.syntax.version=V2", "field=in.`deep.er`.z | field.syntax.version=v2", "field=in.`deep.er`.z | field.syntax.version=V2 | replace.null.with.default=false",
            "field=n.y.z | field.syntax.version=V2", "field=`p.q`.`r.s` | field.syntax.version=V2", "field=b.x | field.syntax.version=V2",
            "field=gone.x | field.syntax.version=V2", "field=a | replace.null.with.default=false", "field=n.none.z | field.syntax.version=V2");
        cases("ExtractField$Key", "map all ~map", "field=a", "field=s");
        cases("ExtractField$Value", "", "", "field=`a | field.syntax.version=V2", "field=a | field.syntax.version=V3");
        cases("MaskField$Value", "map all logical defaults all-null none string text nested", "fields=a,b,c,d,e,l,n,none", "fields=i8,i16,i32,i64,f32,f64,yes,s,bytes,list,map",
            "fields=day,time,ts,ts2", "fields=dec", "fields=s,b | replacement=xxx", "fields=i8,i16,i32,i64,f32,f64,a | replacement=300.7",
            "fields=i32,a | replacement=abc", "fields=yes,e | replacement=1", "fields=list,l | replacement=1", "fields=bytes", "fields=bytes | replacement=1",
            "fields=in", "fields=ts | replacement=1", "fields=a,b,c | replace.null.with.default=false", "fields=f64,d | replacement=1e400", "fields=dec | replacement=1.25");
        cases("MaskField$Key", "map all", "fields=a,s");
        cases("MaskField$Value", "", "", "fields=", "fields=a | replacement=");
        cases("ReplaceField$Value", "map all nested defaults none string text null-struct", "exclude=a,i32,id", "include=a,b,s,id", "include=a,b,id | exclude=b",
            "renames=a:z,id:key,s:i32x", "renames=a:b,s:number", "renames=a:b,s:number | exclude=b,number", "renames=b:a | exclude=b", "renames=i8:s | exclude=i8",
            "include=a,id | renames=a:x:,id:y", "exclude=none", "renames=a:q | replace.null.with.default=false", "");
        cases("ReplaceField$Key", "map all", "exclude=a,i8,list");
        cases("ReplaceField$Value", "", "renames=a", "renames=a:b:c", "renames=:b", "renames=a:", "renames=");
    }

    static void structures() throws Exception {
        cases("Flatten$Value", "map all nested clash logical defaults none string text array null-struct", "", "delimiter=_", "delimiter=");
        cases("Flatten$Key", "map nested", "delimiter=::");
        cases("HoistField$Value", "map all none string text null-int null-struct array timestamp", "field=wrapped", "field=");
        cases("HoistField$Key", "map int64", "field=wrapped");
        cases("HoistField$Value", "", "");
        cases("HeaderFrom$Value", "map all logical defaults none string text nested", "fields=a,s,id | headers=x,y,z | operation=copy", "fields=a | headers=h | operation=move",
            "fields=id | headers=h | operation=move", "fields=id | headers=h | operation=copy", "fields=a,a | headers=x,y | operation=move | replace.null.with.default=false",
            "fields=ts,ts2,dec | headers=x,y,z | operation=move", "fields=i8,bytes,list,map | headers=1,2,3,4 | operation=move");
        cases("HeaderFrom$Key", "map all", "fields=a | headers=x | operation=move", "fields=s | headers=x | operation=move");
        cases("HeaderFrom$Value", "", "", "fields=a | headers=b | operation=cut", "fields=a,b | headers=b | operation=move", "fields= | headers= | operation=move");
        cases("InsertField$Value", "map all nested defaults none string text null-struct ~map ~all", "topic.field=topic", "partition.field=p!", "offset.field=o?", "timestamp.field=ts",
            "timestamp.field=ts!", "static.field=s2 | static.value=v", "static.field=a! | static.value=v", "topic.field=t | partition.field=p | timestamp.field=ts | static.field=st | static.value=1",
            "static.field=x | static.value=y | replace.null.with.default=false");
        cases("InsertField$Key", "map all ~all", "topic.field=topic!", "offset.field=o");
        cases("InsertField$Value", "", "", "static.field=x", "static.value=x", "static.field=x | static.value=");
        cases("SetSchemaMetadata$Value", "map all nested logical defaults none string null-int null-struct array timestamp int64", "schema.name=n.N", "schema.version=7", "schema.name=n.N | schema.version=-1",
            "schema.name=n | replace.null.with.default=false");
        cases("SetSchemaMetadata$Key", "all none", "schema.name=n");
        cases("SetSchemaMetadata$Value", "", "", "schema.version=x", "schema.name=");
        cases("ValueToKey", "map all nested defaults logical none string text null-struct", "fields=a", "fields=id", "fields=s,i8,list", "fields=a,b,none", "fields=id,id",
            "fields=id,a | replace.null.with.default=false", "fields=dec,ts2");
        cases("ValueToKey", "", "", "fields=");
    }

    static void times() throws Exception {
        String whole = "text long double list string int64 null-int timestamp decimal none";
        for (String to : "string unix Date Time Timestamp".split(" ")) {
            String format = " | format=yyyy-MM-dd";
            // Without a schema Kafka's dates are objects that its JSON does not take.
            cases("TimestampConverter$Value", whole, "target.type=" + to + format);
            for (String field : "dec day time ts ts2 text unix none".split(" "))
                cases("TimestampConverter$Value", "logical", "target.type=" + to + " | format=yyyy-MM-dd HH:mm:ss | unix.precision=seconds | field=" + field);
            for (String field : "t u a c e none".split(" "))
                cases("TimestampConverter$Value", "map", "target.type=" + to + " | format=yyyy-MM-dd HH:mm:ss | field=" + field);
            cases("TimestampConverter$Value", "defaults", "field=c | unix.precision=seconds | target.type=" + to + format,
                "field=c | replace.null.with.default=false | target.type=" + to + format);
            cases("TimestampConverter$Value", "null-struct all", "field=a | target.type=" + to + format, "field=i32 | target.type=" + to + format);
        }
        for (String precision : "seconds milliseconds microseconds nanoseconds".split(" ")) {
            cases("TimestampConverter$Value", "long timestamp", "target.type=unix | unix.precision=" + precision);
            cases("TimestampConverter$Value", "long int64", "target.type=string | format=yyyy-MM-dd'T'HH:mm:ss.SSSX | unix.precision=" + precision);
        }
        for (String format : new String[] {"yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yy/M/d h:m:s a", "EEE, dd MMM yyyy HH:mm:ss z", "EEEE MMMM d yyyyy G", "YYYY w W F D u", "k K H h SS S SSSSS Z zzzz", "''yy''",
            "LLLL L X XX", "yyyyMMddHHmmssSSS", "MMM", "y", "yyy", "E EE EEEE"})
            cases("TimestampConverter$Value", "long timestamp", "target.type=string | format=" + format);
        cases("TimestampConverter$Key", "long map", "target.type=unix", "target.type=unix | field=t | format=yyyy-MM-dd");
        cases("TimestampConverter$Value", "map", "target.type=unix | field=t | format=yyyy-MM-dd", "target.type=unix | field=t | format=dd/MM/yyyy", "target.type=unix | field=b | format=yy",
            "target.type=unix | field=b | format=HH", "target.type=unix | field=b | format=D", "target.type=unix | field=t | format=yyyy-M-d H:m:s", "target.type=unix | field=t | format=yyyy-MM-dd HH:mm:ss.SSS");
        cases("TimestampConverter$Value", "", "", "target.type=string", "target.type=string | format= ", "target.type=date", "target.type=unix | unix.precision=days", "target.type=string | format=yyyy-MM-ddThh",
            "target.type=unix | format='x", "target.type=Date | format=XXXX");
        cases("TimestampRouter", "map ~map", "", "topic.format=x", "topic.format=${timestamp}/${topic}/${timestamp} | timestamp.format=yyyy'y'", "timestamp.format=YYYY-ww", "topic.format=${topic | timestamp.format=HH");
    }

    static void topicsAndHeaders() throws Exception {
        cases("RegexRouter", "map", "regex=orders-(.*) | replacement=$1-orders", "regex=(?<a>\\w+)-(?<b>\\w+) | replacement=${b}.${a}", "regex=orders | replacement=x", "regex=.* | replacement=x",
            "regex=orders-eu | replacement=", "regex=o|orders-eu | replacement=X", "regex=(o)(.*) | replacement=$1$2$10", "regex=(.*) | replacement=\\$1\\\\", "regex=.* | replacement=$2",
            "regex=.* | replacement=$", "regex=(.*)-(x)?eu | replacement=[$1$2]", "regex=.* | replacement=a\\", "regex=.* | replacement=${none}", "regex=\\Qorders-\\E(..) | replacement=$1");
        cases("RegexRouter", "", "", "regex=( | replacement=x", "regex=a");
        cases("DropHeaders", "none", "headers=h", "headers=i,h", "headers=x");
        cases("DropHeaders", "", "", "headers=");
        cases("InsertHeader", "none", "header=x | value.literal=text", "header=h | value.literal=5", "header=x | value.literal=-129", "header=x | value.literal=70000", "header=x | value.literal=3000000000",
            "header=x | value.literal=1.5", "header=x | value.literal=true", "header=x | value.literal=null", "header=x | value.literal=", "header=x | value.literal=\"7\"", "header=x | value.literal=2024-02-29",
            "header=x | value.literal=13:04:05.678Z", "header=x | value.literal=2024-02-29T13:04:05.678Z", "header=x | value.literal=1e300", "header=x | value.literal=123456789012345678901234567890",
            "header=x | value.literal=5.0", "header=x | value.literal=+5", "header=x | value.literal=a:b,c", "header=x | value.literal=12 apples", "header=x | value.literal=1e3", "header=x | value.literal=0.1e-3",
            "header=x | value.literal=100.00", "header=x | value.literal=true}", "header=x | value.literal=.5", "header=x | value.literal=5:6", "header=x | value.literal=-", "header=x | value.literal=1e39");
        cases("InsertHeader", "", "", "header=x");
        cases("Filter", "map none", "");
        cases("predicates.HasHeaderKey", "map", "name=h", "name=x");
        cases("predicates.HasHeaderKey", "", "", "name=");
        cases("predicates.RecordIsTombstone", "map none null-int", "");
        cases("predicates.TopicNameMatches", "map", "pattern=orders-.*", "pattern=orders", "pattern=o.*u");
        cases("predicates.TopicNameMatches", "", "", "pattern=", "pattern=[");
    }
}
