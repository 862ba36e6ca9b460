"""Produce: what a log takes in and what it refuses, batch by batch, with the words that it has for it."""
import struct

import batch
from arrange import fetched, produced, topic, topic_id, version_range
from batch import TIMESTAMP, record
from cases import case, cases
from cases.metadata import UNKNOWN_ID

COMPRESSIONS = "gzip", "snappy", "lz4", "zstd"


def put(broker, name, *batches, version=9, acks=-1, partition=0, **more):
    """Produces, and then shows what lies in the log."""
    return broker.ask("Produce", version, Acks=acks, TimeoutMs=5000, TopicData=produced(name, *batches, partition=partition), **more)


def look(broker, name, offset=0):
    broker.ask("Fetch", 12, MaxWaitMs=0, MinBytes=0, Topics=fetched(name, offset))


@cases({version: version for version in version_range("Produce")})
def plain(broker, version):
    name = topic(broker)
    if version < 13:
        put(broker, name, batch.batch(b"one", b"two"), version=version)
        put(broker, name, batch.batch(b"three"), version=version, acks=1)
    else:
        known = topic_id(broker, name)
        broker.ask("Metadata", 12, Topics=[{"Name": name}])
        for it in (known, UNKNOWN_ID):
            broker.ask("Produce", version, Acks=-1, TimeoutMs=5000, TopicData=[
                {"TopicId": it, "PartitionData": [{"Index": 0, "Records": batch.batch(b"one")}]}])
    look(broker, name)


@cases({version: version for version in (0, 1, 2)})
def too_old(broker, version):
    """Is offered, so that old clients see compression, and ends the connection when it is used."""
    name = topic(broker)
    topics = struct.pack(">i", 1) + struct.pack(">h", len(name)) + name.encode() + struct.pack(">iii", 1, 0, 0)
    from arrange import frame
    connection = broker.connection()
    connection.write_frame(frame(0, version, struct.pack(">hi", 1, 1000) + topics))
    try:
        broker.note("answer", connection.read_frame().hex())
    except Exception as error:  # noqa: BLE001 - how it ends is the answer
        broker.note("answer", str(error))


@cases({"0": 0, "1": 1, "minus-1": -1, "2": 2, "minus-2": -2, "32767": 32767})
def acknowledged(broker, acks):
    name = topic(broker)
    one = produced(name, batch.batch(b"one"))
    if acks == 0:
        broker.connection().write("Produce", 9, {"Acks": 0, "TimeoutMs": 1000, "TopicData": one})
        broker.connection().waiting.clear()
        broker.until("the record", lambda: broker.quiet("Fetch", 12, MaxWaitMs=0, MinBytes=0, Topics=fetched(name), on="2").Responses[0].Partitions[0].Records)
    else:
        put(broker, name, batch.batch(b"one"), acks=acks)
    look(broker, name)


@case
def unacknowledged_error_closes(broker):
    """With acks=0 the only answer that there is."""
    topic(broker)
    broker.connection().write("Produce", 9, {"Acks": 0, "TimeoutMs": 1000, "TopicData": produced("no-such", batch.batch(b"one"))})
    try:
        broker.note("frame", broker.connection().read_frame(2).hex())
    except Exception as error:  # noqa: BLE001 - how it ends is the answer
        broker.note("frame", str(error))


@cases({"topic": ("no-such", 0), "partition": (None, 1), "partition-minus-1": (None, -1), "bad-name": ("a b", 0), "empty-name": ("", 0),
        "internal": ("__consumer_offsets", 0), "transactions": ("__transaction_state", 0)})
def to_nowhere(broker, name, partition):
    put(broker, name or topic(broker), batch.batch(b"one"), partition=partition)


@case
def several_partitions(broker):
    """Some right, some wrong; the order of the answer does not matter."""
    name = topic(broker, partitions=2)
    rows = [{"Index": 1, "Records": batch.batch(b"b")}, {"Index": 0, "Records": batch.batch(b"a")}, {"Index": 2, "Records": batch.batch(b"c")},
            {"Index": 3, "Records": None}]
    broker.ask("Produce", 9, Acks=-1, TimeoutMs=1000, TopicData=[{"Name": name, "PartitionData": rows}, {"Name": "no-such", "PartitionData": rows[:1]}])


