"""The suite of confluent-kafka, which is librdkafka: BOOTSTRAP PREFIX [TEST]..."""
import sys
import time

import confluent_kafka as kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import admin
from confluent_kafka.admin import AdminClient

from scripted import PATIENCE_S, equal, run, until

BOOTSTRAP, PREFIX = sys.argv[1:3]
COMPRESSIONS = "none", "gzip", "snappy", "lz4", "zstd"
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})


def topic(name, partitions=1, **config):
    name = "%s-%s" % (PREFIX, name)
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    ADMIN.create_topics([admin.NewTopic(name, partitions, 1, config=config)])[name].result(PATIENCE_S)
    until("the topic", lambda: name in ADMIN.list_topics(timeout=PATIENCE_S).topics)
    return name


def producer(**config):
    return Producer({"bootstrap.servers": BOOTSTRAP} | {key.replace("_", "."): value for key, value in config.items()})


def consumer(group, **config):
    base = {"bootstrap.servers": BOOTSTRAP, "group.id": "%s-%s" % (PREFIX, group), "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer(base | {key.replace("_", "."): value for key, value in config.items()})


def send(out, name, values, **more):
    """Produces and waits; gives the offsets."""
    offsets, errors = [], []

    def delivered(error, message):
        errors.append(error) if error else offsets.append(message.offset())
    for value in values:
        out.produce(name, value=value, on_delivery=delivered, **more)
    equal(out.flush(PATIENCE_S), 0, "records left behind")
    assert not errors, errors[:3]
    return offsets


def read(name, count=None, partitions=1, isolation="read_committed", group="reader"):
    """What lies in the partitions up to their ends, in order."""
    reader = consumer(group, isolation_level=isolation, enable_partition_eof=True)
    reader.assign([TopicPartition(name, n, OFFSET_BEGINNING) for n in range(partitions)])
    found, ended = [], set()
    give_up = time.monotonic() + PATIENCE_S
    while len(ended) < partitions and time.monotonic() < give_up:
        for message in reader.consume(1000, 0.2):
            if not message.error():
                found.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise KafkaException(message.error())
    reader.close()
    equal(len(ended), partitions, "partitions read to their ends")
    if count is not None:
        equal(len(found), count, "records")
    return found


def settled(name, end):
    """Waits until the markers of all transactions are there: the answer to the end of one does not."""
    it = TopicPartition(name, 0)
    how = {"isolation_level": kafka.IsolationLevel.READ_COMMITTED}
    until("the last stable offset", lambda: ADMIN.list_offsets({it: admin.OffsetSpec.latest()}, **how)[it].result(PATIENCE_S).offset == end)


def values(name, **how):
    return [message.value().decode() for message in read(name, **how)]


def plain():
    """Every compression and acknowledgement, byte for byte."""
    name, written = topic("plain", 1), []
    for compression in COMPRESSIONS:
        for acks in ("0", "1", "all"):
            batch = ["%s %s %d naïve 北京" % (compression, acks, n) for n in range(50)]
            out = producer(compression_type=compression, acks=acks, linger_ms=5)
            errors = []
            for n, value in enumerate(batch):
                out.produce(name, key=b"\0k%d" % n, value=value, headers=[("h", b"\xff"), ("h", None)], timestamp=1_700_000_000_000 + n,
                            on_delivery=lambda error, _: error and errors.append(error))
            equal(out.flush(PATIENCE_S), 0)
            assert not errors, errors
            written += batch
    until("all records", lambda: consumer("watch").get_watermark_offsets(TopicPartition(name, 0), PATIENCE_S)[1] == len(written))
    found = read(name, len(written))
    equal([it.value().decode() for it in found], written, "values")
    equal(found[7].headers(), [("h", b"\xff"), ("h", None)], "headers")
    equal((found[7].key(), found[7].timestamp()), (b"\0k7", (kafka.TIMESTAMP_CREATE_TIME, 1_700_000_000_007)), "key and time")
    return "%d records" % len(written)


def nulls_and_sizes():
    name = topic("nulls", max_message_bytes=2_000_000)
    out = producer(message_max_bytes=3_000_000)
    out.produce(name, key=None, value=None)
    out.produce(name, key=b"", value=b"")
    out.produce(name, value=b"x" * 1_500_000)
    errors = []
    out.produce(name, value=b"x" * 2_500_000, on_delivery=lambda error, _: errors.append(error))
    equal(out.flush(PATIENCE_S), 0)
    equal(errors[0].code(), KafkaError.MSG_SIZE_TOO_LARGE, "the error")
    found = read(name, 3)
    equal([(it.key(), it.value() and len(it.value())) for it in found], [(None, None), (b"", b"" and 0), (None, 1_500_000)], "records")


def positions():
    """Offsets by time, watermarks, seeking, what is committed."""
    name = topic("positions")
    out = producer()
    for n in range(100):
        out.produce(name, value=b"%d" % n, timestamp=1_700_000_000_000 + n * 1000)
    equal(out.flush(PATIENCE_S), 0)
    reader = consumer("positions")
    equal(reader.get_watermark_offsets(TopicPartition(name, 0), PATIENCE_S), (0, 100), "watermarks")
    by_time = reader.offsets_for_times([TopicPartition(name, 0, 1_700_000_042_500)], PATIENCE_S)
    equal(by_time[0].offset, 43, "by time")
    late = reader.offsets_for_times([TopicPartition(name, 0, 1_800_000_000_000)], PATIENCE_S)
    equal(late[0].offset, kafka.OFFSET_END, "behind everything")
    reader.assign([TopicPartition(name, 0, 90)])
    equal(reader.consume(1, PATIENCE_S)[0].value(), b"90", "from 90")
    reader.seek(TopicPartition(name, 0, 5))
    equal(until("5", lambda: [it.value() for it in reader.consume(1, 1)])[0], b"5", "from 5")
    reader.commit(offsets=[TopicPartition(name, 0, 6, metadata="why")], asynchronous=False)
    equal([(it.offset, it.metadata) for it in reader.committed([TopicPartition(name, 0)], PATIENCE_S)], [(6, "why")], "committed")
    reader.close()


def compacted_wants_keys():
    name = topic("compacted", cleanup_policy="compact")
    errors = []
    out = producer()
    out.produce(name, value=b"no key", on_delivery=lambda error, _: errors.append(error))
    out.flush(PATIENCE_S)
    equal(errors[0].code(), KafkaError.INVALID_RECORD, "the error")
    send(out, name, [b"value"], key=b"k")


def idempotent():
    """Many small batches in flight: each once, in order."""
    name = topic("idempotent", 3)
    out = producer(enable_idempotence=True, batch_num_messages=7, linger_ms=0, compression_type="lz4")
    for n in range(6000):
        out.produce(name, key=b"%d" % (n % 3), value=b"%d" % n, partition=n % 3)
        out.poll(0)
    equal(out.flush(PATIENCE_S), 0)
    found = read(name, 6000, partitions=3)
    for partition in range(3):
        equal([int(it.value()) for it in found if it.partition() == partition], list(range(partition, 6000, 3)), "partition %d" % partition)


def transactional():
    """Committed records are seen, aborted ones are not, and none before the end."""
    name = topic("transactional")
    out = producer(transactional_id=PREFIX + "-transactional", linger_ms=0)
    out.init_transactions(PATIENCE_S)
    for n, commit in enumerate((True, False, True, False, True)):
        out.begin_transaction()
        send(out, name, [b"%d-%d" % (n, k) for k in range(20)])
        if n == 2:
            settled(name, 42)
            equal(values(name), ["0-%d" % k for k in range(20)], "while the third is open")
        out.commit_transaction(PATIENCE_S) if commit else out.abort_transaction(PATIENCE_S)
    settled(name, 105)
    equal(values(name), ["%d-%d" % (n, k) for n in (0, 2, 4) for k in range(20)], "committed")
    equal(len(values(name, isolation="read_uncommitted")), 100, "all")


def transactional_fenced():
    """A second producer of the same id ends the first and what it left open."""
    name, config = topic("fenced"), {"transactional_id": PREFIX + "-fenced", "linger_ms": 0}
    first = producer(**config)
    first.init_transactions(PATIENCE_S)
    first.begin_transaction()
    send(first, name, [b"zombie"])
    second = producer(**config)
    second.init_transactions(PATIENCE_S)
    try:
        first.produce(name, value=b"late")
        first.commit_transaction(PATIENCE_S)
        raise AssertionError("the first was not fenced")
    except KafkaException as error:
        assert error.args[0].code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED), error
    second.begin_transaction()
    send(second, name, [b"alive"])
    second.commit_transaction(PATIENCE_S)
    settled(name, 4)
    equal(values(name), ["alive"], "committed")


