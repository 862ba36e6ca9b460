"""Fetch: at every offset, with every bound, in sessions, by id, with epochs, at both isolation levels."""
import batch
from arrange import append, fetched, topic, topic_id, values, version_range
from batch import record
from cases import case, cases
from cases.metadata import UNKNOWN_ID

NEW, FINAL = 0, -1


def get(broker, topics, version=12, **fields):
    return broker.ask("Fetch", version, **{"MaxWaitMs": 0, "MinBytes": 0, "Topics": topics, **fields})


def three_batches(broker, **configs):
    """Offsets 0-2, 3-4 and 5."""
    name = topic(broker, **configs)
    append(broker, name, batch.batch(b"a", b"b", b"c"), batch.batch(b"d", b"e", compression="gzip"), batch.batch(b"f"))
    return name


@cases({version: version for version in version_range("Fetch")})
def plain(broker, version):
    name = three_batches(broker)
    topics = fetched(name)
    if version >= 13:
        broker.ask("Metadata", 12, Topics=[{"Name": name}])
        topics[0]["TopicId"] = topic_id(broker, name)
        del topics[0]["Topic"]
    get(broker, topics, version)
    get(broker, [], version)


@cases({offset: offset for offset in range(-3, 9)})
def at(broker, offset):
    """Whole batches, from the one that has the offset on."""
    name = three_batches(broker)
    get(broker, fetched(name, offset))
    get(broker, fetched(name, offset, bytes_max=1))
    get(broker, fetched(name, offset), MaxBytes=1)


@cases({"0": 0, "1": 1, "minus-1": -1, "one-batch": 88, "two-batches": 88 + 110, "max": 2**31 - 1})
def bounded(broker, size):
    """How many batches; a part of one at the end is not compared."""
    name = three_batches(broker)
    get(broker, fetched(name, bytes_max=size))
    get(broker, fetched(name), MaxBytes=size)
    get(broker, fetched(name, 6, bytes_max=size))


@case
def bounds_over_partitions(broker):
    """Only the first batch of all may be larger than the bound."""
    name = topic(broker, partitions=3)
    for partition in range(3):
        values(broker, name, b"x" * 300, partition=partition)
    rows = [{"Partition": n, "FetchOffset": 0, "PartitionMaxBytes": 100} for n in (2, 0, 1)]
    get(broker, [{"Topic": name, "Partitions": rows}])
    rows = [dict(row, PartitionMaxBytes=1000) for row in rows]
    get(broker, [{"Topic": name, "Partitions": rows}], MaxBytes=100)
    get(broker, [{"Topic": name, "Partitions": rows}], MaxBytes=500)


@cases({"topic": ("no-such", 0), "partition": (None, 1), "partition-minus-1": (None, -1), "bad-name": ("a b", 0), "empty": ("", 0)})
def nowhere(broker, name, partition):
    get(broker, fetched(name or topic(broker), partition=partition))


@cases({"unknown": UNKNOWN_ID, "none": "00000000-0000-0000-0000-000000000000"})
def nowhere_by_id(broker, unknown):
    for version in (13, 17):
        get(broker, [{"TopicId": unknown, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 100}]}], version)


@case
def known_and_unknown_ids(broker):
    name = three_batches(broker)
    broker.ask("Metadata", 12, Topics=[{"Name": name}])
    row = {"Partitions": [{"Partition": 0, "PartitionMaxBytes": 100}]}
    get(broker, [dict(row, TopicId=UNKNOWN_ID), dict(row, TopicId=topic_id(broker, name))], 13)


@cases({"current": 0, "none": -1, "newer": 1, "far": 99, "minus-2": -2})
def leader_epoch(broker, epoch):
    name = three_batches(broker)
    get(broker, fetched(name, epoch=epoch))
    get(broker, fetched(name, 100, epoch=epoch))


@cases({"same": 0, "none": -1, "newer": 1, "minus-2": -2})
def last_fetched_epoch(broker, epoch):
    """A log that went apart is told so (KIP-595)."""
    name = three_batches(broker)
    for offset in (0, 3, 6, 7):
        get(broker, fetched(name, offset, LastFetchedEpoch=epoch))


@case
def same_partition_twice(broker):
    name = three_batches(broker)
    row = {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1000}
    get(broker, [{"Topic": name, "Partitions": [row, dict(row, FetchOffset=5)]}])


@cases({"0": 0, "minus-1": -1, "5": 5})
def replica(broker, replica):
    """Who says that it is a replica is none here."""
    name = three_batches(broker)
    get(broker, fetched(name), ReplicaId=replica)


@cases({"uncommitted": 0, "committed": 1, "2": 2, "minus-1": -1})
def isolation(broker, level):
    name = three_batches(broker)
    get(broker, fetched(name), IsolationLevel=level)
    get(broker, fetched(name, 6), IsolationLevel=level)


@case
def after_the_end_waits(broker):
    """Neither an error nor records before the time is over."""
    import time
    name = three_batches(broker)
    began = time.monotonic()
    get(broker, fetched(name, 6), MaxWaitMs=300, MinBytes=1)
    broker.note("it waited", 0.25 < time.monotonic() - began < 2)
    began = time.monotonic()
    get(broker, fetched(name, 0), MaxWaitMs=300, MinBytes=1 << 20)
    broker.note("it waited for more", 0.25 < time.monotonic() - began < 2)
    began = time.monotonic()
    get(broker, fetched(name, 7), MaxWaitMs=3000, MinBytes=1)
    broker.note("an error does not wait", time.monotonic() - began < 2)


