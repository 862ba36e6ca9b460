"""DeleteRecords, log directories, quotas, features, the quorum, elections, reassignments, and what needs an authorizer."""
import batch
from arrange import append, fetched, topic, version_range
from cases import case, cases

ASKED_OFFSETS = {"0": 0, "2": 2, "middle-of-batch": 4, "end": 6, "one-past": 7, "high-watermark": -1, "minus-2": -2, "max": 2**63 - 1}


def filled(broker, **configs):
    """Offsets 0-2, 3-4 and 5; the records are old, and no retention may come between."""
    name = topic(broker, retention_ms=-1, **configs)
    append(broker, name, batch.batch(b"a", b"b", b"c"), batch.batch(b"d", b"e"), batch.batch(b"f"))
    return name


def delete_records(broker, name, offset, version=2, partition=0):
    return broker.ask("DeleteRecords", version, TimeoutMs=5000, Topics=[{"Name": name, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}])


@cases(ASKED_OFFSETS)
def records_deleted(broker, offset):
    name = filled(broker)
    delete_records(broker, name, offset)
    for timestamp in (-2, -1, batch.TIMESTAMP):
        broker.ask("ListOffsets", 7, ReplicaId=-1, Topics=[{"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": timestamp}]}])
    for at in (0, 2, 3, 4, 6):
        broker.ask("Fetch", 12, MaxWaitMs=0, MinBytes=0, Topics=fetched(name, at))
    delete_records(broker, name, 1)
    delete_records(broker, name, -1)


@cases({version: version for version in version_range("DeleteRecords")})
def records_deleted_of(broker, version):
    name = filled(broker)
    delete_records(broker, name, 1, version)
    delete_records(broker, name, 1, version, 5)
    delete_records(broker, name, 1, version, -1)
    delete_records(broker, "no-such", 1, version)
    delete_records(broker, "", 1, version)
    broker.ask("DeleteRecords", version, TimeoutMs=5000, Topics=[])


@cases({"compact": "compact", "both": "compact,delete", "delete": "delete"})
def records_deleted_by_policy(broker, policy):
    name = filled(broker, cleanup_policy=policy)
    delete_records(broker, name, 3)


@case
def records_deleted_of_internal(broker):
    delete_records(broker, "__consumer_offsets", 0)


@cases({version: version for version in version_range("DescribeLogDirs")})
def log_directories(broker, version):
    name = filled(broker)
    broker.ask("DescribeLogDirs", version, Topics=[{"Topic": name, "Partitions": [0, 5]}])
    broker.ask("DescribeLogDirs", version, Topics=[{"Topic": "no-such", "Partitions": [0]}])
    broker.ask("DescribeLogDirs", version, Topics=[])

    def kept(found):
        return [(it.Name, len(it.Partitions)) for directory in found.Results for it in directory.Topics if it.Name == name]
    broker.ask("DescribeLogDirs", version, Topics=None, keep=kept)


@case
def log_directory_altered(broker):
    name = filled(broker)
    for path in ("/no/such/directory", "relative", ""):
        broker.ask("AlterReplicaLogDirs", 2, Dirs=[{"Path": path, "Topics": [{"Name": name, "Partitions": [0, 5]}]}])


def entity(**parts):
    return [{"EntityType": kind.replace("_", "-"), "EntityName": name} for kind, name in parts.items()]


def quota(broker, who, *rows, validate=False, version=1):
    return broker.ask("AlterClientQuotas", version, ValidateOnly=validate, Entries=[
        {"Entity": who, "Ops": [{"Key": key, "Value": value or 0.0, "Remove": value is None} for key, value in rows]}])


def quotas(broker, *parts, strict=False, version=1):
    return broker.ask("DescribeClientQuotas", version, Strict=strict, Components=[
        {"EntityType": kind, "MatchType": how, "Match": match} for kind, how, match in parts])


@cases({"0": 0, "1": 1})
def quotas_of_a_client(broker, version):
    name = broker.case.topic
    quota(broker, entity(client_id=name), ("producer_byte_rate", 1e9), ("consumer_byte_rate", 2e9), version=version)
    broker.until("the quota", lambda: broker.quiet("DescribeClientQuotas", 1, Components=[{"EntityType": "client-id", "MatchType": 0, "Match": name}]).Entries)
    quotas(broker, ("client-id", 0, name), version=version)
    quotas(broker, ("client-id", 0, name), strict=True, version=version)
    quota(broker, entity(client_id=name), ("producer_byte_rate", None), ("request_percentage", 500.0), version=version)
    broker.until("the quota", lambda: any(it.Key == "request_percentage" for it in broker.quiet("DescribeClientQuotas", 1, Components=[
        {"EntityType": "client-id", "MatchType": 0, "Match": name}]).Entries[0].Values))
    quotas(broker, ("client-id", 0, name), version=version)
    quota(broker, entity(client_id=name), ("consumer_byte_rate", None), ("request_percentage", None), version=version)