def transactional_offsets():
    return offsets_in_transactions("classic")


def transactional_offsets_consumer_protocol():
    return offsets_in_transactions("consumer")


def offsets_in_transactions(protocol):
    """Offsets of a group are part of the transaction: with it or not at all."""
    source, sink = topic("tx-source-" + protocol), topic("tx-sink-" + protocol)
    send(producer(), source, [b"%d" % n for n in range(30)])
    reader = consumer("tx-offsets-" + protocol, isolation_level="read_committed", group_protocol=protocol)
    reader.subscribe([source])
    out = producer(transactional_id=PREFIX + "-offsets-" + protocol)
    out.init_transactions(PATIENCE_S)
    taken = []
    while len(taken) < 30:
        taken += [it for it in reader.consume(30, 1) if not it.error()]
    for end, commit in ((10, True), (20, False), (30, True)):
        out.begin_transaction()
        send(out, sink, [it.value() for it in taken[end - 10:end]])
        out.send_offsets_to_transaction([TopicPartition(source, 0, end)], reader.consumer_group_metadata(), PATIENCE_S)
        out.commit_transaction(PATIENCE_S) if commit else out.abort_transaction(PATIENCE_S)
        equal(reader.committed([TopicPartition(source, 0)], PATIENCE_S)[0].offset, end if commit else end - 10, "committed")
    reader.close()
    settled(sink, 33)
    equal(values(sink), [str(n) for n in (*range(10), *range(20, 30))], "the sink")


