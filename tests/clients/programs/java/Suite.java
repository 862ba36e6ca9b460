// The suite of Kafka's own Java clients: BOOTSTRAP PREFIX [TEST]... Its groups are in Grouped.java, its administration in Administrative.java.
import java.time.Duration;
import java.util.*;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

public class Suite {
  static final Duration PATIENCE = Duration.ofSeconds(25);
  static String bootstrap, prefix;
  static Admin admin;

  interface Test { String run() throws Exception; }

  static void equal(Object found, Object expected, String what) {
    if (!Objects.equals(found, expected)) throw new AssertionError(what + ": " + found + " instead of " + expected);
  }

  static void until(String what, Callable<Boolean> condition) throws Exception {
    long giveUp = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.call()) {
      if (System.nanoTime() > giveUp) throw new AssertionError("waited in vain for " + what);
      Thread.sleep(20);
    }
  }

  static <T extends Throwable> T fails(Class<T> type, Callable<?> what) throws Exception {
    try {
      what.call();
    } catch (Throwable error) {
      Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
      if (type.isInstance(cause)) return type.cast(cause);
      throw new AssertionError(cause + " instead of " + type.getSimpleName(), cause);
    }
    throw new AssertionError("no " + type.getSimpleName());
  }

  static String topic(String name, int partitions, String... config) throws Exception {
    String topic = prefix + "-" + name;
    Map<String, String> configs = new HashMap<>();
    for (int n = 0; n < config.length; n += 2) configs.put(config[n], config[n + 1]);
    admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
    until("the topic", () -> admin.listTopics().names().get().contains(topic));
    return topic;
  }

  static Map<String, Object> config(Object... pairs) {
    Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
    for (int n = 0; n < pairs.length; n += 2) config.put((String) pairs[n], pairs[n + 1]);
    return config;
  }

  static KafkaProducer<String, String> producer(Object... pairs) {
    return new KafkaProducer<>(config(pairs), new StringSerializer(), new StringSerializer());
  }

  static KafkaConsumer<String, String> consumer(String group, Object... pairs) {
    Map<String, Object> config = config("auto.offset.reset", "earliest", "enable.auto.commit", "false", "isolation.level", "read_committed");
    if (group != null) config.put("group.id", prefix + "-" + group);
    for (int n = 0; n < pairs.length; n += 2) config.put((String) pairs[n], pairs[n + 1]);
    return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
  }

  /** The records up to the ends of the partitions. */
  static List<ConsumerRecord<String, String>> read(String topic, int partitions, Object... pairs) throws Exception {
    List<ConsumerRecord<String, String>> found = new ArrayList<>();
    try (var reader = consumer(null, pairs)) {
      var all = IntStream.range(0, partitions).mapToObj(n -> new TopicPartition(topic, n)).toList();
      reader.assign(all);
      reader.seekToBeginning(all);
      var ends = reader.endOffsets(all);
      until("the ends", () -> {
        reader.poll(Duration.ofMillis(200)).forEach(found::add);
        return all.stream().allMatch(it -> reader.position(it) >= ends.get(it));
      });
    }
    return found;
  }

  static List<String> values(String topic, Object... pairs) throws Exception {
    return read(topic, 1, pairs).stream().map(ConsumerRecord::value).toList();
  }

  /** Waits until the markers of all transactions are there: the answer to the end of one does not. */
  static void settled(String topic, long end) throws Exception {
    var it = new TopicPartition(topic, 0);
    try (var reader = consumer(null)) {
      until("the last stable offset", () -> reader.endOffsets(List.of(it)).get(it) == end);
    }
  }

  static List<String> numbers(int from, int to) {
    return IntStream.range(from, to).mapToObj(String::valueOf).toList();
  }

  static void send(KafkaProducer<String, String> out, String topic, List<String> values) throws Exception {
    var sent = values.stream().map(it -> out.send(new ProducerRecord<>(topic, it))).toList();
    for (var it : sent) it.get();
  }

  // -- plain

  static String plain() throws Exception {
    String name = topic("plain", 1);
    List<String> written = new ArrayList<>();
    for (String compression : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      for (String acks : List.of("0", "1", "all")) {
        try (var out = producer("compression.type", compression, "acks", acks, "enable.idempotence", "false", "linger.ms", 5)) {
          for (int n = 0; n < 50; n++) {
            String value = compression + " " + acks + " " + n + " naïve 北京";
            out.send(new ProducerRecord<>(name, 0, 1_700_000_000_000L + n, "k" + n, value,
                List.of(new RecordHeader("h", new byte[] {-1}), new RecordHeader("h", (byte[]) null))));
            written.add(value);
          }
        }
      }
    }
    until("all records", () -> values(name).size() == written.size());
    var found = read(name, 1);
    equal(found.stream().map(ConsumerRecord::value).toList(), written, "values");
    equal(found.get(7).key() + found.get(7).timestamp() + found.get(7).headers().toArray().length, "k717000000000072", "the rest");
    return written.size() + " records";
  }

  static String positions() throws Exception {
    String name = topic("positions", 1);
    var it = new TopicPartition(name, 0);
    try (var out = producer(); var reader = consumer("positions")) {
      for (int n = 0; n < 50; n++) out.send(new ProducerRecord<>(name, 0, 1_700_000_000_000L + n * 1000, null, "" + n));
      out.flush();
      equal(reader.beginningOffsets(List.of(it)).get(it) + " " + reader.endOffsets(List.of(it)).get(it), "0 50", "the ends");
      equal(reader.offsetsForTimes(Map.of(it, 1_700_000_020_500L)).get(it).offset(), 21L, "by time");
      equal(reader.offsetsForTimes(Map.of(it, 1_800_000_000_000L)).get(it), null, "behind everything");
      reader.assign(List.of(it));
      reader.seek(it, 40);
      equal(reader.poll(PATIENCE).iterator().next().value(), "40", "from 40");
      reader.commitSync(Map.of(it, new OffsetAndMetadata(41, Optional.of(0), "why")));
      equal(reader.committed(Set.of(it)).get(it), new OffsetAndMetadata(41, Optional.of(0), "why"), "committed");
      equal(reader.currentLag(it).isPresent(), true, "the lag is known");
    }
    return "";
  }

  static String refused() throws Exception {
    String compacted = topic("compacted", 1, "cleanup.policy", "compact"), small = topic("small", 1, "max.message.bytes", "1000");
    try (var out = producer("max.request.size", 5_000_000)) {
      fails(InvalidRecordException.class, () -> out.send(new ProducerRecord<>(compacted, "no key")).get());
      fails(RecordTooLargeException.class, () -> out.send(new ProducerRecord<>(small, "x".repeat(2000))).get());
      fails(InvalidTopicException.class, () -> out.send(new ProducerRecord<>("a b", "x")).get());
      out.send(new ProducerRecord<>(small, "fits")).get();
    }
    return "";
  }

  static String idempotent() throws Exception {
    String name = topic("idempotent", 3);
    try (var out = producer("batch.size", 300, "linger.ms", 0)) {
      for (int n = 0; n < 6000; n++) out.send(new ProducerRecord<>(name, n % 3, null, "" + n));
    }
    var found = read(name, 3);
    for (int p = 0; p < 3; p++) {
      final int partition = p;
      equal(found.stream().filter(it -> it.partition() == partition).map(it -> Integer.valueOf(it.value())).toList(),
          IntStream.iterate(p, n -> n < 6000, n -> n + 3).boxed().toList(), "partition " + p);
    }
    return "";
  }

  // -- transactional

  static String transactional() throws Exception {
    String name = topic("transactional", 1);
    try (var out = producer("transactional.id", prefix + "-java")) {
      out.initTransactions();
      for (int n = 0; n < 4; n++) {
        out.beginTransaction();
        send(out, name, numbers(n * 10, n * 10 + 10));
        if (n % 2 == 0) out.commitTransaction(); else out.abortTransaction();
      }
      out.beginTransaction();
      send(out, name, List.of("open"));
      List<String> committed = new ArrayList<>(numbers(0, 10));
      committed.addAll(numbers(20, 30));
      settled(name, 44);
      equal(values(name), committed, "committed");
      equal(values(name, "isolation.level", "read_uncommitted").size(), 41, "all");
      out.abortTransaction();
    }
    return "";
  }

  static String transactionalFenced() throws Exception {
    String name = topic("fenced", 1), id = prefix + "-java-fenced";
    var first = producer("transactional.id", id);
    first.initTransactions();
    first.beginTransaction();
    send(first, name, List.of("zombie"));
    try (var second = producer("transactional.id", id)) {
      second.initTransactions();
      fails(KafkaException.class, () -> { send(first, name, List.of("late")); first.commitTransaction(); return null; });
      first.close(Duration.ZERO);
      second.beginTransaction();
      send(second, name, List.of("alive"));
      second.commitTransaction();
    }
    settled(name, 4);
    equal(values(name), List.of("alive"), "committed");
    try (var third = producer("transactional.id", id)) {
      third.initTransactions();
      admin.fenceProducers(List.of(id)).all().get();
      third.beginTransaction();
      fails(KafkaException.class, () -> { send(third, name, List.of("late")); third.commitTransaction(); return null; });
    }
    return "";
  }

  /** Consume, transform, produce: as one, with a member of a group of either protocol. */
  static String transactionalOffsets(String protocol) throws Exception {
    String source = topic("tx-source-" + protocol, 1), sink = topic("tx-sink-" + protocol, 1);
    var it = new TopicPartition(source, 0);
    try (var in = producer()) { send(in, source, numbers(0, 30)); }
    try (var out = producer("transactional.id", prefix + "-java-offsets-" + protocol);
         var reader = consumer("tx-offsets-" + protocol, "group.protocol", protocol)) {
      reader.subscribe(List.of(source));
      List<String> taken = new ArrayList<>();
      until("the records", () -> { reader.poll(Duration.ofMillis(200)).forEach(one -> taken.add(one.value())); return taken.size() == 30; });
      out.initTransactions();
      for (int[] step : new int[][] {{10, 0}, {10, 1}, {20, 1}, {30, 0}, {30, 1}}) {
        out.beginTransaction();
        send(out, sink, taken.subList(step[0] - 10, step[0]));
        out.sendOffsetsToTransaction(Map.of(it, new OffsetAndMetadata(step[0])), reader.groupMetadata());
        if (step[1] == 1) out.commitTransaction(); else out.abortTransaction();
        var committed = reader.committed(Set.of(it)).get(it);
        long expected = step[1] == 1 ? step[0] : step[0] - 10;
        equal(committed == null ? 0 : committed.offset(), expected, "committed");
      }
    }
    settled(sink, 55);
    equal(values(sink), numbers(0, 30), "the sink");
    return "";
  }

  public static void main(String[] a) throws Exception {
    bootstrap = a[0];
    prefix = a[1];
    var wanted = List.of(a).subList(2, a.length);
    admin = Admin.create(config("default.api.timeout.ms", 20_000, "request.timeout.ms", 15_000));
    Map<String, Test> tests = new LinkedHashMap<>();
    tests.put("plain", Suite::plain);
    tests.put("positions", Suite::positions);
    tests.put("refused", Suite::refused);
    tests.put("idempotent", Suite::idempotent);
    tests.put("transactional", Suite::transactional);
    tests.put("transactional-fenced", Suite::transactionalFenced);
    tests.put("transactional-offsets", () -> transactionalOffsets("classic"));
    tests.put("transactional-offsets-consumer-protocol", () -> transactionalOffsets("consumer"));
    tests.put("grouped-range", () -> Grouped.sharedBy(RangeAssignor.class));
    tests.put("grouped-roundrobin", () -> Grouped.sharedBy(RoundRobinAssignor.class));
    tests.put("grouped-cooperative", () -> Grouped.sharedBy(CooperativeStickyAssignor.class));
    tests.put("grouped-static", Grouped::comesBack);
    tests.put("grouped-consumer-protocol", () -> Grouped.share("uniform", "group.protocol", "consumer"));
    tests.put("grouped-consumer-protocol-range", () -> Grouped.share("range", "group.protocol", "consumer", "group.remote.assignor", "range"));
    tests.put("grouped-consumer-protocol-static", Grouped::comesBackToBroker);
    tests.put("grouped-consumer-protocol-pattern", Grouped::pattern);
    tests.put("grouped-migration", Grouped::migration);
    tests.put("admin-topics", Administrative::topics);
    tests.put("admin-configs", Administrative::configs);
    tests.put("admin-groups", () -> Administrative.groups("classic", GroupType.CLASSIC));
    tests.put("admin-groups-consumer-protocol", () -> Administrative.groups("consumer", GroupType.CONSUMER));
    tests.put("admin-transactions", Administrative::transactions);
    tests.put("admin-quotas", Administrative::quotas);
    tests.put("admin-records", Administrative::records);
    tests.put("admin-looks", Administrative::looks);
    for (var test : tests.entrySet()) {
      if (!wanted.isEmpty() && !wanted.contains(test.getKey())) continue;
      long began = System.nanoTime();
      try {
        String note = test.getValue().run();
        System.out.printf("ok: %s: %.1f s%s%n", test.getKey(), (System.nanoTime() - began) / 1e9, note.isEmpty() ? "" : ", " + note);
      } catch (Throwable error) {
        System.out.printf("failed: %s: %s%n", test.getKey(), String.valueOf(error).replace('\n', ' '));
        error.printStackTrace();
      }
    }
    System.exit(0); // what a failed test left open ends here
  }
}
