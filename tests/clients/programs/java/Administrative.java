// What Kafka's own admin client can ask of one broker.
import java.time.Duration;
import java.util.*;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.quota.*;

class Administrative extends Suite {
  static String topics() throws Exception {
    String name = topic("admin-topics", 1);
    fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get());
    fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("a b", 1, (short) 1))).all().get());
    admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get();
    until("three partitions", () -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size() == 3);
    Uuid id = admin.describeTopics(List.of(name)).allTopicNames().get().get(name).topicId();
    equal(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name(), name, "by id");
    admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
    until("it to go", () -> !admin.listTopics().names().get().contains(name));
    fails(UnknownTopicOrPartitionException.class, () -> admin.describeTopics(List.of(name)).allTopicNames().get());
    return "";
  }

  static String configs() throws Exception {
    var it = new ConfigResource(ConfigResource.Type.TOPIC, topic("admin-configs", 1));
    admin.incrementalAlterConfigs(Map.of(it, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "5000"), AlterConfigOp.OpType.SET)))).all().get();
    until("the change", () -> admin.describeConfigs(List.of(it)).all().get().get(it).get("retention.ms").value().equals("5000"));
    fails(InvalidConfigurationException.class, () -> admin.incrementalAlterConfigs(Map.of(it, List.of(
        new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), AlterConfigOp.OpType.SET)))).all().get());
    var entry = admin.describeConfigs(List.of(it), new DescribeConfigsOptions().includeDocumentation(true).includeSynonyms(true)).all().get().get(it).get("cleanup.policy");
    equal(entry.documentation() != null && !entry.synonyms().isEmpty(), true, "documentation and synonyms");
    return "";
  }

  static String groups(String protocol, GroupType type) throws Exception {
    String name = topic("admin-groups-" + protocol, 2), group = prefix + "-admin-groups-" + protocol;
    var first = new TopicPartition(name, 0);
    try (var out = producer()) { for (int n = 0; n < 10; n++) out.send(new ProducerRecord<>(name, 0, null, "" + n)); }
    try (var reader = consumer("admin-groups-" + protocol, "group.protocol", protocol)) {
      reader.subscribe(List.of(name));
      until("records", () -> !reader.poll(Duration.ofMillis(500)).isEmpty());
      reader.commitSync();
      var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
      equal(described.groupState() + " " + described.members().size() + " " + described.type(), "Stable 1 " + type, "described");
      equal(described.members().iterator().next().assignment().topicPartitions().size(), 2, "what the member has");
      equal(admin.listGroups(ListGroupsOptions.forConsumerGroups().withTypes(Set.of(type))).all().get().stream()
          .filter(it -> it.groupId().startsWith(prefix + "-admin-groups")).map(GroupListing::groupId).toList(), List.of(group), "listed by type");
      fails(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
    }
    equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(first).offset(), 10L, "offsets");
    admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(3))).all().get();
    admin.deleteConsumerGroupOffsets(group, Set.of(new TopicPartition(name, 1))).all().get();
    equal(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(first).offset(), 3L, "altered");
    equal(admin.listGroups().all().get().stream().anyMatch(it -> it.groupId().equals(group)), true, "listed");
    admin.deleteConsumerGroups(List.of(group)).all().get();
    return "";
  }

  static String records() throws Exception {
    String name = topic("admin-records", 1);
    var it = new TopicPartition(name, 0);
    try (var out = producer()) { send(out, name, numbers(0, 10)); }
    equal(admin.listOffsets(Map.of(it, OffsetSpec.maxTimestamp())).all().get().get(it).offset() >= 0, true, "max timestamp");
    equal(admin.deleteRecords(Map.of(it, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(it).get().lowWatermark(), 4L, "the low watermark");
    equal(admin.listOffsets(Map.of(it, OffsetSpec.earliest())).all().get().get(it).offset(), 4L, "the beginning");
    equal(values(name), numbers(4, 10), "what is left");
    return "";
  }

  /** What an open transaction looks like from outside, and how it is ended from there. */
  static String transactions() throws Exception {
    String name = topic("admin-transactions", 1), id = prefix + "-admin-transactions";
    var it = new TopicPartition(name, 0);
    var out = producer("transactional.id", id);
    out.initTransactions();
    out.beginTransaction();
    send(out, name, List.of("open"));
    var listed = admin.listTransactions(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))).all().get();
    equal(listed.stream().filter(one -> one.transactionalId().equals(id)).count(), 1L, "listed");
    var described = admin.describeTransactions(List.of(id)).description(id).get();
    equal(described.state() + " " + described.topicPartitions(), TransactionState.ONGOING + " " + Set.of(it), "described");
    var active = admin.describeProducers(List.of(it)).partitionResult(it).get().activeProducers().get(0);
    equal(active.producerId() + " " + active.currentTransactionStartOffset(), described.producerId() + " " + OptionalLong.of(0), "the producer");
    admin.abortTransaction(new AbortTransactionSpec(it, active.producerId(), (short) active.producerEpoch(), active.coordinatorEpoch().orElse(0))).all().get();
    settled(name, 2);
    equal(values(name), List.of(), "what is left");
    out.close(Duration.ZERO);
    return "";
  }

  static String quotas() throws Exception {
    var who = new ClientQuotaEntity(Map.of("client-id", prefix + "-quota"));
    var filter = ClientQuotaFilter.contains(List.of(ClientQuotaFilterComponent.ofEntity("client-id", prefix + "-quota")));
    for (Double rate : new Double[] {4096.0, null}) {
      admin.alterClientQuotas(List.of(new ClientQuotaAlteration(who, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", rate))))).all().get();
      Map<?, ?> wanted = rate == null ? Map.of() : Map.of(who, Map.of("producer_byte_rate", rate));
      until("the quota", () -> admin.describeClientQuotas(filter).entities().get().equals(wanted));
    }
    return "";
  }

  static String looks() throws Exception {
    equal(admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true)).nodes().get().size(), 1, "nodes");
    int node = admin.describeCluster().controller().get().id();
    equal(admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node).isEmpty(), false, "directories");
    equal(admin.describeMetadataQuorum().quorumInfo().get().leaderId(), node, "the leader of the quorum");
    equal(admin.describeFeatures().featureMetadata().get().finalizedFeatures().containsKey("metadata.version"), true, "features");
    admin.listPartitionReassignments().reassignments().get();
    admin.listTransactions().all().get();
    admin.listConfigResources().all().get();
    fails(SecurityDisabledException.class, () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
    return "";
  }
}