def share(kind, **config):
    """Two members share four partitions, one leaves, the other has all; nothing is lost and nothing is handed out twice."""
    name = topic(kind, 4)
    out = producer()
    for n in range(400):
        out.produce(name, value=b"%d" % n, partition=n % 4)
    equal(out.flush(PATIENCE_S), 0)
    members = [consumer(kind, **config) for _ in range(2)]
    seen = []

    def poll(*who):
        for member in who:
            batch = [it for it in member.consume(50, 0.1) if not it.error()]
            seen.extend((it.partition(), it.offset()) for it in batch)
            if batch:  # who waits for the answer may wait behind its own JoinGroup, and that for the other member, which nobody polls then
                member.commit()
        return [len(member.assignment()) for member in who]
    for member in members:
        member.subscribe([name])
    until("fair shares", lambda: poll(*members) == [2, 2])
    until("every record", lambda: poll(*members) and len(set(seen)) == 400)
    members[0].close()
    until("everything for one", lambda: poll(members[1]) == [4])
    for n in range(400, 440):
        out.produce(name, value=b"%d" % n, partition=n % 4)
    equal(out.flush(PATIENCE_S), 0)
    until("the new records", lambda: poll(members[1]) and len(set(seen)) == 440)

    def committed():
        """Commits once more: what was committed while the members joined was refused."""
        poll(members[1])
        members[1].commit(offsets=[it for it in members[1].position(members[1].assignment()) if it.offset >= 0], asynchronous=False)
        return [it.offset for it in members[1].committed([TopicPartition(name, n) for n in range(4)], PATIENCE_S)]
    until("the commits", lambda: committed() == [110] * 4)
    members[1].close()
    # In a rebalance a record may be handed out again before its commit.
    return "%d handed out twice" % (len(seen) - len(set(seen)))


def grouped_range():
    return share("range", partition_assignment_strategy="range")


def grouped_roundrobin():
    return share("roundrobin", partition_assignment_strategy="roundrobin")


def grouped_cooperative():
    return share("cooperative", partition_assignment_strategy="cooperative-sticky")


def grouped_static():
    return comes_back("static", session_timeout_ms=20_000)


def grouped_consumer_protocol_static():
    return comes_back("consumer-static", group_protocol="consumer")


def comes_back(kind, **config):
    """A member with an instance id that comes back takes its partitions without a rebalance of the other."""
    name, lost = topic(kind, 4), []
    members = [consumer(kind, group_instance_id="member-%d" % n, **config) for n in range(2)]
    for member in members:
        member.subscribe([name], on_revoke=lambda *_: lost.append(1))

    def poll(*who):
        for member in who:
            member.consume(1, 0.1)
        return [sorted(it.partition for it in member.assignment()) for member in who]
    until("fair shares", lambda: [len(it) for it in poll(*members)] == [2, 2])
    before = poll(*members)
    del lost[:]
    members[0].close()
    again = consumer(kind, group_instance_id="member-0", **config)
    again.subscribe([name])
    until("the old share", lambda: poll(again, members[1])[0] == before[0])
    equal(poll(members[1])[0], before[1], "the share of the other")
    equal(len(lost), 1, "assignments given up (that of the one that was closed)")
    for member in (again, members[1]):
        member.close()


