"""CreateTopics, CreatePartitions, DeleteTopics: every kind of mistake, at the versions where the answer has a shape of its own."""
from arrange import CREATE_MS, produced, ready, topic, topic_id, version_range
from cases import case, cases
from cases.metadata import BAD_NAMES, UNKNOWN_ID

FORMS = (2, 4, 5, 6, 7)


def create(broker, *topics, version=7, **fields):
    fields = {"TimeoutMs": CREATE_MS, **fields}
    return broker.ask("CreateTopics", version, Topics=[dict({"NumPartitions": 1, "ReplicationFactor": 1}, **it) for it in topics], **fields)


def configs(**pairs):
    return [{"Name": key.replace("_", "."), "Value": value} for key, value in pairs.items()]


@cases({version: version for version in version_range("CreateTopics")})
def created(broker, version):
    name = broker.case.topic
    create(broker, {"Name": name, "Configs": configs(retention_ms="1000")}, version=version)
    create(broker, {"Name": name}, version=version)


@cases({version: version for version in FORMS})
def only_validated(broker, version):
    name = broker.case.topic
    create(broker, {"Name": name, "NumPartitions": 3, "Configs": configs(cleanup_policy="compact")}, version=version, ValidateOnly=True)
    broker.ask("Metadata", 12, Topics=[{"Name": name}], AllowAutoTopicCreation=False)


@cases(dict(BAD_NAMES, **{"internal": "__consumer_offsets", "transactions": "__transaction_state", "metadata": "__cluster_metadata",
                          "share": "__share_group_state", "underscores": "__mine"}))
def named(broker, name):
    create(broker, {"Name": name}, version=7, ValidateOnly=True)
    create(broker, {"Name": name}, version=2, ValidateOnly=True)


@cases({"dot-then-underscore": ("a.b", "a_b"), "underscore-then-dot": ("c_d", "c.d"), "case": ("twin", "TWIN")})
def collides(broker, first, second):
    create(broker, {"Name": "collides." + first})
    create(broker, {"Name": "collides." + second})
    create(broker, {"Name": "collides_" + second})


@cases({"partitions-0": (0, 1), "partitions-minus-1": (-1, 1), "partitions-minus-2": (-2, 1), "factor-0": (1, 0), "factor-2": (1, 2),
        "factor-minus-1": (1, -1), "factor-minus-2": (1, -2), "both-default": (-1, -1), "both-wrong": (0, 0), "factor-32767": (1, 32767)})
def counts(broker, partitions, factor):
    for version in (2, 4, 7):
        create(broker, {"Name": broker.case.topic, "NumPartitions": partitions, "ReplicationFactor": factor}, version=version, ValidateOnly=True)


@cases({"one": [(0, [0])], "two": [(0, [0]), (1, [0])], "gap": [(0, [0]), (2, [0])], "from-one": [(1, [0])], "twice": [(0, [0]), (0, [0])],
        "unknown-broker": [(0, [7])], "no-replicas": [(0, [])], "replica-twice": [(0, [0, 0])], "negative-broker": [(0, [-1])],
        "negative-partition": [(-1, [0])]})
def assigned(broker, partitions):
    rows = [{"PartitionIndex": number, "BrokerIds": brokers} for number, brokers in partitions]
    for counts in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        create(broker, {"Name": broker.case.topic, "NumPartitions": counts[0], "ReplicationFactor": counts[1], "Assignments": rows}, ValidateOnly=True)