@case
def quotas_of_both(broker):
    who = entity(user="judge-user", client_id="judge-client")
    quota(broker, who, ("producer_byte_rate", 1e9))
    broker.until("the quota", lambda: broker.quiet("DescribeClientQuotas", 1, Components=[{"EntityType": "user", "MatchType": 0, "Match": "judge-user"}]).Entries)
    quotas(broker, ("user", 0, "judge-user"))
    quotas(broker, ("user", 0, "judge-user"), strict=True)
    quotas(broker, ("user", 2, None), ("client-id", 0, "judge-client"))
    quotas(broker, ("user", 0, "judge-user"), ("client-id", 1, None))
    quota(broker, who, ("producer_byte_rate", None))


@cases({"unknown-key": (entity(client_id="c"), ("no_such", 1.0)), "negative": (entity(client_id="c"), ("producer_byte_rate", -1.0)),
        "zero": (entity(client_id="c"), ("producer_byte_rate", 0.0)), "fraction": (entity(client_id="c"), ("producer_byte_rate", 1.5)),
        "percent-fraction": (entity(client_id="c"), ("request_percentage", 1.5)), "nobody": ([], ("producer_byte_rate", 1.0)),
        "unknown-kind": (entity(group="g"), ("producer_byte_rate", 1.0)), "ip-bytes": (entity(ip="1.2.3.4"), ("producer_byte_rate", 1.0)),
        "ip-rate": (entity(ip="1.2.3.4"), ("connection_creation_rate", 10.0)), "ip-wrong": (entity(ip="1.2.3.400"), ("connection_creation_rate", 10.0)),
        "ip-and-user": (entity(ip="1.2.3.4", user="u"), ("connection_creation_rate", 10.0)), "user-twice": (entity(user="u") * 2, ("producer_byte_rate", 1.0)),
        "default-user": (entity(user=None), ("producer_byte_rate", 1e9)), "empty-user": (entity(user=""), ("producer_byte_rate", 1e9)),
        "remove-unset": (entity(user="u"), ("producer_byte_rate", None)), "mutation": (entity(user="u"), ("controller_mutation_rate", 1.5)),
        "infinite": (entity(user="u"), ("producer_byte_rate", float("inf"))), "none": (entity(user="u"),)})
def quota_odd(broker, who, *rows):
    quota(broker, who, *rows, validate=True)


@cases({"unknown-kind": [("group", 0, "x")], "match-9": [("user", 9, "x")], "exact-null": [("user", 0, None)], "default-with-name": [("user", 1, "x")],
        "any-with-name": [("user", 2, "x")], "same-kind-twice": [("user", 0, "x"), ("user", 0, "y")], "ip-and-user": [("ip", 2, None), ("user", 2, None)],
        "none": [], "empty-kind": [("", 0, "x")]})
def quotas_wrong(broker, parts):
    quotas(broker, *parts)
    quotas(broker, *parts, strict=True)


@cases({"unknown": ("no.such", 1, 1), "metadata-too-new": ("metadata.version", 99, 1), "metadata-down": ("metadata.version", 7, 1),
        "same": ("metadata.version", 30, 1), "kind-9": ("metadata.version", 30, 9), "kind-0": ("metadata.version", 30, 0), "zero": ("metadata.version", 0, 1),
        "negative": ("metadata.version", -1, 1), "empty": ("", 1, 1), "group-down": ("group.version", 0, 2), "transaction-new": ("transaction.version", 9, 1)})
def features(broker, name, level, kind):
    for version in (1, 2):
        broker.ask("UpdateFeatures", version, ValidateOnly=True, FeatureUpdates=[{"Feature": name, "MaxVersionLevel": level, "UpgradeType": kind}])


@case
def features_none(broker):
    broker.ask("UpdateFeatures", 2, FeatureUpdates=[])


