"""What cases need before they ask: topics, records, coordinators, producers. Nothing of it stands in the transcript."""
import batch
import codec
import schema
from broker import Unanswered

CREATE_MS = 15_000
LOADING = (14, 15, 16)  # COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR
GROUP, TRANSACTION = 0, 1


def topic(broker, suffix="", partitions=1, **configs):
    """Makes a topic named after the case, with configurations whose dots are written as underscores; gives its name."""
    name = broker.case.topic + suffix
    configs = [{"Name": key.replace("_", "."), "Value": str(value)} for key, value in configs.items()]
    made = broker.quiet("CreateTopics", 7, TimeoutMs=CREATE_MS, Topics=[
        {"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": configs}])
    if made.Topics[0].ErrorCode:
        raise Unanswered("the topic was refused: %s %s" % (made.Topics[0].ErrorCode, made.Topics[0].ErrorMessage))
    ready(broker, name, partitions)
    return name


def ready(broker, name, partitions=1):
    """Waits until every partition answers."""
    wanted = [{"PartitionIndex": n, "Timestamp": -1} for n in range(partitions)]

    def answers():
        found = broker.quiet("ListOffsets", 7, ReplicaId=-1, Topics=[{"Name": name, "Partitions": wanted}])
        return all(it.ErrorCode == 0 for it in found.Topics[0].Partitions)
    broker.until("the partitions of " + name, answers)


def topic_id(broker, name):
    return broker.quiet("Metadata", 12, Topics=[{"Name": name}], AllowAutoTopicCreation=False).Topics[0].TopicId


def produced(name, *batches, partition=0):
    """The topics of a Produce request below version 13: one partition with these batches."""
    return [{"Name": name, "PartitionData": [{"Index": partition, "Records": b"".join(batches)}]}]


def append(broker, name, *batches, partition=0, version=9, transactional_id=None):
    """Writes batches, one request for each; gives the base offsets."""
    offsets = []
    for one in batches:
        found = broker.quiet("Produce", version, Acks=-1, TimeoutMs=5000, TransactionalId=transactional_id,
                             TopicData=produced(name, one, partition=partition))
        answer = found.Responses[0].PartitionResponses[0]
        if answer.ErrorCode:
            raise Unanswered("records were refused: %d" % answer.ErrorCode)
        offsets.append(answer.BaseOffset)
    return offsets


def values(broker, name, *all_values, partition=0, **how):
    """Writes a batch of one record for each value."""
    return append(broker, name, *[batch.batch(it, **how) for it in all_values], partition=partition)


def fetched(name, offset=0, partition=0, bytes_max=1 << 20, epoch=-1, **more):
    """The topics of a Fetch request below version 13."""
    return [{"Topic": name, "Partitions": [{"Partition": partition, "FetchOffset": offset, "CurrentLeaderEpoch": epoch,
                                            "PartitionMaxBytes": bytes_max, **more}]}]


def coordinator(broker, key, kind=GROUP):
    """Waits until the coordinator of a group or a transactional id answers."""
    def answers():
        found = broker.quiet("FindCoordinator", 4, KeyType=kind, CoordinatorKeys=[key])
        if found.Coordinators[0].ErrorCode:
            if found.Coordinators[0].ErrorCode not in LOADING:
                raise Unanswered("no coordinator: %s" % found.Coordinators[0].ErrorMessage)
            return False
        if kind == GROUP:
            return broker.quiet("OffsetFetch", 5, GroupId=key, Topics=None).ErrorCode not in LOADING
        return broker.quiet("DescribeTransactions", 0, TransactionalIds=[key]).TransactionStates[0].ErrorCode not in LOADING
    broker.until("the coordinator of " + key, answers)
    return key


def group(broker, suffix=""):
    """A group's name, after the case, whose coordinator is there."""
    return coordinator(broker, broker.case.topic + suffix)


def producer(broker, transactional_id=None, timeout_ms=60_000, version=4, **more):
    """Id and epoch of a producer."""
    def answers():
        found = broker.quiet("InitProducerId", version, TransactionalId=transactional_id, TransactionTimeoutMs=timeout_ms, **more)
        return None if found.ErrorCode in (*LOADING, 51) else found
    found = broker.until("a producer id", answers)
    if found.ErrorCode:
        raise Unanswered("no producer id: %d" % found.ErrorCode)
    return found.ProducerId, found.ProducerEpoch


def version_range(api, low=None):
    """Every version of an API that Kafka 4.3.1 serves, from `low` on."""
    bounds = schema.apis()[api].valid
    return range(bounds[0] if low is None else low, bounds[1] + 1)


def frame(api_key, version, body=b"", correlation=1, flexible=False, client=b"judge"):
    """A frame with a header of any numbers."""
    head = codec.encode("RequestHeader", 1, {"RequestApiKey": api_key, "RequestApiVersion": version, "CorrelationId": correlation,
                                             "ClientId": client})
    return head + (b"\0" if flexible else b"") + body
