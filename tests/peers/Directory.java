// What a log directory of a real Kafka should hold for another broker to open: plain, compacted and compressed records,
// transactions that ended both ways and one that is open, groups of both protocols. And a dump of all that clients can see of it,
// to be compared before and after. Run by tests/live/directories.py:
//   java -cp JARS Directory.java fill BOOTSTRAP classic[,consumer]   |   dump BOOTSTRAP
import java.time.Duration;
import java.util.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.serialization.*;

public class Directory {
    static String bootstrap;

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        if (args[0].equals("fill")) {
            fill(args[2].split(","));
        } else {
            dump();
        }
        System.out.flush();
        // Open transactions stay open: nothing is closed.
        Runtime.getRuntime().halt(0);
    }

    static Map<String, Object> common(Map<String, Object> more) {
        Map<String, Object> all = new HashMap<>(more);
        all.put("bootstrap.servers", bootstrap);
        return all;
    }

    static KafkaProducer<String, String> producer(Map<String, Object> more) {
        return new KafkaProducer<>(common(more), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(Map<String, Object> more) {
        return new KafkaConsumer<>(common(more), new StringDeserializer(), new StringDeserializer());
    }

    static void fill(String[] protocols) throws Exception {
        try (Admin admin = Admin.create(common(Map.of()))) {
            Map<String, String> eager = Map.of("cleanup.policy", "compact", "segment.bytes", "1048576",
                "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "86400000");
            admin.createTopics(List.of(new NewTopic("plain", 2, (short) 1), new NewTopic("gone", 1, (short) 1),
                new NewTopic("compressed", 1, (short) 1).configs(Map.of("segment.bytes", "1048576")),
                new NewTopic("transactions", 1, (short) 1), new NewTopic("compacted", 1, (short) 1).configs(eager))).all().get();
            admin.deleteTopics(List.of("gone")).all().get();
        }
        plain();
        compacted();
        transactions();
        for (String protocol : protocols) {
            group(protocol);
        }
    }

    static void plain() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (var producer = producer(Map.of("compression.type", codec, "linger.ms", 5))) {
                for (int i = 0; i < 2000; i++) {
                    producer.send(new ProducerRecord<>("plain", i % 2, "key " + i, codec + " " + i));
                    producer.send(new ProducerRecord<>("compressed", 0, "key " + i, "%s %d %s".formatted(codec, i, "filler ".repeat(40))));
                }
            }
        }
        try (Admin admin = Admin.create(common(Map.of()))) {
            admin.deleteRecords(Map.of(new TopicPartition("plain", 1), RecordsToDelete.beforeOffset(1234))).all().get();
        }
    }

    // Three megabytes of a hundred keys, some of them tombstones at the end; waits until the cleaner has been there.
    static void compacted() throws Exception {
        long written = 0;
        try (var producer = producer(Map.of("linger.ms", 5))) {
            for (int round = 0; round < 30; round++) {
                for (int key = 0; key < 100; key++, written++) {
                    producer.send(new ProducerRecord<>("compacted", 0, "key " + key, "%d %s".formatted(round, "x".repeat(1000))));
                }
            }
            for (int key = 0; key < 10; key++, written++) {
                producer.send(new ProducerRecord<>("compacted", 0, "key " + key, null));
            }
            producer.flush();
            for (int i = 0; i < 1200; i++, written++) {
                producer.send(new ProducerRecord<>("compacted", 0, "last " + i, "x".repeat(1000)));
            }
        }
        for (int i = 0; records("compacted", 0, "read_uncommitted").size() > written / 2; i++) {
            if (i == 300) {
                throw new IllegalStateException("the cleaner does not come");
            }
            Thread.sleep(200);
        }
    }

    static void transactions() {
        var plain = producer(Map.of());
        var committed = producer(Map.of("transactional.id", "committed"));
        committed.initTransactions();
        for (int i = 0; i < 3; i++) {
            committed.beginTransaction();
            committed.send(new ProducerRecord<>("transactions", 0, "c", "committed " + i));
            committed.commitTransaction();
        }
        var aborted = producer(Map.of("transactional.id", "aborted"));
        aborted.initTransactions();
        for (int i = 0; i < 3; i++) {
            aborted.beginTransaction();
            aborted.send(new ProducerRecord<>("transactions", 0, "a", "aborted " + i));
            aborted.flush();
            plain.send(new ProducerRecord<>("transactions", 0, "p", "plain " + i));
            plain.flush();
            aborted.abortTransaction();
        }
        var open = producer(Map.of("transactional.id", "open", "transaction.timeout.ms", 900000));
        open.initTransactions();
        open.beginTransaction();
        open.send(new ProducerRecord<>("transactions", 0, "o", "open"));
        open.flush();
        plain.send(new ProducerRecord<>("transactions", 0, "p", "behind the open one"));
        plain.flush();
    }

    static void group(String protocol) {
        String group = "group-" + protocol;
        try (var consumer = consumer(Map.of("group.id", group, "group.protocol", protocol, "auto.offset.reset", "earliest",
                "enable.auto.commit", false, "max.poll.records", 300))) {
            consumer.subscribe(List.of("plain", "compressed"));
            for (int read = 0; read < 1000; ) {
                read += consumer.poll(Duration.ofMillis(500)).count();
            }
            consumer.commitSync();
        }
    }

    static void dump() throws Exception {
        try (Admin admin = Admin.create(common(Map.of()))) {
            for (String topic : new TreeSet<>(admin.listTopics().names().get())) {
                TopicDescription description = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
                System.out.printf("topic %s %s partitions %d%n", topic, description.topicId(), description.partitions().size());
                for (TopicPartitionInfo partition : description.partitions()) {
                    dump(admin, topic, partition.partition());
                }
            }
            for (String group : new TreeSet<>(admin.listConsumerGroups().all().get().stream().map(ConsumerGroupListing::groupId).toList())) {
                var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
                System.out.printf("group %s %s%n", group, offsets.entrySet().stream()
                    .map(one -> one.getKey() + "=" + one.getValue().offset()).sorted().collect(Collectors.joining(" ")));
            }
        }
    }

    static void dump(Admin admin, String topic, int number) throws Exception {
        var partition = new TopicPartition(topic, number);
        long[] offsets = new long[3];
        OffsetSpec[] specs = {OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.maxTimestamp()};
        for (int i = 0; i < 3; i++) {
            offsets[i] = admin.listOffsets(Map.of(partition, specs[i])).partitionResult(partition).get().offset();
        }
        var stable = admin.listOffsets(Map.of(partition, OffsetSpec.latest()), new ListOffsetsOptions(IsolationLevel.READ_COMMITTED));
        System.out.printf("  %s earliest %d latest %d newest %d stable %d%n", partition, offsets[0], offsets[1], offsets[2],
            stable.partitionResult(partition).get().offset());
        if (!topic.startsWith("__")) {
            for (String isolation : List.of("read_uncommitted", "read_committed")) {
                var records = records(topic, number, isolation);
                System.out.printf("  %s %s %d records, hash %d%n", partition, isolation, records.size(), records.hashCode());
            }
        }
    }

    // Offset, timestamp, key, value and headers of everything that a consumer sees.
    static List<String> records(String topic, int number, String isolation) {
        var partition = new TopicPartition(topic, number);
        List<String> all = new ArrayList<>();
        try (var consumer = consumer(Map.of("isolation.level", isolation, "enable.auto.commit", false))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    all.add("%d %d %s=%s %s".formatted(record.offset(), record.timestamp(), record.key(), record.value(),
                        Arrays.toString(record.headers().toArray())));
                }
            }
        }
        return all;
    }
}
