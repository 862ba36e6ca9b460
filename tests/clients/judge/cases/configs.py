"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: values, synonyms, documentation, and every kind of mistake."""
from arrange import topic, version_range
from cases import case, cases
from cases.topics import BAD_CONFIGS

UNKNOWN, TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 0, 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
SHOWN = ["cleanup.policy", "retention.ms", "segment.bytes", "compression.type", "max.message.bytes", "min.insync.replicas", "flush.messages",
         "message.timestamp.type", "leader.replication.throttled.replicas", "unclean.leader.election.enable"]


def described(kind, name, keys=None):
    return [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}]


@cases({version: version for version in version_range("DescribeConfigs")})
def of_topic(broker, version):
    name = topic(broker, retention_ms=1000, cleanup_policy="compact")
    broker.ask("DescribeConfigs", version, Resources=described(TOPIC, name, SHOWN), IncludeSynonyms=True)
    broker.ask("DescribeConfigs", version, Resources=described(TOPIC, name, ["retention.ms", "no.such", "retention.ms"]))
    broker.ask("DescribeConfigs", version, Resources=described(TOPIC, name, []))


@case
def of_topic_whole(broker):
    """Every key, with type, source and synonyms."""
    name = topic(broker)
    broker.ask("DescribeConfigs", 4, Resources=described(TOPIC, name), IncludeSynonyms=True)


@case
def of_topic_documented(broker):
    """Each key has its words."""
    name = topic(broker)

    def kept(found):
        return {it.Name: (it.ConfigType, bool(it.Documentation)) for it in found.Results[0].Configs}
    broker.ask("DescribeConfigs", 4, Resources=described(TOPIC, name), IncludeDocumentation=True, keep=kept)


BROKER_KEYS = ["log.retention.ms", "log.retention.minutes", "log.retention.hours", "log.segment.bytes", "num.partitions", "compression.type",
               "message.max.bytes", "auto.create.topics.enable", "min.insync.replicas", "default.replication.factor", "log.cleaner.enable",
               "offsets.topic.num.partitions", "group.initial.rebalance.delay.ms", "transactional.id.expiration.ms", "log.cleanup.policy",
               "offsets.retention.minutes", "num.io.threads", "num.network.threads", "unclean.leader.election.enable", "node.id"]


@cases({key: key for key in BROKER_KEYS})
def of_broker(broker, key):
    broker.ask("DescribeConfigs", 4, Resources=described(BROKER, "0", [key]), IncludeSynonyms=True)


@cases({"topic": (TOPIC, "no-such"), "topic-empty": (TOPIC, ""), "topic-bad": (TOPIC, "a b"), "broker": (BROKER, "7"), "broker-word": (BROKER, "first"),
        "broker-default": (BROKER, ""), "unknown": (UNKNOWN, "x"), "kind-99": (99, "x"), "client-metrics": (CLIENT_METRICS, "none"),
        "client-metrics-empty": (CLIENT_METRICS, ""), "logger-other": (LOGGER, "7"), "logger-word": (LOGGER, "x")})
def of_nothing(broker, kind, name):
    broker.ask("DescribeConfigs", 4, Resources=described(kind, name, ["x"]))
    broker.ask("DescribeConfigs", 1, Resources=described(kind, name, ["x"]))


@cases({"unset": "", "set": "consumer.session.timeout.ms"})
def of_group(broker, key):
    name = broker.case.topic
    if key:
        alter(broker, GROUP, name, (key, SET, "50000"))
    broker.ask("DescribeConfigs", 4, Resources=described(GROUP, name), IncludeSynonyms=True)
    broker.ask("DescribeConfigs", 4, Resources=described(GROUP, ""), IncludeSynonyms=True)


def alter(broker, kind, name, *rows, validate=False, version=1):
    rows = [{"Name": key, "ConfigOperation": operation, "Value": value} for key, operation, value in rows]
    broker.ask("IncrementalAlterConfigs", version, ValidateOnly=validate,
               Resources=[{"ResourceType": kind, "ResourceName": name, "Configs": rows}])


def show(broker, name, *keys):
    """Behind a change that can be seen: metadata arrive in order."""
    keys_seen = described(TOPIC, name, ["file.delete.delay.ms"])
    before = broker.quiet("DescribeConfigs", 4, Resources=keys_seen).Results[0].Configs[0].Value
    broker.quiet("IncrementalAlterConfigs", 1, Resources=[{"ResourceType": TOPIC, "ResourceName": name, "Configs": [
        {"Name": "file.delete.delay.ms", "ConfigOperation": SET, "Value": str(int(before) + 1)}]}])
    broker.until("the change", lambda: broker.quiet("DescribeConfigs", 4, Resources=keys_seen).Results[0].Configs[0].Value != before)
    broker.ask("DescribeConfigs", 4, Resources=described(TOPIC, name, list(keys) or None), IncludeSynonyms=True)


@cases(BAD_CONFIGS)
def altered_wrongly(broker, pairs):
    """As with CreateTopics, but through another way in."""
    alter(broker, TOPIC, topic(broker), *[(key, SET, value) for key, value in pairs.items()], validate=True)


@cases(BAD_CONFIGS)
def replaced_wrongly(broker, pairs):
    """And through the old one."""
    rows = [{"Name": key, "Value": value} for key, value in pairs.items()]
    broker.ask("AlterConfigs", 2, ValidateOnly=True, Resources=[{"ResourceType": TOPIC, "ResourceName": topic(broker), "Configs": rows}])


