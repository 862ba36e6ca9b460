"""Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete, at every version and with every mistake."""
from arrange import coordinator, group, topic, topic_id, version_range
from cases import case, cases
from cases.groups import alone, join, leave
from cases.metadata import UNKNOWN_ID


def row(offset=5, partition=0, metadata="", epoch=-1):
    return {"PartitionIndex": partition, "CommittedOffset": offset, "CommittedLeaderEpoch": epoch, "CommittedMetadata": metadata}


def commit(broker, group_id, topic_name, *rows, version=8, generation=-1, member="", instance=None, **more):
    topics = [{"Name": topic_name, "Partitions": list(rows) or [row()]}]
    return broker.ask("OffsetCommit", version, GroupId=group_id, GenerationIdOrMemberEpoch=generation, MemberId=member, GroupInstanceId=instance,
                      Topics=topics, **more)


def committed(broker, group_id, topic_name, *partitions, version=7, member=None, epoch=-1, stable=False, everything=False):
    topics = None if everything else [{"Name": topic_name, "PartitionIndexes": list(partitions) or [0]}]
    if version < 8:
        return broker.ask("OffsetFetch", version, GroupId=group_id, Topics=topics, RequireStable=stable)
    return broker.ask("OffsetFetch", version, RequireStable=stable, Groups=[{"GroupId": group_id, "MemberId": member, "MemberEpoch": epoch, "Topics": topics}])


@cases({version: version for version in version_range("OffsetCommit") if version < 10})
def plain(broker, version):
    """By somebody who is in no group."""
    name, of = topic(broker, partitions=2), group(broker)
    commit(broker, of, name, row(5, 0, "some metadata", 3), row(7, 1), row(9, 2), row(1, -1), version=version)
    for fetch_version in (1, 5, 7, 9):
        committed(broker, of, name, 0, 1, 2, -1, version=fetch_version)
    commit(broker, of, "no-such", version=version)
    commit(broker, of, "", version=version)
    commit(broker, "", name, version=version)


@cases({version: version for version in version_range("OffsetFetch") if version < 10})
def read(broker, version):
    name, of = topic(broker, partitions=2), group(broker)
    commit(broker, of, name, row(5, 0, "m", 0))
    committed(broker, of, name, 0, 1, 5, version=version)
    committed(broker, of, "no-such", 0, version=version)
    committed(broker, "no-such-group", name, 0, version=version)
    committed(broker, "", name, 0, version=version)
    if version >= 2:
        committed(broker, of, name, version=version, everything=True)
        committed(broker, "no-such-group", name, version=version, everything=True)
    if version >= 7:
        committed(broker, of, name, version=version, stable=True)


@case
def by_id(broker):
    """Version 10 knows topics by their ids."""
    name, of = topic(broker), group(broker)
    broker.ask("Metadata", 12, Topics=[{"Name": name}])
    for known in (topic_id(broker, name), UNKNOWN_ID):
        broker.ask("OffsetCommit", 10, GroupId=of, GenerationIdOrMemberEpoch=-1, Topics=[{"TopicId": known, "Partitions": [row(), row(partition=7)]}])
        broker.ask("OffsetFetch", 10, Groups=[{"GroupId": of, "MemberEpoch": -1, "Topics": [{"TopicId": known, "PartitionIndexes": [0, 7]}]}])
    broker.ask("OffsetFetch", 10, Groups=[{"GroupId": of, "MemberEpoch": -1, "Topics": None}])


@cases({"empty": "", "at": "x" * 4096, "one-past": "x" * 4097, "null": None, "unicode": "größe 北京"})
def metadata(broker, text):
    """offset.metadata.max.bytes counts characters."""
    name, of = topic(broker), group(broker)
    commit(broker, of, name, row(5, 0, text))
    commit(broker, of, name, row(5, 0, text), version=2)
    committed(broker, of, name)


@cases({"zero": 0, "negative": -1, "minus-2": -2, "max": 2**63 - 1})
def offset(broker, value):
    name, of = topic(broker), group(broker)
    commit(broker, of, name, row(value))
    committed(broker, of, name)


