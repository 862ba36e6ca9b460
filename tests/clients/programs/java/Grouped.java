// Groups of both protocols, by Kafka's own Java consumer.
import java.time.Duration;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;

class Grouped extends Suite {
  /** Two members share four partitions, one leaves, the other has all. */
  static String share(String kind, Object... pairs) throws Exception {
    String name = topic(kind, 4);
    try (var out = producer()) {
      for (int n = 0; n < 400; n++) out.send(new ProducerRecord<>(name, n % 4, null, "" + n));
    }
    Set<String> seen = new HashSet<>();
    int[] twice = {0};
    try (var one = consumer(kind, pairs)) {
      one.subscribe(List.of(name));
      try (var other = consumer(kind, pairs)) {
        other.subscribe(List.of(name));
        until("fair shares and every record", () -> {
          for (var member : List.of(one, other)) {
            var records = member.poll(Duration.ofMillis(100));
            records.forEach(it -> { if (!seen.add(it.partition() + "@" + it.offset())) twice[0]++; });
            if (!records.isEmpty()) member.commitSync();
          }
          return one.assignment().size() == 2 && other.assignment().size() == 2 && seen.size() == 400;
        });
      }
      until("everything for one", () -> { one.poll(Duration.ofMillis(100)); return one.assignment().size() == 4; });
      var committed = one.committed(one.assignment()).values().stream().map(OffsetAndMetadata::offset).collect(Collectors.toSet());
      equal(committed, Set.of(100L), "committed");
    }
    return twice[0] + " handed out twice";
  }

  static String sharedBy(Class<?> assignor) throws Exception {
    return share(assignor.getSimpleName(), "partition.assignment.strategy", assignor.getName());
  }

  static String comesBack() throws Exception {
    String name = topic("static", 2);
    Object[] how = {"group.instance.id", "one"};
    var first = consumer("static", how);
    first.subscribe(List.of(name));
    until("partitions", () -> { first.poll(Duration.ofMillis(100)); return first.assignment().size() == 2; });
    int generation = first.groupMetadata().generationId();
    first.close();
    try (var again = consumer("static", how)) {
      again.subscribe(List.of(name));
      until("partitions", () -> { again.poll(Duration.ofMillis(100)); return again.assignment().size() == 2; });
      equal(again.groupMetadata().generationId(), generation, "the generation");
    }
    return "";
  }

  /** KIP-848: a static member that comes back has its old share, and nobody else is told to give anything up. */
  static String comesBackToBroker() throws Exception {
    String name = topic("static-by-broker", 4);
    int[] lost = {0};
    Object[] how = {"group.protocol", "consumer", "group.instance.id", "goes"};
    try (var stays = consumer("static-by-broker", "group.protocol", "consumer", "group.instance.id", "stays")) {
      stays.subscribe(List.of(name), new ConsumerRebalanceListener() {
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) { lost[0] += partitions.size(); }
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) { }
      });
      Set<TopicPartition> share = new HashSet<>();
      for (String which : List.of("first", "again")) {
        try (var goes = consumer("static-by-broker", how)) {
          goes.subscribe(List.of(name));
          until("fair shares", () -> {
            for (var it : List.of(stays, goes)) it.poll(Duration.ofMillis(100));
            return stays.assignment().size() == 2 && goes.assignment().size() == 2;
          });
          if (which.equals("first")) share.addAll(goes.assignment());
          equal(goes.assignment(), share, "the share");
        }
        if (which.equals("first")) lost[0] = 0;
      }
      equal(lost[0], 0, "partitions that the other gave up");
    }
    return "";
  }

  static String pattern() throws Exception {
    topic("pattern-1", 2);
    try (var reader = consumer("pattern", "group.protocol", "consumer", "metadata.max.age.ms", "1000")) {
      reader.subscribe(new SubscriptionPattern(prefix + "-pattern-.*"));
      until("the first topic", () -> { reader.poll(Duration.ofMillis(100)); return reader.assignment().size() == 2; });
      topic("pattern-2", 1);
      until("the second topic", () -> { reader.poll(Duration.ofMillis(100)); return reader.assignment().size() == 3; });
    }
    return "";
  }

  /** A live group goes from the classic protocol to the new one, member by member, and back. */
  static String migration() throws Exception {
    String name = topic("migration", 4);
    try (var out = producer()) { for (int n = 0; n < 40; n++) out.send(new ProducerRecord<>(name, n % 4, null, "" + n)); }
    Object[] classic = {"group.protocol", "classic", "partition.assignment.strategy", CooperativeStickyAssignor.class.getName()};
    try (var old = consumer("migration", classic)) {
      old.subscribe(List.of(name));
      until("everything for the old one", () -> { old.poll(Duration.ofMillis(50)); return old.assignment().size() == 4; });
      old.commitSync();
      try (var neu = consumer("migration", "group.protocol", "consumer")) {
        neu.subscribe(List.of(name));
        until("fair shares of both kinds", () -> {
          old.poll(Duration.ofMillis(50));
          neu.poll(Duration.ofMillis(50));
          return old.assignment().size() == 2 && neu.assignment().size() == 2;
        });
        equal(admin.describeConsumerGroups(List.of(prefix + "-migration")).all().get().get(prefix + "-migration").type(), GroupType.CONSUMER, "the type");
        neu.commitSync();
      }
      until("everything for the old one again", () -> { old.poll(Duration.ofMillis(50)); return old.assignment().size() == 4; });
    }
    return "";
  }
}
