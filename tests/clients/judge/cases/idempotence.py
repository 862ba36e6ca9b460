"""Producer ids, epochs and sequences of the idempotent producer."""
import batch
from arrange import producer, topic, version_range
from batch import record
from cases import case, cases
from cases.produce import look, put

MAX = 2**31 - 1


def sent(broker, name, who, sequence, count=1, **more):
    return put(broker, name, batch.batch(*[b"v%d" % n for n in range(count)], producer=(*who, sequence)), **more)


@cases({version: version for version in version_range("InitProducerId")})
def given(broker, version):
    broker.ask("InitProducerId", version, TransactionalId=None, TransactionTimeoutMs=2**31 - 1)
    broker.ask("InitProducerId", version, TransactionalId=None, TransactionTimeoutMs=0)
    broker.ask("InitProducerId", version, TransactionalId=None, TransactionTimeoutMs=-1)
    broker.ask("InitProducerId", version, TransactionalId="", TransactionTimeoutMs=60_000)


@cases({"one-set": (5, -1), "other-set": (-1, 5), "both": (5, 5), "epoch-max": (5, 32767)})
def given_again(broker, known, epoch):
    """Without a transactional id what is known already does not matter."""
    broker.ask("InitProducerId", 4, TransactionalId=None, TransactionTimeoutMs=1000, ProducerId=known, ProducerEpoch=epoch)


@case
def duplicates(broker):
    """The five last batches are known with their offsets; what is older is a duplicate without one."""
    name, who = topic(broker), producer(broker)
    for sequence in range(7):
        sent(broker, name, who, sequence)
    for sequence in (6, 5, 2, 1, 0):
        sent(broker, name, who, sequence)
    sent(broker, name, who, 7)
    look(broker, name)


@case
def duplicate_of_more(broker):
    name, who = topic(broker), producer(broker)
    sent(broker, name, who, 0, 3)
    sent(broker, name, who, 3, 2)
    sent(broker, name, who, 0, 3)
    sent(broker, name, who, 0, 2)
    sent(broker, name, who, 1, 2)
    sent(broker, name, who, 3, 1)
    sent(broker, name, who, 4, 2)
    sent(broker, name, who, 5, 1)
    look(broker, name)


@cases({"gap": 3, "gap-of-one": 2, "back": 0, "far": 1000, "max": MAX})
def out_of_order(broker, sequence):
    name, who = topic(broker), producer(broker)
    sent(broker, name, who, 0)
    sent(broker, name, who, sequence)
    sent(broker, name, who, 1)
    look(broker, name)


@cases({"0": 0, "5": 5, "max": MAX})
def first_sequence(broker, sequence):
    """Of a producer that the partition does not know, anything is taken."""
    name, who = topic(broker), producer(broker)
    sent(broker, name, who, sequence)
    sent(broker, name, who, (sequence + 1) & MAX)
    look(broker, name)


@case
def wraps(broker):
    """Behind Int.MAX comes 0, also within a batch."""
    name, who = topic(broker), producer(broker)
    sent(broker, name, who, MAX - 1, 2)
    sent(broker, name, who, 0, 1)
    sent(broker, name, who, 1, 1)
    sent(broker, name, who, MAX - 1, 2)
    look(broker, name)
    other = producer(broker)
    sent(broker, name, other, MAX - 1, 4)
    sent(broker, name, other, 2, 1)
    sent(broker, name, other, 3, 1)
    sent(broker, name, other, MAX - 1, 4)


@cases({"same": 0, "next": 1, "skips": 5, "max": 32767})
def epochs(broker, step):
    """A newer epoch begins at sequence 0 and fences the older one."""
    name, (known, epoch) = topic(broker), producer(broker)
    sent(broker, name, (known, epoch), 0)
    sent(broker, name, (known, epoch + step), 1)
    sent(broker, name, (known, epoch + step), 0)
    sent(broker, name, (known, epoch + step), 1)
    sent(broker, name, (known, epoch), 1)
    look(broker, name)


@case
def epoch_falls(broker):
    name, (known, _) = topic(broker), producer(broker)
    sent(broker, name, (known, 5), 0)
    for version in (7, 9, 11):
        sent(broker, name, (known, 4), 1, version=version)
    sent(broker, name, (known, 5), 1)


@case
def two_batches_of_one_request(broker):
    """More than one batch in a partition's field is refused from version 3 on."""
    name, who = topic(broker), producer(broker)
    put(broker, name, batch.batch(b"a", producer=(*who, 0)), batch.batch(b"b", producer=(*who, 1)))
    look(broker, name)


@case
def two_partitions(broker):
    """Each has its own sequences."""
    name, who = topic(broker, partitions=2), producer(broker)
    sent(broker, name, who, 0, partition=0)
    sent(broker, name, who, 0, partition=1)
    sent(broker, name, who, 1, partition=1)
    sent(broker, name, who, 2, partition=0)


@case
def count_decides(broker):
    """The sequence of the end comes from the offsets, not from the records."""
    name, who = topic(broker), producer(broker)
    put(broker, name, batch.batch(records=[record(), record(offset=1)], producer=(*who, 0)))
    sent(broker, name, who, 2)
    look(broker, name)


@case
def described(broker):
    name, who = topic(broker), producer(broker)
    ask = lambda *partitions: broker.ask("DescribeProducers", 0, Topics=[{"Name": name, "PartitionIndexes": list(partitions)}])
    ask(0)
    sent(broker, name, who, 0, 3)
    ask(0, 1, -1)
    broker.ask("DescribeProducers", 0, Topics=[{"Name": "no-such", "PartitionIndexes": [0]}, {"Name": "a b", "PartitionIndexes": [0]}, {"Name": "", "PartitionIndexes": [0]}])


@case
def verbatim(broker):
    """Bytes of idempotent, compressed batches are stored as they came."""
    name, who = topic(broker), producer(broker)
    put(broker, name, batch.batch(b"a" * 50, b"b" * 50, compression="gzip", producer=(*who, 0)))
    put(broker, name, batch.batch(b"a" * 50, b"b" * 50, compression="zstd", producer=(*who, 2)))
    look(broker, name)
