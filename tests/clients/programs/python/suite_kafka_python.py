"""The suite of kafka-python: BOOTSTRAP PREFIX [TEST]..."""
import sys
import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

from scripted import PATIENCE_S, equal, run, until

BOOTSTRAP, PREFIX = sys.argv[1:3]
ADMIN = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def topic(name, partitions=1, **config):
    name = "%s-%s" % (PREFIX, name)
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    ADMIN.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1, topic_configs=config)])
    until("the topic", lambda: name in ADMIN.list_topics())
    return name


def producer(**config):
    return KafkaProducer(bootstrap_servers=BOOTSTRAP, **config)


def consumer(group=None, **config):
    config = {"auto_offset_reset": "earliest", "enable_auto_commit": False} | config
    return KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=group and "%s-%s" % (PREFIX, group), **config)


def send(out, name, values, **more):
    sent = [out.send(name, value=value, **more) for value in values]
    out.flush()
    return [it.get(timeout=PATIENCE_S) for it in sent]


def read(name, count, isolation="read_committed", partitions=1):
    """The records of the partitions up to their ends."""
    reader, wanted = consumer(isolation_level=isolation), [TopicPartition(name, n) for n in range(partitions)]
    reader.assign(wanted)
    reader.seek_to_beginning()
    found = []
    ends = reader.end_offsets(wanted)
    give_up = time.monotonic() + PATIENCE_S
    while any(reader.position(it) < ends[it] for it in wanted) and time.monotonic() < give_up:
        for records in reader.poll(timeout_ms=200).values():
            found += records
    reader.close()
    equal(len(found), count, "records")
    return found


def settled(name, end):
    """Waits until the markers of all transactions are there: the answer to the end of one does not."""
    reader, it = consumer(isolation_level="read_committed"), TopicPartition(name, 0)
    until("the last stable offset", lambda: reader.end_offsets([it])[it] == end)
    reader.close()


def values(name, count, **how):
    return [it.value.decode() for it in read(name, count, **how)]


def plain():
    name, written = topic("plain"), []
    for compression in (None, "gzip"):
        for acks in (0, 1, "all"):
            batch = ["%s %s %d naïve 北京" % (compression, acks, n) for n in range(50)]
            out = producer(acks=acks, compression_type=compression, enable_idempotence=False)
            for n, value in enumerate(batch):
                out.send(name, key=b"k%d" % n, value=value.encode(), headers=[("h", b"\xff")], timestamp_ms=1_700_000_000_000 + n)
            out.flush()
            out.close()
            written += batch
    reader, it = consumer(), TopicPartition(name, 0)
    until("all records", lambda: reader.end_offsets([it])[it] == len(written))
    found = read(name, len(written))
    equal([one.value.decode() for one in found], written, "values")
    equal((found[7].key, list(found[7].headers), found[7].timestamp), (b"k7", [("h", b"\xff")], 1_700_000_000_007), "the rest")
    return "%d records" % len(written)


def positions():
    name = topic("positions")
    out = producer()
    for n in range(50):
        out.send(name, value=b"%d" % n, timestamp_ms=1_700_000_000_000 + n * 1000)
    out.flush()
    reader, it = consumer("positions"), TopicPartition(name, 0)
    equal((reader.beginning_offsets([it])[it], reader.end_offsets([it])[it]), (0, 50), "the ends")
    equal(reader.offsets_for_times({it: 1_700_000_020_500})[it].offset, 21, "by time")
    equal(reader.offsets_for_times({it: 1_800_000_000_000})[it], None, "behind everything")
    reader.assign([it])
    reader.seek(it, 40)
    equal(until("40", lambda: reader.poll(timeout_ms=500, max_records=1))[it][0].value, b"40", "from 40")
    reader.commit({it: OffsetAndMetadata(41, "why", -1)})
    equal((reader.committed(it), reader.committed(it, metadata=True).metadata), (41, "why"), "committed")
    reader.close()


def idempotent():
    name = topic("idempotent", 3)
    out = producer(enable_idempotence=True, batch_size=200, linger_ms=0)
    for n in range(3000):
        out.send(name, value=b"%d" % n, partition=n % 3)
    out.flush()
    found = read(name, 3000, partitions=3)
    for partition in range(3):
        equal([int(it.value) for it in found if it.partition == partition], list(range(partition, 3000, 3)), "partition %d" % partition)


def transactional():
    name = topic("transactional")
    out = producer(transactional_id=PREFIX + "-transactional")
    out.init_transactions()
    for n, commit in enumerate((True, False, True)):
        out.begin_transaction()
        send(out, name, [b"%d-%d" % (n, k) for k in range(20)])
        out.commit_transaction() if commit else out.abort_transaction()
    settled(name, 63)
    equal(values(name, 40), ["%d-%d" % (n, k) for n in (0, 2) for k in range(20)], "committed")
    equal(len(values(name, 60, isolation="read_uncommitted")), 60, "all")
    out.close()


def transactional_fenced():
    name = topic("fenced")
    first = producer(transactional_id=PREFIX + "-fenced")
    first.init_transactions()
    first.begin_transaction()
    send(first, name, [b"zombie"])
    second = producer(transactional_id=PREFIX + "-fenced")
    second.init_transactions()
    try:
        send(first, name, [b"late"])
        first.commit_transaction()
        raise AssertionError("the first was not fenced")
    except KafkaError:
        pass
    second.begin_transaction()
    send(second, name, [b"alive"])
    second.commit_transaction()
    settled(name, 4)
    equal(values(name, 1), ["alive"], "committed")
    second.close()