def grouped_consumer_protocol():
    """KIP-848: the broker assigns."""
    return share("consumer-protocol", group_protocol="consumer")


def grouped_consumer_protocol_range():
    return share("consumer-range", group_protocol="consumer", group_remote_assignor="range")


def grouped_consumer_protocol_pattern():
    """A regular expression, and a topic that comes later."""
    first = topic("pattern-1", 2)
    reader = consumer("pattern", group_protocol="consumer", topic_metadata_refresh_interval_ms=1000)
    reader.subscribe(["^%s-pattern-.*" % PREFIX])
    until("the first topic", lambda: reader.consume(1, 0.2) or {it.topic for it in reader.assignment()} == {first})
    second = topic("pattern-2", 1)
    until("the second topic", lambda: reader.consume(1, 0.2) or {it.topic for it in reader.assignment()} == {first, second}, 60)
    reader.close()


def grouped_from_classic_to_consumer():
    """What a classic group committed is where the new one begins."""
    name = topic("moved")
    send(producer(), name, [b"%d" % n for n in range(10)])
    old = consumer("moved")
    old.subscribe([name])
    first = []
    while len(first) < 5:
        first += [it for it in old.consume(5 - len(first), 1) if not it.error()]
    old.commit(offsets=[TopicPartition(name, 0, 5)], asynchronous=False)
    old.close()
    new = consumer("moved", group_protocol="consumer")
    new.subscribe([name])
    found = []
    until("the rest", lambda: found.extend(it.value() for it in new.consume(5, 0.5) if not it.error()) or len(found) >= 5)
    equal(found, [b"5", b"6", b"7", b"8", b"9"], "the rest")
    new.close()


def admin_topics():
    name = topic("admin-topics", 1, retention_ms=1000)
    try:
        ADMIN.create_topics([admin.NewTopic(name, 1, 1)])[name].result(PATIENCE_S)
        raise AssertionError("created twice")
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "the error")
    ADMIN.create_partitions([admin.NewPartitions(name, 3)])[name].result(PATIENCE_S)
    until("three partitions", lambda: len(ADMIN.list_topics(name, timeout=PATIENCE_S).topics[name].partitions) == 3)
    described = ADMIN.describe_topics(kafka.TopicCollection([name]), include_authorized_operations=True)[name].result(PATIENCE_S)
    equal((described.name, len(described.partitions), described.is_internal), (name, 3, False), "described")
    ADMIN.delete_topics([name])[name].result(PATIENCE_S)
    until("it to go", lambda: name not in ADMIN.list_topics(timeout=PATIENCE_S).topics)


def admin_configs():
    name = topic("admin-configs")
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, name)

    def value(key):
        return ADMIN.describe_configs([resource])[resource].result(PATIENCE_S)[key].value
    equal(value("retention.ms"), "604800000", "the default")
    change = admin.ConfigResource(admin.ResourceType.TOPIC, name, incremental_configs=[
        admin.ConfigEntry("retention.ms", "5000", incremental_operation=admin.AlterConfigOpType.SET),
        admin.ConfigEntry("cleanup.policy", "compact", incremental_operation=admin.AlterConfigOpType.APPEND)])
    ADMIN.incremental_alter_configs([change])[change].result(PATIENCE_S)
    until("the change", lambda: value("retention.ms") == "5000" and value("cleanup.policy") == "delete,compact")
    bad = admin.ConfigResource(admin.ResourceType.TOPIC, name, incremental_configs=[
        admin.ConfigEntry("retention.ms", "soon", incremental_operation=admin.AlterConfigOpType.SET)])
    try:
        ADMIN.incremental_alter_configs([bad])[bad].result(PATIENCE_S)
        raise AssertionError("a word was taken for a number")
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.INVALID_CONFIG, "the error")
    old = admin.ConfigResource(admin.ResourceType.TOPIC, name, set_config={"segment.ms": "7000"})
    ADMIN.alter_configs([old])[old].result(PATIENCE_S)
    until("the replacement", lambda: value("retention.ms") == "604800000" and value("segment.ms") == "7000")
    broker = admin.ConfigResource(admin.ResourceType.BROKER, str(min(ADMIN.list_topics(timeout=PATIENCE_S).brokers)))
    assert "log.retention.hours" in ADMIN.describe_configs([broker])[broker].result(PATIENCE_S)


