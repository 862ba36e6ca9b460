"""ListOffsets and OffsetForLeaderEpoch."""
import batch
from arrange import append, topic, version_range
from batch import TIMESTAMP, record
from cases import case, cases

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -1, -2, -3, -4, -5, -6


def times(broker, name, *timestamps, version=7, partition=0, epoch=-1, **fields):
    fields = {"ReplicaId": -1} | fields
    for timestamp in timestamps:
        broker.ask("ListOffsets", version, **fields, Topics=[{"Name": name, "Partitions": [
            {"PartitionIndex": partition, "CurrentLeaderEpoch": epoch, "Timestamp": timestamp}]}])


def filled(broker, **configs):
    """Offsets 0-5: times 10, 30 and 20 in one batch, 40 and 40 compressed, and 5."""
    name = topic(broker, **configs)

    def rows(*deltas, **how):
        return batch.batch(records=[record(b"k", b"v", offset=n, timestamp=delta) for n, delta in enumerate(deltas)],
                           max_timestamp=TIMESTAMP + max(deltas), **how)
    append(broker, name, rows(10, 30, 20), rows(40, 40, compression="gzip"), rows(5))
    return name


@cases({version: version for version in version_range("ListOffsets")})
def special(broker, version):
    name = filled(broker)
    times(broker, name, *range(0, -9, -1), version=version)
    times(broker, topic(broker, "-empty"), *range(0, -9, -1), version=version)


@cases({step: step for step in (0, 1, 5, 6, 10, 11, 20, 21, 30, 31, 40, 41, 10**6)})
def by_time(broker, step):
    name = filled(broker)
    for version in (1, 4, 7, 10):
        times(broker, name, TIMESTAMP + step, version=version)


@case
def by_time_of_append_time(broker):
    name = filled(broker, message_timestamp_type="LogAppendTime")
    times(broker, name, TIMESTAMP, 2**62)


@cases({"max": 2**63 - 1, "min": -2**63, "minus-100": -100})
def odd_times(broker, timestamp):
    times(broker, filled(broker), timestamp)


@cases({"topic": ("no-such", 0), "partition": (None, 1), "partition-minus-1": (None, -1), "bad-name": ("a b", 0), "empty": ("", 0)})
def nowhere(broker, name, partition):
    name = name or topic(broker)
    for version in (1, 4, 7, 10):
        times(broker, name, LATEST, partition=partition, version=version)


@cases({"current": 0, "newer": 1, "older": -1, "minus-2": -2})
def epochs(broker, epoch):
    times(broker, filled(broker), LATEST, EARLIEST, TIMESTAMP, epoch=epoch)


@cases({"replica": {"ReplicaId": 0}, "replica-5": {"ReplicaId": 5}, "debug": {"ReplicaId": -2}, "committed": {"IsolationLevel": 1}, "level-9": {"IsolationLevel": 9}})
def asked_as(broker, fields):
    times(broker, filled(broker), LATEST, TIMESTAMP, **fields)


@case
def same_partition_twice(broker):
    name = filled(broker)
    row = {"PartitionIndex": 0, "Timestamp": LATEST}
    broker.ask("ListOffsets", 7, ReplicaId=-1, Topics=[{"Name": name, "Partitions": [row, dict(row, Timestamp=EARLIEST)]}])
    broker.ask("ListOffsets", 7, ReplicaId=-1, Topics=[])


@cases({version: version for version in version_range("OffsetForLeaderEpoch")})
def end_of_epoch(broker, version):
    name = filled(broker)
    for current in (-1, 0, 1):
        for epoch in (-1, 0, 1, -2, 99):
            broker.ask("OffsetForLeaderEpoch", version, ReplicaId=-1, Topics=[{"Topic": name, "Partitions": [
                {"Partition": 0, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]}])


@cases({"topic": ("no-such", 0), "partition": (None, 1), "partition-minus-1": (None, -1), "empty": ("", 0)})
def end_of_epoch_nowhere(broker, name, partition):
    name = name or topic(broker)
    broker.ask("OffsetForLeaderEpoch", 4, ReplicaId=-1, Topics=[{"Topic": name, "Partitions": [{"Partition": partition, "LeaderEpoch": 0}]}])


@case
def end_of_epoch_empty_log(broker):
    name = topic(broker)
    broker.ask("OffsetForLeaderEpoch", 4, ReplicaId=-1, Topics=[{"Topic": name, "Partitions": [{"Partition": 0, "LeaderEpoch": 0}]}])