@case
def same_partition_twice(broker):
    name = topic(broker)
    row = {"Index": 0, "Records": batch.batch(b"b")}
    broker.ask("Produce", 9, Acks=-1, TimeoutMs=1000, TopicData=[{"Name": name, "PartitionData": [row, row]}])
    look(broker, name)


@case
def same_topic_twice(broker):
    name = topic(broker, partitions=2)
    row = {"Index": 0, "Records": batch.batch(b"b")}
    broker.ask("Produce", 9, Acks=-1, TimeoutMs=1000, TopicData=[{"Name": name, "PartitionData": [row]}, {"Name": name, "PartitionData": [dict(row, Index=1)]}])


RECORDS = {
    "null": None, "empty": b"", "short": b"\0" * 10, "two-batches": batch.batch(b"a") + batch.batch(b"b"), "garbage-behind": batch.batch(b"a") + b"xyz",
    "crc": batch.batch(b"a", crc=1), "magic-3": batch.batch(b"a", magic=3), "magic-minus-1": batch.batch(b"a", magic=-1),
    "magic-1": batch.message_set(), "magic-0": batch.message_set(magic=0), "magic-1-in-v2-body": batch.batch(b"a", magic=1),
    "count-0": batch.batch(b"a", count=0), "count-negative": batch.batch(b"a", count=-1), "count-2-of-1": batch.batch(b"a", count=2),
    "count-1-of-2": batch.batch(b"a", b"b", count=1), "count-max": batch.batch(b"a", count=2**31 - 1),
    "last-offset-too-big": batch.batch(b"a", last_offset=1), "last-offset-too-small": batch.batch(b"a", b"b", last_offset=0),
    "last-offset-negative": batch.batch(b"a", last_offset=-1), "no-records": batch.batch(), "no-records-count-1": batch.batch(count=1, last_offset=0),
    "base-offset-7": batch.batch(b"a", base_offset=7), "base-offset-negative": batch.batch(b"a", base_offset=-7),
    "leader-epoch": batch.batch(b"a", leader_epoch=99),
    "length-small": batch.batch(b"a", length=48), "length-negative": batch.batch(b"a", length=-1), "length-large": batch.batch(b"a", length=1000),
    "control": batch.batch(attributes=batch.CONTROL, records=[record(b"\0\0\0\0", b"\0\0\0\0\0\0")]),
    "transactional-without-producer": batch.batch(b"a", attributes=batch.TRANSACTIONAL),
    "reserved-attributes": batch.batch(b"a", attributes=0x80), "reserved-high": batch.batch(b"a", attributes=0x4000), "horizon-flag": batch.batch(b"a", attributes=0x40),
    "codec-5": batch.batch(b"a", attributes=5), "codec-7": batch.batch(b"a", attributes=7), "append-time-flag": batch.batch(b"a", attributes=batch.LOG_APPEND_TIME),
    "offset-delta-wrong": batch.batch(records=[record(offset=5)], last_offset=0), "offset-deltas-equal": batch.batch(records=[record(), record()], last_offset=1),
    "offset-deltas-back": batch.batch(records=[record(offset=1), record(offset=0)], last_offset=1), "offset-delta-negative": batch.batch(records=[record(offset=-1)]),
    "record-attributes": batch.batch(records=[record(attributes=7)]), "record-length-long": batch.batch(records=[record(length=100)]),
    "record-length-short": batch.batch(records=[record(length=3)]), "record-length-negative": batch.batch(records=[record(length=-1)]),
    "garbage-records": batch.batch(records=[b"\xff" * 40], count=1), "bytes-behind-records": batch.batch(records=[record() + b"\0\0\0"], count=1),
    "null-key": batch.batch(b"a", keys=[None]), "null-value": batch.batch(None), "null-both": batch.batch(None, keys=[None]), "empty-key": batch.batch(b"a", keys=[b""]),
    "headers": batch.batch(records=[record(headers=[("h", b"1"), ("h", None), ("", b"")])]),
    "header-key-null": batch.batch(records=[record(headers=[(None, b"1")])]),
    "producer-without-sequence": batch.batch(b"a", producer=(5, 0, -1)), "sequence-without-producer": batch.batch(b"a", producer=(-1, -1, 5)),
    "producer-without-epoch": batch.batch(b"a", producer=(5, -1, 0)), "unknown-producer": batch.batch(b"a", producer=(4711, 0, 0)),
    "max-timestamp-wrong": batch.batch(b"a", max_timestamp=TIMESTAMP + 5), "max-timestamp-less": batch.batch(b"a", max_timestamp=TIMESTAMP - 5),
    "max-timestamp-none": batch.batch(b"a", max_timestamp=-1),
}