def admin_groups():
    return looked_after("classic")


def admin_groups_consumer_protocol():
    return looked_after("consumer")


def looked_after(protocol):
    """A group is described, its offsets are shown, altered, deleted."""
    name, group = topic("admin-groups-" + protocol, 2), "%s-admin-groups-%s" % (PREFIX, protocol)
    send(producer(), name, [b"x"] * 10, partition=0)
    reader = consumer("admin-groups-" + protocol, group_protocol=protocol)
    reader.subscribe([name])
    until("records", lambda: reader.consume(10, 0.5))
    reader.commit(asynchronous=False)
    described = ADMIN.describe_consumer_groups([group])[group].result(PATIENCE_S)
    equal((described.state, len(described.members), described.is_simple_consumer_group), (kafka.ConsumerGroupState.STABLE, 1, False), "described")
    kind = kafka.ConsumerGroupType[protocol.upper()]
    equal((described.type, len(described.members[0].assignment.topic_partitions)), (kind, 2), "the type, and what the member has")
    assert group in [it.group_id for it in ADMIN.list_consumer_groups().result(PATIENCE_S).valid]
    for types, is_there in (({kind}, True), (set(kafka.ConsumerGroupType) - {kind, kafka.ConsumerGroupType.UNKNOWN}, False)):
        listed = ADMIN.list_consumer_groups(types=types).result(PATIENCE_S).valid
        equal(group in [it.group_id for it in listed], is_there, "listed among %s" % types)
    try:
        ADMIN.delete_consumer_groups([group])[group].result(PATIENCE_S)
        raise AssertionError("deleted under its member")
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.NON_EMPTY_GROUP, "the error")
    reader.close()
    asked = kafka.ConsumerGroupTopicPartitions(group)
    found = ADMIN.list_consumer_group_offsets([asked])[group].result(PATIENCE_S)
    equal([(it.partition, it.offset) for it in found.topic_partitions], [(0, 10)], "offsets")
    altered = kafka.ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 3)])
    ADMIN.alter_consumer_group_offsets([altered])[group].result(PATIENCE_S)
    equal(ADMIN.list_consumer_group_offsets([asked])[group].result(PATIENCE_S).topic_partitions[0].offset, 3, "altered")
    ADMIN.delete_consumer_groups([group])[group].result(PATIENCE_S)
    assert group not in [it.group_id for it in ADMIN.list_consumer_groups().result(PATIENCE_S).valid]


def admin_records():
    """Offsets asked of the admin client, and records deleted up to one."""
    name = topic("admin-records")
    send(producer(), name, [b"%d" % n for n in range(10)])
    partition = TopicPartition(name, 0)

    def offset(spec):
        return ADMIN.list_offsets({partition: spec})[partition].result(PATIENCE_S).offset
    equal((offset(admin.OffsetSpec.earliest()), offset(admin.OffsetSpec.latest())), (0, 10), "before")
    deleted = ADMIN.delete_records([TopicPartition(name, 0, 4)])
    equal(next(iter(deleted.values())).result(PATIENCE_S).low_watermark, 4, "the low watermark")
    equal((offset(admin.OffsetSpec.earliest()), offset(admin.OffsetSpec.latest())), (4, 10), "after")
    equal(values(name), [str(n) for n in range(4, 10)], "what is left")


def admin_cluster():
    described = ADMIN.describe_cluster(include_authorized_operations=True).result(PATIENCE_S)
    assert described.cluster_id and described.controller and len(described.nodes) == 1
    one = admin.AclBinding(admin.ResourceType.TOPIC, "t", admin.ResourcePatternType.LITERAL, "User:a", "*", admin.AclOperation.READ,
                           admin.AclPermissionType.ALLOW)
    try:
        ADMIN.create_acls([one])[one].result(PATIENCE_S)
        raise AssertionError("there is no authorizer")
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.SECURITY_DISABLED, "the error")


run([plain, nulls_and_sizes, positions, compacted_wants_keys, idempotent, transactional, transactional_fenced, transactional_offsets,
     transactional_offsets_consumer_protocol, grouped_range, grouped_roundrobin, grouped_cooperative, grouped_static,
     grouped_consumer_protocol, grouped_consumer_protocol_range, grouped_consumer_protocol_static, grouped_consumer_protocol_pattern,
     grouped_from_classic_to_consumer, admin_topics, admin_configs, admin_groups, admin_groups_consumer_protocol, admin_records, admin_cluster])