@cases({version: version for version in version_range("OffsetCommit") if version < 10})
def as_member(broker, version):
    name, of = topic(broker), group(broker)
    generation, member = alone(broker, of)
    commit(broker, of, name, row(1), version=version, generation=generation, member=member)
    commit(broker, of, name, row(2), version=version, generation=generation + 1, member=member)
    commit(broker, of, name, row(3), version=version, generation=generation, member="other")
    commit(broker, of, name, row(4), version=version, generation=-1, member="")
    commit(broker, of, name, row(5), version=version, generation=-1, member=member)
    committed(broker, of, name)
    leave(broker, of, member)
    commit(broker, of, name, row(6), version=version, generation=generation, member=member)
    commit(broker, of, name, row(7), version=version, generation=-1, member="")
    committed(broker, of, name)


@case
def as_static_member(broker):
    name, of = topic(broker), group(broker)
    generation, member = alone(broker, of, instance="one")
    for instance, who in (("one", member), ("one", "other"), ("two", member), (None, member)):
        commit(broker, of, name, row(), generation=generation, member=who, instance=instance)


@case
def before_assignments(broker):
    """While the leader is about to hand out, and while nobody has joined."""
    name, of = topic(broker), group(broker)
    found = join(broker, of, version=3)
    commit(broker, of, name, generation=found.GenerationId, member=found.MemberId)
    commit(broker, of + "-unknown", name, generation=1, member="m")
    commit(broker, of + "-unknown", name, generation=1, member="")


@cases({"one": 1, "minus-1": -1, "zero": 0})
def retention_of_old(broker, value):
    name, of = topic(broker), group(broker)
    commit(broker, of, name, version=2, RetentionTimeMs=value)
    committed(broker, of, name)


@case
def several_groups(broker):
    name, of = topic(broker), group(broker)
    commit(broker, of, name)
    groups = [{"GroupId": it, "MemberEpoch": -1, "Topics": [{"Name": name, "PartitionIndexes": [0]}]} for it in (of, "no-such-group", "")]
    broker.ask("OffsetFetch", 8, Groups=groups)
    broker.ask("OffsetFetch", 9, Groups=[{"GroupId": of, "MemberId": "m", "MemberEpoch": 5, "Topics": [{"Name": name, "PartitionIndexes": [0]}]}])
    broker.ask("OffsetFetch", 8, Groups=[])
    broker.ask("OffsetFetch", 8, Groups=groups[:1] * 2)


@case
def deleted(broker):
    name, of = topic(broker, partitions=2), group(broker)
    commit(broker, of, name, row(1, 0), row(2, 1))
    delete = lambda group_id, *rows: broker.ask("OffsetDelete", 0, GroupId=group_id, Topics=[
        {"Name": it, "Partitions": [{"PartitionIndex": n} for n in numbers]} for it, numbers in rows])
    delete(of, (name, [0, 7]), ("no-such", [0]))
    committed(broker, of, name, 0, 1)
    delete("no-such-group", (name, [0]))
    delete("", (name, [0]))
    delete(of)
    _, member = alone(broker, of)
    delete(of, (name, [1]))
    leave(broker, of, member)
    delete(of, (name, [1]))
    committed(broker, of, name, everything=True)


@case
def of_a_deleted_topic(broker):
    """What was committed for it goes with it."""
    name, of = topic(broker), group(broker)
    commit(broker, of, name)
    broker.quiet("DeleteTopics", 5, TopicNames=[name], TimeoutMs=9000)
    broker.until("deletion", lambda: not broker.quiet("OffsetFetch", 7, GroupId=of, Topics=None).Topics)
    commit(broker, of, name)


@case
def same_partition_twice(broker):
    name, of = topic(broker), group(broker)
    commit(broker, of, name, row(1), row(2))
    committed(broker, of, name, 0, 0)


@case
def of_a_group_of_another_kind(broker):
    """A Connect worker's group keeps offsets, too, but not for those outside."""
    of = coordinator(broker, broker.case.topic)
    name = topic(broker)
    found = join(broker, of, version=3, kind="connect")
    commit(broker, of, name)
    leave(broker, of, found.MemberId)
    commit(broker, of, name)