@cases({version: version for version in version_range("DescribeQuorum")})
def quorum(broker, version):
    def kept(found):
        it = found.Topics[0].Partitions[0]
        return {"ErrorCode": it.ErrorCode, "leader": it.LeaderId, "voters": [voter.ReplicaId for voter in it.CurrentVoters], "observers": len(it.Observers)}
    broker.ask("DescribeQuorum", version, Topics=[{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}], keep=kept)
    broker.ask("DescribeQuorum", version, Topics=[{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 1}]}])
    broker.ask("DescribeQuorum", version, Topics=[{"TopicName": "other", "Partitions": [{"PartitionIndex": 0}]}])
    broker.ask("DescribeQuorum", version, Topics=[])


@cases({"preferred": 0, "unclean": 1, "2": 2})
def election(broker, kind):
    name = topic(broker)
    for version in (1, 2):
        broker.ask("ElectLeaders", version, ElectionType=kind, TimeoutMs=5000, TopicPartitions=[{"Topic": name, "Partitions": [0, 5]}, {"Topic": "no-such", "Partitions": [0]}])
    broker.ask("ElectLeaders", 0, TimeoutMs=5000, TopicPartitions=[{"Topic": name, "Partitions": [0]}])


@cases({"same": [0], "unknown": [7], "empty": [], "cancel": None, "twice": [0, 0], "negative": [-1]})
def reassignment(broker, replicas):
    name = topic(broker)
    ask = lambda version, of, partition: broker.ask("AlterPartitionReassignments", version, TimeoutMs=5000, Topics=[
        {"Name": of, "Partitions": [{"PartitionIndex": partition, "Replicas": replicas}]}])
    for version in (0, 1):
        ask(version, name, 0)
    ask(1, name, 5)
    ask(1, "no-such", 0)
    broker.ask("AlterPartitionReassignments", 1, TimeoutMs=5000, Topics=[])


@case
def reassignments_listed(broker):
    name = topic(broker)
    broker.ask("ListPartitionReassignments", 0, TimeoutMs=5000, Topics=None)
    broker.ask("ListPartitionReassignments", 0, TimeoutMs=5000, Topics=[{"Name": name, "PartitionIndexes": [0, 7]}, {"Name": "no-such", "PartitionIndexes": [0]}])
    broker.ask("ListPartitionReassignments", 0, TimeoutMs=5000, Topics=[])


@cases({version: version for version in (1, 2, 3)})
def access_control(broker, version):
    """Without an authorizer each of the three says so."""
    anything = {"ResourceTypeFilter": 1, "PatternTypeFilter": 1, "Operation": 1, "PermissionType": 1}
    one = {"ResourceType": 2, "ResourceName": "t", "ResourcePatternType": 3, "Principal": "User:a", "Host": "*", "Operation": 3, "PermissionType": 3}
    broker.ask("DescribeAcls", version, ResourceNameFilter=None, PrincipalFilter=None, HostFilter=None, **anything)
    broker.ask("CreateAcls", version, Creations=[one, dict(one, Principal="nobody")])
    broker.ask("DeleteAcls", version, Filters=[dict(anything, ResourceNameFilter=None, PrincipalFilter=None, HostFilter=None)] * 2)
    broker.ask("CreateAcls", version, Creations=[])


@case
def scram(broker):
    broker.ask("DescribeUserScramCredentials", 0, Users=None)
    broker.ask("DescribeUserScramCredentials", 0, Users=[{"Name": "no-such"}, {"Name": ""}, {"Name": "no-such"}])
    broker.ask("AlterUserScramCredentials", 0, Deletions=[{"Name": "no-such", "Mechanism": 1}], Upsertions=[])
    broker.ask("AlterUserScramCredentials", 0, Deletions=[], Upsertions=[{"Name": "", "Mechanism": 1, "Iterations": 4096, "Salt": b"s", "SaltedPassword": b"p"},
                                                                       {"Name": "u", "Mechanism": 9, "Iterations": 4096, "Salt": b"s", "SaltedPassword": b"p"},
                                                                       {"Name": "v", "Mechanism": 1, "Iterations": 1, "Salt": b"s", "SaltedPassword": b"p"}])


@cases({"0": 0, "1": 1})
def handshake(broker, version):
    """On a listener without SASL."""
    for mechanism in ("PLAIN", "SCRAM-SHA-256", ""):
        broker.ask("SaslHandshake", version, Mechanism=mechanism)


@case
def authenticate(broker):
    broker.ask("SaslAuthenticate", 2, AuthBytes=b"\0user\0password")


@case
def unregister(broker):
    broker.ask("UnregisterBroker", 0, BrokerId=99)
    broker.ask("UnregisterBroker", 0, BrokerId=-1)