@cases(RECORDS)
def records(broker, data):
    """Whatever is in the field, in four versions; the log shows what was taken."""
    name = topic(broker)
    for version in (3, 7, 9, 11):
        broker.ask("Produce", version, Acks=-1, TimeoutMs=1000, TopicData=[{"Name": name, "PartitionData": [{"Index": 0, "Records": data}]}])
    look(broker, name)


@cases({key: data for key, data in RECORDS.items() if key in (
    "count-2-of-1", "count-1-of-2", "offset-delta-wrong", "offset-deltas-equal", "record-length-long", "garbage-records", "bytes-behind-records", "no-records", "count-0")})
def records_compressed(broker, data):
    """The same mistakes inside a compressed batch."""
    name = topic(broker)
    head, body = data[:batch.HEAD_BYTES], data[batch.HEAD_BYTES:]
    count, last = struct.unpack(">i", head[57:61])[0], struct.unpack(">i", head[23:27])[0]
    for compression in COMPRESSIONS:
        put(broker, name, batch.batch(records=[body], compression=compression, count=count, last_offset=last))
    look(broker, name)


@cases({it: it for it in COMPRESSIONS})
def compressed(broker, compression):
    name = topic(broker)
    for version in (3, 6, 7, 9):
        put(broker, name, batch.batch(b"one", b"two" * 100, compression=compression), version=version)
    look(broker, name)


