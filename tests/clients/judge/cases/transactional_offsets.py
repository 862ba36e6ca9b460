"""Offsets of groups that are part of a transaction: they are there with it, or not at all."""
from arrange import group, producer, topic, version_range
from cases import case, cases
from cases.commits import committed
from cases.groups import alone
from transacting import ABORT, COMMIT, commit_offset, described, end, own


@cases({"%d-%s" % (version, word): (version, word == "commit") for version in (0, 2, 3, 4) for word in ("commit", "abort")})
def offsets(broker, version, commit):
    """Are seen when the transaction is committed; a reader that wants only stable ones is told to wait."""
    name, of, of_group = topic(broker), own(broker), group(broker)
    who = producer(broker, of)
    broker.ask("AddOffsetsToTxn", min(version, 3), TransactionalId=of, ProducerId=who[0], ProducerEpoch=who[1], GroupId=of_group)
    described(broker, of)
    commit_offset(broker, name, of, of_group, who, version)
    committed(broker, of_group, name)
    committed(broker, of_group, name, stable=True)
    committed(broker, of_group, name, version=8, stable=True)
    end(broker, of, who, commit)
    broker.until("the offset", lambda: broker.quiet("OffsetFetch", 7, GroupId=of_group, RequireStable=True, Topics=[
        {"Name": name, "PartitionIndexes": [0]}]).Topics[0].Partitions[0].ErrorCode == 0)
    committed(broker, of_group, name)


@cases({"commit": COMMIT, "abort": ABORT})
def offsets_of_the_second_kind(broker, commit):
    """Version 5 adds the group by itself."""
    name, of, of_group = topic(broker), own(broker), group(broker)
    who = producer(broker, of)
    commit_offset(broker, name, of, of_group, who, 5)
    described(broker, of)
    end(broker, of, who, commit, 5)
    broker.until("the offset", lambda: broker.quiet("OffsetFetch", 7, GroupId=of_group, RequireStable=True, Topics=[
        {"Name": name, "PartitionIndexes": [0]}]).Topics[0].Partitions[0].ErrorCode == 0)
    committed(broker, of_group, name)


@cases({version: version for version in version_range("AddOffsetsToTxn")})
def offsets_wrong(broker, version):
    name, of, of_group = topic(broker), own(broker), group(broker)
    who = producer(broker, of)
    ask = lambda it, number, epoch, to: broker.ask("AddOffsetsToTxn", version, TransactionalId=it, ProducerId=number, ProducerEpoch=epoch, GroupId=to)
    ask("no-such-id", *who, of_group)
    ask("", *who, of_group)
    ask(of, who[0] + 1, who[1], of_group)
    ask(of, who[0], who[1] + 1, of_group)
    ask(of, *who, "")
    described(broker, of)


@cases({version: version for version in version_range("TxnOffsetCommit")})
def offsets_committed_wrong(broker, version):
    """Without the group added; with other producers, groups and members."""
    name, of, of_group = topic(broker), own(broker), group(broker)
    who = producer(broker, of)
    commit_offset(broker, name, of, of_group, who, version)
    commit_offset(broker, name, of, of_group, (4711, 0), version)
    commit_offset(broker, name, "no-such-id", of_group, who, version)
    commit_offset(broker, name, of, "", who, version)
    commit_offset(broker, "no-such", of, of_group, who, version)
    commit_offset(broker, name, of, of_group, who, version, partition=5)
    if version >= 3:
        commit_offset(broker, name, of, of_group, who, version, GenerationId=3, MemberId="somebody")
        commit_offset(broker, name, of, of_group, who, version, GenerationId=-1, MemberId="", GroupInstanceId="one")
    committed(broker, of_group, name)


@cases({version: version for version in (3, 4, 5)})
def offsets_of_a_member(broker, version):
    """KIP-447: who is out of the group cannot commit for it."""
    name, of, of_group = topic(broker), own(broker), group(broker)
    who = producer(broker, of)
    generation, member = alone(broker, of_group)
    broker.ask("AddOffsetsToTxn", 3, TransactionalId=of, ProducerId=who[0], ProducerEpoch=who[1], GroupId=of_group)
    for number, name_of_member, instance in ((generation, member, None), (generation + 1, member, None), (generation, "other", None), (-1, "", None),
                                             (-1, member, None), (generation, member, "one")):
        commit_offset(broker, name, of, of_group, who, version, GenerationId=number, MemberId=name_of_member, GroupInstanceId=instance)


@case
def offsets_of_two(broker):
    """Two transactions on one group: each has its own; the later commit is what stays."""
    name, of_group = topic(broker), group(broker)
    ids = own(broker, "-1"), own(broker, "-2")
    who = [producer(broker, of) for of in ids]
    for number, of in enumerate(ids):
        broker.ask("AddOffsetsToTxn", 3, TransactionalId=of, ProducerId=who[number][0], ProducerEpoch=who[number][1], GroupId=of_group)
        commit_offset(broker, name, of, of_group, who[number], offset=10 + number)
    end(broker, ids[1], who[1])
    committed(broker, of_group, name, stable=True)
    end(broker, ids[0], who[0])
    broker.until("the offset", lambda: broker.quiet("OffsetFetch", 7, GroupId=of_group, RequireStable=True, Topics=[
        {"Name": name, "PartitionIndexes": [0]}]).Topics[0].Partitions[0].ErrorCode == 0)
    committed(broker, of_group, name)


@case
def group_with_offsets_under_way(broker):
    """Cannot be deleted, and its offsets cannot either."""
    name, of, of_group = topic(broker), own(broker), group(broker)
    who = producer(broker, of)
    broker.ask("AddOffsetsToTxn", 3, TransactionalId=of, ProducerId=who[0], ProducerEpoch=who[1], GroupId=of_group)
    commit_offset(broker, name, of, of_group, who)
    broker.ask("DeleteGroups", 2, GroupsNames=[of_group])
    broker.ask("OffsetDelete", 0, GroupId=of_group, Topics=[{"Name": name, "Partitions": [{"PartitionIndex": 0}]}])
    broker.ask("OffsetCommit", 8, GroupId=of_group, GenerationIdOrMemberEpoch=-1, Topics=[{"Name": name, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 3}]}])
    committed(broker, of_group, name)
    end(broker, of, who, ABORT)
    committed(broker, of_group, name)