@case
def wakes_on_append(broker):
    import time
    name = three_batches(broker)
    waiting = broker.connection("reader")
    began = time.monotonic()
    waiting.write("Fetch", 12, {"MaxWaitMs": 9000, "MinBytes": 1, "Topics": fetched(name, 6)})
    time.sleep(0.2)
    values(broker, name, b"new")
    broker.note("the answer", waiting.read())
    broker.note("soon", time.monotonic() - began < 5)


@case
def wakes_on_deletion(broker):
    import time
    name = three_batches(broker)
    waiting = broker.connection("reader")
    began = time.monotonic()
    waiting.write("Fetch", 12, {"MaxWaitMs": 5000, "MinBytes": 1, "Topics": fetched(name, 6)})
    time.sleep(0.2)
    broker.quiet("DeleteTopics", 5, TopicNames=[name], TimeoutMs=5000)
    waiting.read()
    broker.note("soon", time.monotonic() - began < 4)


@case
def many_partitions(broker):
    """All of them in one answer, with and without records."""
    name = topic(broker, partitions=40)
    values(broker, name, b"x", partition=17)
    rows = [{"Partition": n, "FetchOffset": 0, "PartitionMaxBytes": 1000} for n in range(40)]
    get(broker, [{"Topic": name, "Partitions": rows}])


@case
def sparse_offsets(broker):
    """Batches whose deltas leave gaps are refused or kept; either way a fetch goes on."""
    name = topic(broker)
    broker.ask("Produce", 9, Acks=-1, TimeoutMs=1000, TopicData=[{"Name": name, "PartitionData": [
        {"Index": 0, "Records": batch.batch(records=[record(), record(offset=3)], last_offset=3)}]}])
    get(broker, fetched(name))


# -- sessions (KIP-227)


def session(broker, topics, known, epoch, version=12, forget=(), **more):
    return get(broker, topics, version, SessionId=known, SessionEpoch=epoch, ForgottenTopicsData=list(forget), **more)


@cases({version: version for version in (7, 11, 12)})
def session_of_one(broker, version):
    """First everything, then only what changed."""
    name = three_batches(broker)
    first = session(broker, fetched(name), 0, NEW, version)
    known = first.SessionId
    session(broker, fetched(name, 6), known, 1, version)
    session(broker, [], known, 2, version)
    values(broker, name, b"new")
    session(broker, [], known, 3, version)
    session(broker, [], known, 4, version)
    session(broker, fetched(name, 7), known, 5, version)
    session(broker, [], known, FINAL, version)
    session(broker, [], known, 6, version)


@case
def session_of_two(broker):
    name = topic(broker, partitions=2)
    values(broker, name, b"x", partition=1)
    rows = [{"Partition": n, "FetchOffset": 0, "PartitionMaxBytes": 1000} for n in range(2)]
    both = [{"Topic": name, "Partitions": rows}]
    known = session(broker, both, 0, NEW).SessionId
    session(broker, fetched(name, 1, 1), known, 1)
    values(broker, name, b"y", partition=0)
    session(broker, [], known, 2)
    session(broker, [], known, 3, forget=[{"Topic": name, "Partitions": [0]}])
    session(broker, [], known, 4)
    session(broker, fetched(name, 0, 0), known, 5)
    session(broker, [], known, 6, forget=[{"Topic": name, "Partitions": [0, 1]}])
    session(broker, [], known, 7)


@cases({"unknown": (4711, 1), "unknown-new": (4711, NEW), "unknown-final": (4711, FINAL), "zero-1": (0, 1), "zero-final": (0, FINAL), "minus-2": (0, -2)})
def session_wrong(broker, known, epoch):
    name = three_batches(broker)
    session(broker, fetched(name), known, epoch)
    session(broker, [], known, epoch)


@case
def session_epoch_replayed(broker):
    name = three_batches(broker)
    known = session(broker, fetched(name), 0, NEW).SessionId
    session(broker, [], known, 1)
    session(broker, [], known, 1)
    session(broker, [], known, 5)
    session(broker, [], known, 2)
    session(broker, fetched(name), known, NEW)


@case
def session_by_id(broker):
    name = three_batches(broker)
    broker.ask("Metadata", 12, Topics=[{"Name": name}])
    it = topic_id(broker, name)
    topics = [{"TopicId": it, "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1000}]}]
    known = session(broker, topics, 0, NEW, 13).SessionId
    session(broker, [{"TopicId": it, "Partitions": [{"Partition": 0, "FetchOffset": 6, "PartitionMaxBytes": 1000}]}], known, 1, 13)
    session(broker, [], known, 2, 13)
    session(broker, fetched(name, 6), known, 3, 12)
    session(broker, [{"TopicId": UNKNOWN_ID, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 9}]}], known, 4, 13)
    session(broker, [], known, 5, 13, forget=[{"TopicId": it, "Partitions": [0]}])


@case
def session_with_errors(broker):
    """An error is said again in every answer until it is gone."""
    name = three_batches(broker)
    topics = fetched(name, 100) + fetched("no-such")
    known = session(broker, topics, 0, NEW).SessionId
    session(broker, [], known, 1)
    session(broker, fetched(name, 5), known, 2)
    session(broker, [], known, 3)


@case
def session_deleted_topic(broker):
    name = three_batches(broker)
    known = session(broker, fetched(name, 6), 0, NEW).SessionId
    broker.quiet("DeleteTopics", 5, TopicNames=[name], TimeoutMs=5000)
    broker.until("deletion", lambda: broker.quiet("Fetch", 12, on="2", MaxWaitMs=0, MinBytes=0, Topics=fetched(name)).Responses[0].Partitions[0].ErrorCode == 3)
    session(broker, [], known, 1)


@case
def session_empty(broker):
    session(broker, [], 0, NEW)