@cases({version: version for version in (0, 1)})
def altered_step_by_step(broker, version):
    name = topic(broker)
    keys = "retention.ms", "cleanup.policy"
    alter(broker, TOPIC, name, ("retention.ms", SET, "1000"), version=version)
    show(broker, name, *keys)
    alter(broker, TOPIC, name, ("cleanup.policy", APPEND, "compact"), version=version)
    show(broker, name, *keys)
    alter(broker, TOPIC, name, ("cleanup.policy", APPEND, "compact"), ("retention.ms", DELETE, None), version=version)
    show(broker, name, *keys)
    alter(broker, TOPIC, name, ("cleanup.policy", SUBTRACT, "delete"), version=version)
    show(broker, name, *keys)
    alter(broker, TOPIC, name, ("cleanup.policy", SUBTRACT, "delete"), version=version)
    alter(broker, TOPIC, name, ("cleanup.policy", SUBTRACT, "compact"), version=version)
    show(broker, name, *keys)
    alter(broker, TOPIC, name, ("cleanup.policy", DELETE, None), version=version)
    show(broker, name, *keys)


@cases({"append-to-number": ("retention.ms", APPEND, "1"), "subtract-from-number": ("retention.ms", SUBTRACT, "1"), "operation-9": ("retention.ms", 9, "1"),
        "operation-minus-1": ("retention.ms", -1, "1"), "delete-unknown": ("no.such", DELETE, None), "delete-unset": ("retention.ms", DELETE, None),
        "delete-with-value": ("retention.ms", DELETE, "7"), "empty-key": ("", SET, "1"), "set-null": ("retention.ms", SET, None),
        "append-null": ("cleanup.policy", APPEND, None), "append-empty": ("cleanup.policy", APPEND, "")})
def odd_step(broker, *row):
    name = topic(broker)
    alter(broker, TOPIC, name, row)
    show(broker, name, "retention.ms", "cleanup.policy")


@case
def same_key_twice(broker):
    name = topic(broker)
    alter(broker, TOPIC, name, ("retention.ms", SET, "1"), ("retention.ms", SET, "2"))
    alter(broker, TOPIC, name, ("retention.ms", SET, "1"), ("retention.ms", DELETE, None))
    show(broker, name, "retention.ms")


@case
def same_resource_twice(broker):
    name = topic(broker)
    one = {"ResourceType": TOPIC, "ResourceName": name, "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "5"}]}
    broker.ask("IncrementalAlterConfigs", 1, Resources=[one, one])
    broker.ask("IncrementalAlterConfigs", 1, Resources=[])
    show(broker, name, "retention.ms")


@cases({"topic": (TOPIC, "no-such"), "topic-empty": (TOPIC, ""), "broker": (BROKER, "7"), "broker-word": (BROKER, "x"), "unknown": (UNKNOWN, "x"),
        "kind-99": (99, "x"), "group-empty": (GROUP, ""), "client-metrics-empty": (CLIENT_METRICS, ""), "logger": (LOGGER, "7")})
def alter_nothing(broker, kind, name):
    alter(broker, kind, name, ("retention.ms", SET, "1"))


@cases({"topic": (TOPIC, "no-such"), "topic-empty": (TOPIC, ""), "broker": (BROKER, "7"), "broker-word": (BROKER, "x"), "unknown": (UNKNOWN, "x"),
        "kind-99": (99, "x"), "group-empty": (GROUP, ""), "client-metrics-empty": (CLIENT_METRICS, ""), "logger": (LOGGER, "7")})
def replace_nothing(broker, kind, name):
    broker.ask("AlterConfigs", 2, Resources=[{"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": "retention.ms", "Value": "1"}]}])


@cases({version: version for version in version_range("AlterConfigs")})
def replaced(broker, version):
    """AlterConfigs: what is not named is gone."""
    name = topic(broker, retention_ms=5)
    broker.ask("AlterConfigs", version, Resources=[{"ResourceType": TOPIC, "ResourceName": name, "Configs": [{"Name": "segment.ms", "Value": "77"}]}])
    show(broker, name, "retention.ms", "segment.ms")


@cases({"dynamic": ("log.cleaner.threads", "2"), "read-only": ("node.id", "2"), "unknown": ("no.such", "2"), "wrong": ("log.cleaner.threads", "many"),
        "retention": ("log.retention.ms", "100000000"), "topic-key": ("retention.ms", "1"), "num-partitions": ("num.partitions", "2"),
        "listeners": ("listeners", "PLAINTEXT://127.0.0.1:1")})
def broker_keys(broker, key, value):
    """Of one broker and of all; what is changed is changed back."""
    for name in ("0", ""):
        alter(broker, BROKER, name, (key, SET, value), validate=True)


@cases({"session": ("consumer.session.timeout.ms", "50000"), "session-small": ("consumer.session.timeout.ms", "1"), "unknown": ("no.such", "1"),
        "heartbeat-word": ("consumer.heartbeat.interval.ms", "x"), "heartbeat": ("consumer.heartbeat.interval.ms", "6000"),
        "heartbeat-big": ("consumer.heartbeat.interval.ms", "60000")})
def group_keys(broker, key, value):
    alter(broker, GROUP, broker.case.topic, (key, SET, value))
    broker.ask("DescribeConfigs", 4, Resources=described(GROUP, broker.case.topic, [key]), IncludeSynonyms=True)


@cases({version: version for version in (0, 1)})
def listed(broker, version):
    name = topic(broker)
    alter(broker, TOPIC, name, ("retention.ms", SET, "9999"))

    def kept(found):
        return {"ErrorCode": found.ErrorCode, "it": [it for it in found.ConfigResources if it.ResourceName in (name, "0")]}
    broker.ask("ListConfigResources", version, ResourceTypes=[TOPIC], keep=kept)
    broker.ask("ListConfigResources", version, ResourceTypes=[], keep=kept)
    broker.ask("ListConfigResources", version, ResourceTypes=[BROKER], keep=kept)
    broker.ask("ListConfigResources", version, ResourceTypes=[99], keep=kept)
