"""The parts of tests/clients/read-process-write, by confluent-kafka, as WHAT BOOTSTRAP SOURCE ...: make SINK PARTITIONS | feed |
work SINK NUMBER BREAK | lag | check SINK. A step of the work is a line, written before the step is taken."""
import collections
import signal
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from scripted import PATIENCE_S, equal

WHAT, BOOTSTRAP, TOPIC = sys.argv[1:4]
GROUP, BATCH, FEED_PER_S = "read-process-write", 100, 1000
# A librdkafka that begins anew at its bootstrap servers hands TxnOffsetCommit to the broker that it gave up, which still is the group's
# coordinator in its cache, and hangs, on Kafka as here (librdkafka's issue 5511): it is told not to begin anew.
COMMON = {"metadata.recovery.strategy": "none", "bootstrap.servers": BOOTSTRAP, "log_level": 0, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100}


def say(*words):
    print(*words, flush=True)


def partitions(client, name):
    return sorted(client.list_topics(name, PATIENCE_S).topics[name].partitions)


def make():
    admin = AdminClient(COMMON)
    for made in admin.create_topics([NewTopic(name, int(sys.argv[5]), 1) for name in sys.argv[3:5]]).values():
        made.result(PATIENCE_S)


def feed():
    """Numbered records, each exactly once, until it is told to end; then says how many there are of each partition."""
    out = Producer(COMMON | {"enable.idempotence": True, "linger.ms": 2, "message.timeout.ms": 300_000})
    count, errors, ended = 0, [], []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    spread = len(partitions(out, TOPIC))
    while not ended:
        for _ in range(FEED_PER_S // 50):
            out.produce(TOPIC, value=b"%d" % (count // spread), partition=count % spread, on_delivery=lambda error, _: error and errors.append(error))
            count += 1
        out.poll(0)
        time.sleep(0.02)  # the pace, not a wait for something
    equal(out.flush(120), 0, "records left behind")
    assert not errors, errors[:3]
    say("fed", count)


class Anew(Exception):
    """The clients can do no more, or are not where they should be: new ones begin at what is committed."""


def work():
    """Takes records, writes one for each, and commits both sides as one; a worker that comes back ends what it left open."""
    while True:
        try:
            work_with(sys.argv[4], "worker-" + sys.argv[5], sys.argv[6])
        except Anew:
            pass
        except KafkaException as error:
            # Where a broker is away for longer than a transaction may take, its producer may be fenced by the coordinator, or end one that
            # the coordinator never heard of; a static member may miss the answer that gave it its new id. Applications begin anew then.
            if not error.args[0].fatal():
                raise
            say("fatal", error.args[0].name())


def work_with(sink, name, broken):
    """The same until a client can do no more."""
    taking = Consumer(COMMON | {"group.id": GROUP, "group.instance.id": name, "session.timeout.ms": 30_000, "enable.auto.commit": False,
                                "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    out = Producer(COMMON | {"transactional.id": name, "linger.ms": 0, "transaction.timeout.ms": 20_000})
    writes = Producer(COMMON) if broken == "records" else out  # one that knows of no transactions
    try:
        retry(lambda: out.init_transactions(30))
        taking.subscribe([TOPIC])
        while True:
            taken = taking.consume(BATCH, 0.2)
            if any(it.error() and it.error().code() == KafkaError._FATAL for it in taken):  # its `fatal()` is false
                say("fatal", "consumer")
                raise Anew
            taken = [it for it in taken if not it.error()]
            if taken:
                transact(taking, out, writes, sink, taken, broken)
    finally:
        taking.close()


def transact(taking, out, writes, sink, taken, broken):
    ends = {(it.topic(), it.partition()): it.offset() + 1 for it in taken}
    offsets = [TopicPartition(*key, offset) for key, offset in ends.items()]
    try:
        say("begin")
        out.begin_transaction()
        say("write")
        for it in taken:
            writes.produce(sink, value=it.value(), partition=it.partition())
        if writes is not out or taken[-1].offset() % 2:  # now and then the records are there before the rest
            writes.flush(PATIENCE_S)
        if broken == "offsets":  # they are not part of the transaction, so that one can be there without the other
            taking.commit(offsets=offsets, asynchronous=False)
        else:
            say("offsets")
            retry(lambda: out.send_offsets_to_transaction(offsets, taking.consumer_group_metadata(), 30))
        say("commit")
        retry(lambda: out.commit_transaction(30))
        say("committed", len(taken))
    except KafkaException as error:
        if error.args[0].fatal() or not error.args[0].txn_requires_abort():
            raise
        say("abort", error.args[0].name())
        retry(lambda: out.abort_transaction(30))
        rewind(taking)


def retry(step):
    """Takes a step again for as long as librdkafka says that this helps."""
    while True:
        try:
            return step()
        except KafkaException as error:
            if not error.args[0].retriable():
                raise


def rewind(taking):
    """Back to what is committed: the records of an aborted transaction are taken again."""
    try:
        for it in taking.committed(taking.assignment(), PATIENCE_S):
            if it.error:
                raise KafkaException(it.error)
            taking.seek(TopicPartition(it.topic, it.partition, it.offset if it.offset >= 0 else OFFSET_BEGINNING))
    except KafkaException as error:
        raise Anew from error


def lag():
    """How much is not committed yet."""
    reader = Consumer(COMMON | {"group.id": GROUP})
    every = [TopicPartition(TOPIC, n) for n in partitions(reader, TOPIC)]
    committed = {it.partition: max(it.offset, 0) for it in reader.committed(every, PATIENCE_S)}
    say("lag", sum(reader.get_watermark_offsets(it, PATIENCE_S)[1] - committed[it.partition] for it in every))


def values(name, isolation):
    """The values of each partition, in order."""
    reader = Consumer(COMMON | {"group.id": GROUP + "-check", "isolation.level": isolation, "enable.partition.eof": True, "enable.auto.commit": False})
    every = [TopicPartition(name, n, OFFSET_BEGINNING) for n in partitions(reader, name)]
    reader.assign(every)
    found, ended = collections.defaultdict(list), set()
    while len(ended) < len(every):
        batch = reader.consume(2000, PATIENCE_S)
        assert batch, "%s: the end does not come" % name
        for it in batch:
            if not it.error():
                found[it.partition()].append(int(it.value()))
            elif it.error().code() == KafkaError._PARTITION_EOF:
                ended.add(it.partition())
    reader.close()
    return found


def check():
    """Every record of the source is in the sink, once, in its order; says how many records of aborted transactions lie between."""
    wanted, found = values(TOPIC, "read_committed"), values(sys.argv[4], "read_committed")
    for partition, numbers in sorted(wanted.items()):
        equal(numbers, list(range(len(numbers))), "what was fed into partition %d" % partition)
        seen = collections.Counter(found[partition])
        lost, twice = [it for it in numbers if not seen[it]], [it for it in seen if seen[it] > 1]
        if lost or twice:
            say("wrong: partition %d: %d records are lost (%s), %d are there twice (%s)" % (partition, len(lost), lost[:3], len(twice), twice[:3]))
        elif found[partition] != numbers:
            say("wrong: partition %d: the order is another" % partition)
    everything = sum(map(len, values(sys.argv[4], "read_uncommitted").values()))
    committed = sum(map(len, found.values()))
    say("checked", committed, everything - committed)


{"make": make, "feed": feed, "work": work, "lag": lag, "check": check}[WHAT]()
