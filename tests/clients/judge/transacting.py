"""What the cases of transactions are made of: the steps of one, as clients take them; what `ask`s stands in the transcript."""
import time

import batch
from arrange import TRANSACTION, coordinator, fetched, produced, producer, topic

COMMIT, ABORT = True, False


def now():
    """Of records beside markers, which have the time of the broker: far apart they lie in two segments, and Kafka answers with one."""
    return int(time.time() * 1000)


def own(broker, suffix=""):
    """The transactional id of the case, whose coordinator is there."""
    return coordinator(broker, broker.case.topic + suffix, TRANSACTION)


def init(broker, of, version=4, timeout=60_000, who=(-1, -1), **more):
    return broker.ask("InitProducerId", version, TransactionalId=of, TransactionTimeoutMs=timeout, ProducerId=who[0], ProducerEpoch=who[1], **more)


def add(broker, of, who, *partitions, version=3, **more):
    """AddPartitionsToTxn as clients send it: version 3 and below."""
    return broker.ask("AddPartitionsToTxn", version, V3AndBelowTransactionalId=of, V3AndBelowProducerId=who[0], V3AndBelowProducerEpoch=who[1],
                      V3AndBelowTopics=_topics(partitions), **more)


def add_as_broker(broker, of, who, *partitions, version=5, verify=False):
    return broker.ask("AddPartitionsToTxn", version, Transactions=[
        {"TransactionalId": of, "ProducerId": who[0], "ProducerEpoch": who[1], "VerifyOnly": verify, "Topics": _topics(partitions)}])


def _topics(partitions):
    names = dict.fromkeys(name for name, _ in partitions)
    return [{"Name": name, "Partitions": [number for of, number in partitions if of == name]} for name in names]


def write(broker, name, of, who, sequence, version=9, partition=0, flag=batch.TRANSACTIONAL, count=1):
    one = batch.batch(*[b"v"] * count, producer=(*who, sequence), attributes=flag, timestamp=now())
    return broker.ask("Produce", version, Acks=-1, TimeoutMs=5000, TransactionalId=of, TopicData=produced(name, one, partition=partition))


def commit_offset(broker, name, of, of_group, who, version=3, offset=7, partition=0, **more):
    return broker.ask("TxnOffsetCommit", version, TransactionalId=of, GroupId=of_group, ProducerId=who[0], ProducerEpoch=who[1], **more, Topics=[
        {"Name": name, "Partitions": [{"PartitionIndex": partition, "CommittedOffset": offset, "CommittedMetadata": "m", "CommittedLeaderEpoch": 0}]}])


def end(broker, of, who, commit=COMMIT, version=3):
    found = broker.ask("EndTxn", version, TransactionalId=of, ProducerId=who[0], ProducerEpoch=who[1], Committed=commit)
    settled(broker, of)
    return found


def settled(broker, of):
    """Waits until no marker is under way, so that the next question has one answer."""
    broker.until("the end of the transaction", lambda: broker.quiet("DescribeTransactions", 0, TransactionalIds=[of])
                 .TransactionStates[0].TransactionState not in ("PrepareCommit", "PrepareAbort", "PrepareEpochFence"))


def described(broker, *of):
    return broker.ask("DescribeTransactions", 0, TransactionalIds=list(of))


def look(broker, name, level=1, offset=0, keep=None):
    """What a reader of committed records gets, and what lies there."""
    broker.ask("Fetch", 12, keep=keep, MaxWaitMs=0, MinBytes=0, IsolationLevel=level, Topics=fetched(name, offset))


def ends(broker, name):
    for level in (0, 1):
        broker.ask("ListOffsets", 7, ReplicaId=-1, IsolationLevel=level, Topics=[{"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}])


def begun(broker, old=True):
    """A transaction that has one partition and one record; gives topic, transactional id and producer."""
    name, of = topic(broker), own(broker)
    who = producer(broker, of)
    if old:
        broker.quiet("AddPartitionsToTxn", 3, V3AndBelowTransactionalId=of, V3AndBelowProducerId=who[0], V3AndBelowProducerEpoch=who[1],
                     V3AndBelowTopics=[{"Name": name, "Partitions": [0]}])
    one = batch.batch(b"v", producer=(*who, 0), attributes=batch.TRANSACTIONAL, timestamp=now())
    found = broker.quiet("Produce", 9 if old else 12, Acks=-1, TimeoutMs=5000, TransactionalId=of, TopicData=produced(name, one))
    if found.Responses[0].PartitionResponses[0].ErrorCode:
        raise ValueError("the record was refused: %d" % found.Responses[0].PartitionResponses[0].ErrorCode)
    return name, of, who