BAD_CONFIGS = {
    "unknown": {"no.such.key": "1"}, "near": {"retention.mss": "1"}, "broker-key": {"log.retention.ms": "1"}, "null": {"retention.ms": None},
    "empty-number": {"retention.ms": ""}, "word-for-number": {"retention.ms": "soon"}, "retention-minus-2": {"retention.ms": "-2"},
    "retention-minus-1": {"retention.ms": "-1"}, "too-big": {"retention.ms": "9223372036854775808"}, "spaces": {"retention.ms": " 5 "},
    "policy": {"cleanup.policy": "keep"}, "policy-empty": {"cleanup.policy": ""}, "policy-both": {"cleanup.policy": "compact,delete"},
    "policy-spaces": {"cleanup.policy": "compact, delete"}, "policy-twice": {"cleanup.policy": "delete,delete"}, "policy-upper": {"cleanup.policy": "COMPACT"},
    "policy-one-wrong": {"cleanup.policy": "compact,keep"}, "compression": {"compression.type": "brotli"}, "compression-upper": {"compression.type": "GZIP"},
    "bool": {"preallocate": "yes"}, "bool-upper": {"preallocate": "TRUE"}, "ratio": {"min.cleanable.dirty.ratio": "1.5"},
    "ratio-word": {"min.cleanable.dirty.ratio": "half"}, "segment-small": {"segment.bytes": "1048575"}, "segment-bound": {"segment.bytes": "1048576"},
    "segment-negative": {"segment.bytes": "-1"}, "segment-ms-0": {"segment.ms": "0"}, "max-message": {"max.message.bytes": "-1"}, "max-message-0": {"max.message.bytes": "0"},
    "timestamp-type": {"message.timestamp.type": "Now"}, "timestamp-type-case": {"message.timestamp.type": "createtime"},
    "before-negative": {"message.timestamp.before.max.ms": "-1"}, "flush-0": {"flush.messages": "0"}, "flush-ms-negative": {"flush.ms": "-1"},
    "isr-0": {"min.insync.replicas": "0"}, "isr-2": {"min.insync.replicas": "2"}, "lag": {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"},
    "max-lag-0": {"max.compaction.lag.ms": "0"}, "index-interval": {"index.interval.bytes": "-1"}, "index-bytes": {"segment.index.bytes": "3"},
    "throttled": {"leader.replication.throttled.replicas": "0:0,1:1"}, "throttled-star": {"follower.replication.throttled.replicas": "*"},
    "throttled-wrong": {"leader.replication.throttled.replicas": "zero"}, "remote": {"remote.storage.enable": "true"},
    "remote-off": {"remote.storage.enable": "false"}, "local-retention": {"local.retention.ms": "10", "retention.ms": "5"},
    "level-gzip": {"compression.gzip.level": "10"}, "level-gzip-0": {"compression.gzip.level": "0"}, "level-gzip-minus-1": {"compression.gzip.level": "-1"},
    "level-lz4": {"compression.lz4.level": "18"}, "level-zstd": {"compression.zstd.level": "23"}, "format": {"message.format.version": "2.8"},
    "downconversion": {"message.downconversion.enable": "false"}, "two-wrong": {"retention.ms": "x", "segment.bytes": "1"},
    "file-delete-delay": {"file.delete.delay.ms": "-1"}, "unclean": {"unclean.leader.election.enable": "true"}, "jitter": {"segment.jitter.ms": "-1"},
    "remote-copy": {"remote.log.copy.disable": "true"}, "remote-delete": {"remote.log.delete.on.disable": "true"},
}


@cases(BAD_CONFIGS)
def configured(broker, pairs):
    rows = [{"Name": key, "Value": value} for key, value in pairs.items()]
    create(broker, {"Name": broker.case.topic, "Configs": rows}, ValidateOnly=True)
    create(broker, {"Name": broker.case.topic, "Configs": rows}, ValidateOnly=True, version=4)


@case
def configured_twice(broker):
    create(broker, {"Name": broker.case.topic, "Configs": configs(retention_ms="1") + configs(retention_ms="2")})


@case
def twice_in_one_request(broker):
    name = broker.case.topic
    create(broker, {"Name": name}, {"Name": name})
    create(broker, {"Name": name}, {"Name": name + "-other"}, {"Name": name, "NumPartitions": 2})
    broker.ask("Metadata", 12, Topics=[{"Name": name}, {"Name": name + "-other"}], AllowAutoTopicCreation=False)


@case
def some_good_some_bad(broker):
    name = broker.case.topic
    create(broker, {"Name": name}, {"Name": "a b"}, {"Name": name + "-2", "NumPartitions": 0}, {"Name": name + "-3", "Configs": configs(no_such="1")})


@case
def none(broker):
    create(broker)
    broker.ask("DeleteTopics", 5, TopicNames=[], TimeoutMs=1000)
    broker.ask("DeleteTopics", 6, Topics=[], TimeoutMs=1000)
    broker.ask("CreatePartitions", 3, Topics=[], TimeoutMs=1000)


@cases({"0": 0, "minus-1": -1, "1": 1})
def create_timeout(broker, timeout):
    """Too short a time is no error where the work was quicker; what is made stays made."""
    name = topic(broker)
    create(broker, {"Name": name}, TimeoutMs=timeout)


# -- CreatePartitions


def grow(broker, *topics, version=3, **fields):
    topics = [dict({"Assignments": None}, **it) for it in topics]
    return broker.ask("CreatePartitions", version, TimeoutMs=CREATE_MS, Topics=topics, **fields)


@cases({version: version for version in version_range("CreatePartitions")})
def grown(broker, version):
    name = topic(broker)
    grow(broker, {"Name": name, "Count": 3}, version=version)
    ready(broker, name, 3)
    broker.ask("Metadata", 12, Topics=[{"Name": name}])


@cases({"same": 2, "fewer": 1, "zero": 0, "negative": -1, "many": 2_000_000_000})
def grown_to(broker, count):
    name = topic(broker, partitions=2)
    grow(broker, {"Name": name, "Count": count}, version=3, ValidateOnly=True)
    grow(broker, {"Name": name, "Count": count}, version=0, ValidateOnly=True)


@case
def grown_unknown(broker):
    grow(broker, {"Name": "no-such", "Count": 3})
    grow(broker, {"Name": "", "Count": 3}, {"Name": "a b", "Count": 3})
    grow(broker, {"Name": "__consumer_offsets", "Count": 5}, ValidateOnly=True)


@case
def grown_twice_in_one_request(broker):
    name = topic(broker)
    grow(broker, {"Name": name, "Count": 3}, {"Name": name, "Count": 4})
    grow(broker, {"Name": name, "Count": 2}, {"Name": "no-such", "Count": 4})


@cases({"right": [[0], [0]], "too-few": [[0]], "too-many": [[0], [0], [0]], "unknown-broker": [[0], [9]], "empty": [[0], []],
        "twice": [[0], [0, 0]], "none": []})
def grown_assigned(broker, brokers):
    name = topic(broker)
    grow(broker, {"Name": name, "Count": 3, "Assignments": [{"BrokerIds": it} for it in brokers]}, ValidateOnly=True)


# -- DeleteTopics


@cases({version: version for version in version_range("DeleteTopics")})
def deleted(broker, version):
    name = topic(broker)
    asked = {"TopicNames": [name]} if version < 6 else {"Topics": [{"Name": name}]}
    broker.ask("DeleteTopics", version, TimeoutMs=CREATE_MS, **asked)
    broker.ask("DeleteTopics", version, TimeoutMs=CREATE_MS, **asked)
    broker.ask("Metadata", 12, Topics=[{"Name": name}], AllowAutoTopicCreation=False)


@case
def deleted_by_id(broker):
    name = topic(broker)
    known = topic_id(broker, name)
    broker.ask("Metadata", 12, Topics=[{"Name": name}])
    delete = lambda *topics: broker.ask("DeleteTopics", 6, TimeoutMs=CREATE_MS, Topics=list(topics))
    delete({"Name": None, "TopicId": UNKNOWN_ID})
    delete({"Name": name, "TopicId": known})
    delete({"Name": None})
    delete({"Name": None, "TopicId": known}, {"Name": name})
    delete({"Name": None, "TopicId": known}, {"Name": None, "TopicId": known})
    delete({"Name": None, "TopicId": known})
    delete({"Name": None, "TopicId": known})


@case
def deleted_twice_in_one_request(broker):
    name = topic(broker)
    broker.ask("DeleteTopics", 5, TimeoutMs=CREATE_MS, TopicNames=[name, name, "no-such"])
    broker.ask("DeleteTopics", 6, TimeoutMs=CREATE_MS, Topics=[{"Name": name}, {"Name": name}])


@cases(BAD_NAMES)
def deleted_name(broker, name):
    broker.ask("DeleteTopics", 5, TimeoutMs=CREATE_MS, TopicNames=[name])
    broker.ask("DeleteTopics", 6, TimeoutMs=CREATE_MS, Topics=[{"Name": name}])


@case
def deleted_then_used(broker):
    """What clients that do not know it yet are told."""
    name = topic(broker)
    known = topic_id(broker, name)
    broker.ask("DeleteTopics", 5, TimeoutMs=CREATE_MS, TopicNames=[name])
    broker.until("deletion", lambda: broker.quiet("ListOffsets", 7, ReplicaId=-1, Topics=[
        {"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]).Topics[0].Partitions[0].ErrorCode == 3)
    broker.ask("Produce", 9, Acks=1, TimeoutMs=1000, TopicData=produced(name, b""))
    broker.ask("Fetch", 12, MaxWaitMs=0, MinBytes=0, Topics=[{"Topic": name, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 100}]}])
    broker.ask("Fetch", 13, MaxWaitMs=0, MinBytes=0, Topics=[{"TopicId": known, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 100}]}])
    topic(broker)
    broker.ask("Fetch", 13, MaxWaitMs=0, MinBytes=0, Topics=[{"TopicId": known, "Partitions": [{"Partition": 0, "PartitionMaxBytes": 100}]}])