@cases({it: it for it in COMPRESSIONS})
def compressed_garbage(broker, compression):
    """A right checksum over what is no frame, half a frame, and none at all."""
    name = topic(broker)
    import compressed as frames
    right = frames.compress(compression, record(value=b"x" * 50))
    for payload in (b"garbage" * 5, right[:len(right) // 2], b"", right + b"behind"):
        put(broker, name, batch.batch(b"one", attributes=frames.CODES[compression], payload=payload))
    look(broker, name)


@cases({it: it for it in ("producer", "uncompressed", *COMPRESSIONS)})
def topic_compression(broker, kind):
    """compression.type of the topic: what is stored (its offsets and records; the frames of two libraries differ)."""
    name = topic(broker, compression_type=kind)
    for compression in ("none", *COMPRESSIONS):
        put(broker, name, batch.batch(b"a" * 200, b"b" * 200, compression=compression))

    def kept(found):
        return [(it["base offset"], it["count"], it["crc"], it.get("attributes")) for it in batch.read(found.Responses[0].Partitions[0].Records)]
    broker.ask("Fetch", 12, MaxWaitMs=0, MinBytes=0, Topics=fetched(name), keep=kept)


COMPACTED = {"all-keys": [b"a", b"b"], "first-without": [None, b"b"], "last-without": [b"a", None], "none": [None, None], "empty": [b"", b""]}


@cases({"%s/%s" % (keys, compression): (COMPACTED[keys], compression) for keys in COMPACTED for compression in ("none", "gzip")})
def compacted(broker, keys, compression):
    """Records without a key are named one by one (KIP-467), from version 8 on."""
    name = topic(broker, cleanup_policy="compact")
    for version in (3, 8, 9, 11):
        put(broker, name, batch.batch(b"1", b"2", keys=keys, compression=compression), version=version)
    look(broker, name)


@case
def compacted_and_deleted(broker):
    name = topic(broker, cleanup_policy="compact,delete")
    put(broker, name, batch.batch(b"1", b"2", keys=[None, b"k"]))


BOUNDS = {"old": 1000, "now": None, "future-hour-and-more": 3_700_000, "past": -10_000_000, "none": "none", "negative": "negative", "huge": "huge", "min": "min"}


def moment(broker, value):
    import time
    now = int(time.time() * 1000)
    return {"none": -1, "negative": -5, "huge": 2**63 - 1, "min": -2**63}.get(value, now + value if isinstance(value, int) and value != 1000 else value or now)


@cases({"%s/%s" % (bound, kind): (BOUNDS[bound], kind) for bound in BOUNDS for kind in ("default", "before", "after", "append")})
def timestamps(broker, value, kind):
    """message.timestamp.before.max.ms, after.max.ms and type."""
    configs = {"default": {}, "before": {"message_timestamp_before_max_ms": 60_000}, "after": {"message_timestamp_after_max_ms": 1000},
               "append": {"message_timestamp_type": "LogAppendTime"}}[kind]
    name = topic(broker, **configs)
    when = moment(broker, value)

    def kept(found):
        it = found.Responses[0].PartitionResponses[0]
        texts = [(row.BatchIndex, row.BatchIndexErrorMessage and row.BatchIndexErrorMessage.split(" ")[0]) for row in it.RecordErrors]
        return {"ErrorCode": it.ErrorCode, "BaseOffset": it.BaseOffset, "time": it.LogAppendTimeMs, "records": texts, "message": it.ErrorMessage}
    broker.ask("Produce", 9, Acks=-1, TimeoutMs=1000, TopicData=produced(name, batch.batch(b"a", b"b", timestamp=when)), keep=kept)
    broker.ask("Produce", 9, Acks=-1, TimeoutMs=1000, TopicData=produced(name, batch.batch(b"a", b"b", timestamp=when, compression="gzip")), keep=kept)

    def looked(found):
        return [(it["base offset"], it["count"], it["crc"], it["attributes"]) for it in batch.read(found.Responses[0].Partitions[0].Records)]
    broker.ask("Fetch", 12, MaxWaitMs=0, MinBytes=0, Topics=fetched(name), keep=looked)


@cases({"none": "none", "gzip": "gzip"})
def append_time(broker, compression):
    """The broker's time takes the place of the producer's, and the checksum is right again."""
    name = topic(broker, message_timestamp_type="LogAppendTime")
    put(broker, name, batch.batch(b"a", b"b", compression=compression))
    look(broker, name)


@cases({"mixed": [0, 5, -3], "far": [0, 2**40, 1], "equal": [0, 0, 0]})
def record_timestamps(broker, deltas):
    name = topic(broker)
    rows = [record(b"k", b"v", offset=n, timestamp=delta) for n, delta in enumerate(deltas)]
    for claimed in (TIMESTAMP + max(deltas), TIMESTAMP):
        put(broker, name, batch.batch(records=rows, max_timestamp=claimed))
    look(broker, name)
    broker.ask("ListOffsets", 7, ReplicaId=-1, Topics=[{"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -3}]}])


@cases({"at": 0, "one-past": 1, "far-past": 5000})
def too_large(broker, past):
    """max.message.bytes counts the whole batch."""
    name = topic(broker, max_message_bytes=1000)
    empty = len(batch.batch(b"")) + 1  # a value of this size has one more byte in its length
    put(broker, name, batch.batch(b"x" * (1000 - empty - 1 + past)))
    put(broker, name, batch.batch(b"x" * 100_000, compression="gzip"))
    look(broker, name)


@case
def larger_than_a_segment(broker):
    name = topic(broker, segment_bytes=1 << 20, max_message_bytes=4 << 20)
    found = put(broker, name, batch.batch(b"x" * (1 << 20)))
    broker.note("code", found)


@case
def bomb(broker):
    """A compressed batch that is small on the wire; Kafka reads it through record by record."""
    name = topic(broker)
    put(broker, name, batch.batch(b"\0" * (2 << 20), compression="gzip"))


@case
def not_enough_replicas(broker):
    name = topic(broker, min_insync_replicas=2)
    put(broker, name, batch.batch(b"a"))
    put(broker, name, batch.batch(b"a"), acks=1)
    look(broker, name)