def transactional_offsets():
    source, sink = topic("tx-source"), topic("tx-sink")
    send(producer(), source, [b"%d" % n for n in range(20)])
    reader, it = consumer("tx-offsets"), TopicPartition(source, 0)
    reader.subscribe([source])
    taken = []
    until("the records", lambda: taken.extend(reader.poll(timeout_ms=500).get(it, [])) or len(taken) == 20)
    out = producer(transactional_id=PREFIX + "-offsets")
    out.init_transactions()
    for end, commit in ((10, False), (10, True), (20, True)):
        out.begin_transaction()
        send(out, sink, [one.value for one in taken[end - 10:end]])
        out.send_offsets_to_transaction({it: OffsetAndMetadata(end, "", -1)}, reader.group_metadata())
        out.commit_transaction() if commit else out.abort_transaction()
        if commit:  # the answer to the end does not wait for the markers, and this client asks for offsets that may be unstable
            until("the offset", lambda: reader.committed(it) == end)
        else:
            equal(reader.committed(it), None, "committed")
    settled(sink, 33)
    equal(values(sink, 20), [str(n) for n in range(20)], "the sink")
    out.close()
    reader.close()


def share(kind, static=False, **config):
    """Two members in threads of their own share four partitions; one leaves, the other has all."""
    name = topic(kind, 4)
    out = producer()
    for n in range(400):
        out.send(name, value=b"%d" % n, partition=n % 4)
    out.flush()
    seen, shares, leave = [], [0, 0], [threading.Event(), threading.Event()]

    def member(number):
        reader = consumer(kind, group_instance_id="member-%d" % number if static else None, **config)
        reader.subscribe([name])
        while not leave[number].is_set():
            # Without a share it polls for long: where a call ends between this client's assignment (as leader, for a topic that it did
            # not know before) and the answer to its SyncGroup, the next one drops that answer, and the share is never taken.
            for records in reader.poll(timeout_ms=100 if shares[number] else 10_000, max_records=50).values():
                seen.extend((it.partition, it.offset) for it in records)
                reader.commit()
            shares[number] = len(reader.assignment())
        reader.close()
    threads = [threading.Thread(target=member, args=(number,), daemon=True) for number in range(2)]
    for it in threads:
        it.start()
    until("fair shares and every record", lambda: shares == [2, 2] and len(set(seen)) == 400)
    leave[0].set()
    if not static:  # a static member is missed only when its session ends
        until("everything for one", lambda: shares[1] == 4)
    leave[1].set()
    for it in threads:
        it.join()
    partitions = [TopicPartition(name, n) for n in range(4)]
    reader = consumer(kind)
    equal([reader.committed(it) for it in partitions], [100] * 4, "committed")
    reader.close()
    return "%d handed out twice" % (len(seen) - len(set(seen)))


def grouped():
    return share("grouped")


def grouped_static():
    return share("static", static=True)


def admin_topics():
    name = topic("admin-topics", retention_ms=1000)
    try:
        ADMIN.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
        raise AssertionError("created twice")
    except TopicAlreadyExistsError:
        pass
    ADMIN.create_partitions({name: 3})
    until("three partitions", lambda: len(ADMIN.describe_topics([name])[0]["partitions"]) == 3)
    ADMIN.delete_topics([name])
    until("it to go", lambda: name not in ADMIN.list_topics())


def admin_configs():
    name = topic("admin-configs", retention_ms=4000)
    ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"segment.ms": "7000"})])
    until("the change", lambda: "7000" in str(ADMIN.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")))
    assert "retention.ms" in str(ADMIN.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all"))


def admin_groups():
    name, group = topic("admin-groups"), PREFIX + "-admin-groups"
    send(producer(), name, [b"x"] * 10)
    reader, it = consumer("admin-groups"), TopicPartition(name, 0)
    reader.subscribe([name])
    until("records", lambda: reader.poll(timeout_ms=500))
    reader.commit()
    assert group in str(ADMIN.list_groups())
    assert "Stable" in str(ADMIN.describe_groups([group])) or "STABLE" in str(ADMIN.describe_groups([group]))
    reader.close()
    assert "10" in str(ADMIN.list_group_offsets({group: None}))
    ADMIN.alter_group_offsets(group, {it: OffsetAndMetadata(3, "", -1)})
    equal(consumer("admin-groups").committed(it), 3, "altered")
    ADMIN.delete_groups([group])
    assert group not in str(ADMIN.list_groups())


def admin_records():
    name = topic("admin-records")
    send(producer(), name, [b"%d" % n for n in range(10)])
    it = TopicPartition(name, 0)
    ADMIN.delete_records({it: 4})
    equal(consumer().beginning_offsets([it])[it], 4, "the beginning")
    equal(values(name, 6), [str(n) for n in range(4, 10)], "what is left")


def admin_looks():
    """What else the admin client can ask of one broker."""
    assert ADMIN.describe_cluster()
    assert ADMIN.describe_log_dirs()
    assert ADMIN.describe_features()
    assert ADMIN.describe_metadata_quorum()
    ADMIN.list_transactions()
    ADMIN.list_partition_reassignments()
    ADMIN.list_config_resources()


run([plain, positions, idempotent, transactional, transactional_fenced, transactional_offsets, grouped, grouped_static,
     admin_topics, admin_configs, admin_groups, admin_records, admin_looks])
