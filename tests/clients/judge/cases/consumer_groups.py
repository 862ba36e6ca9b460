"""Groups of the new protocol (KIP-848): heartbeats, epochs, assignments, members of both protocols."""
from arrange import group, topic, topic_id
from cases import case, cases
from cases.commits import commit, committed
from cases.groups import RANGE, join, leave, sync


def beat(broker, of, member, epoch, version=1, patience=10, **more):
    return broker.ask("ConsumerGroupHeartbeat", version, patience=patience, GroupId=of, MemberId=member, MemberEpoch=epoch, **more)


def begin(broker, of, member, *names, version=1, **more):
    """The first heartbeat of a member."""
    fields = {"RebalanceTimeoutMs": 30_000, "SubscribedTopicNames": list(names), "TopicPartitions": []} | more
    return beat(broker, of, member, 0, version, **fields)


def known(broker, name):
    """Lets the transcript know the topic by its id."""
    broker.ask("Metadata", 12, Topics=[{"Name": name}])
    return topic_id(broker, name)


def describe(broker, of, version=1):
    return broker.ask("ConsumerGroupDescribe", version, GroupIds=[of], IncludeAuthorizedOperations=True)


def owned(broker, of, name, member, epoch, partitions, **more):
    return beat(broker, of, member, epoch, TopicPartitions=[{"TopicId": topic_id(broker, name), "Partitions": partitions}], **more)


@cases({"0": 0, "1": 1})
def alone(broker, version):
    """One member gets everything at once; version 1 wants an id of its own making."""
    name, of = topic(broker, partitions=3), group(broker)
    known(broker, name)
    found = begin(broker, of, "member-1" if version else "", name, version=version)
    member = found.MemberId
    owned(broker, of, name, member, found.MemberEpoch, [0, 1, 2], version=version)
    beat(broker, of, member, found.MemberEpoch, version)
    describe(broker, of)
    beat(broker, of, member, -1, version)
    beat(broker, of, member, found.MemberEpoch, version)
    describe(broker, of)


@case
def two(broker):
    """Partitions are taken back from the first before the second has them."""
    name, of = topic(broker, partitions=4), group(broker)
    known(broker, name)
    first = begin(broker, of, "member-1", name).MemberEpoch
    owned(broker, of, name, "member-1", first, [0, 1, 2, 3])
    second = begin(broker, of, "member-2", name)
    found = owned(broker, of, name, "member-1", first, [0, 1, 2, 3])
    broker.ask("ConsumerGroupHeartbeat", 1, GroupId=of, MemberId="member-2", MemberEpoch=second.MemberEpoch)
    kept = [n for it in (found.Assignment or {"TopicPartitions": []})["TopicPartitions"] for n in it["Partitions"]]
    found = owned(broker, of, name, "member-1", first, kept)
    beat(broker, of, "member-1", found.MemberEpoch)
    beat(broker, of, "member-2", second.MemberEpoch)
    describe(broker, of)
    beat(broker, of, "member-2", -1)
    beat(broker, of, "member-1", found.MemberEpoch)
    describe(broker, of)


@cases({"range": "range", "uniform": "uniform", "none": None, "unknown": "sticky", "empty": ""})
def assignors(broker, assignor):
    name, of = topic(broker, partitions=5), group(broker)
    known(broker, name)
    begin(broker, of, "member-1", name, ServerAssignor=assignor)
    describe(broker, of)


@cases({"unknown-group": {}, "epoch-0-again": {"epoch": 0}, "older": {"epoch": -3}, "newer": {"epoch": 99}, "unknown-member": {"member": "x", "epoch": 1},
        "leave-unknown": {"member": "x", "epoch": -1}, "static-leave-unknown": {"member": "x", "epoch": -2}, "empty-member": {"member": "", "epoch": 1}})
def heartbeat_wrong(broker, how):
    name, of = topic(broker), group(broker)
    known(broker, name)
    if how:
        begin(broker, of, "member-1", name)
    beat(broker, of, how.get("member", "member-1"), how.get("epoch", 1))


@cases({"no-group": {"GroupId": ""}, "no-member": {"MemberId": ""}, "blank-member": {"MemberId": " "}, "no-timeout": {"RebalanceTimeoutMs": -1},
        "no-topics": {"SubscribedTopicNames": None}, "no-partitions": {"TopicPartitions": None}, "some-partitions": {"TopicPartitions": [{"Partitions": [0]}]},
        "blank-instance": {"InstanceId": ""}, "blank-rack": {"RackId": ""}, "rack": {"RackId": "r1"}, "empty-topics": {"SubscribedTopicNames": []},
        "bad-regex": {"SubscribedTopicRegex": "("}, "empty-regex": {"SubscribedTopicRegex": ""}, "epoch-minus-3": {"MemberEpoch": -3},
        "static-epoch-without-instance": {"MemberEpoch": -2}, "unknown-topic": {"SubscribedTopicNames": ["no-such"]}})
def first_wrong(broker, fields):
    name, of = topic(broker), group(broker)
    known(broker, name)
    asked = {"GroupId": of, "MemberId": "member-1", "MemberEpoch": 0, "RebalanceTimeoutMs": 30_000, "SubscribedTopicNames": [name], "TopicPartitions": []}
    broker.ask("ConsumerGroupHeartbeat", 1, **(asked | fields))


@case
def subscription_changes(broker):
    name, other, of = topic(broker, partitions=2), topic(broker, "-other"), group(broker)
    known(broker, name)
    known(broker, other)
    epoch = begin(broker, of, "member-1", name).MemberEpoch
    owned(broker, of, name, "member-1", epoch, [0, 1])
    found = beat(broker, of, "member-1", epoch, SubscribedTopicNames=[name, other])
    beat(broker, of, "member-1", found.MemberEpoch, SubscribedTopicNames=[])
    describe(broker, of)


@case
def regular_expression(broker):
    name, of = topic(broker, partitions=2), group(broker)
    known(broker, name)
    fields = {"RebalanceTimeoutMs": 30_000, "SubscribedTopicRegex": "consumer-groups\\.regular.*", "TopicPartitions": []}
    state = {"epoch": broker.quiet("ConsumerGroupHeartbeat", 1, GroupId=of, MemberId="member-1", MemberEpoch=0, **fields).MemberEpoch}

    def resolved():
        """By the first heartbeat, or, on Kafka, by one that comes after it has looked."""
        state["epoch"] = broker.quiet("ConsumerGroupHeartbeat", 1, GroupId=of, MemberId="member-1", MemberEpoch=state["epoch"]).MemberEpoch
        return broker.quiet("ConsumerGroupDescribe", 1, GroupIds=[of]).Groups[0].Members[0].TargetAssignment.TopicPartitions
    broker.until("the assignment", resolved)

    def kept(found):
        member = found.Groups[0].Members[0]
        return {"state": found.Groups[0].GroupState, "regex": member.SubscribedTopicRegex, "names": member.SubscribedTopicNames, "target": member.TargetAssignment}
    broker.ask("ConsumerGroupDescribe", 1, GroupIds=[of], keep=kept)


@case
def static(broker):
    name, of = topic(broker, partitions=2), group(broker)
    known(broker, name)
    epoch = begin(broker, of, "member-1", name, InstanceId="one").MemberEpoch
    owned(broker, of, name, "member-1", epoch, [0, 1], InstanceId="one")
    begin(broker, of, "member-2", name, InstanceId="one")
    beat(broker, of, "member-1", -2, InstanceId="one")
    describe(broker, of)
    begin(broker, of, "member-2", name, InstanceId="one")
    beat(broker, of, "member-1", epoch, InstanceId="one")
    describe(broker, of)
    beat(broker, of, "member-2", -1, InstanceId="one")


@case
def offsets(broker):
    """A member commits with its epoch."""
    name, of = topic(broker, partitions=2), group(broker)
    known(broker, name)
    epoch = begin(broker, of, "member-1", name).MemberEpoch
    for version in (8, 9):
        commit(broker, of, name, version=version, generation=epoch, member="member-1")
        commit(broker, of, name, version=version, generation=epoch + 1, member="member-1")
        commit(broker, of, name, version=version, generation=epoch - 1, member="member-1")
        commit(broker, of, name, version=version, generation=epoch, member="other")
        commit(broker, of, name, version=version)
    committed(broker, of, name, version=9, member="member-1", epoch=epoch)
    committed(broker, of, name, version=9, member="member-1", epoch=epoch + 1)
    committed(broker, of, name, version=9, member="other", epoch=epoch)
    committed(broker, of, name, version=9)
    committed(broker, of, name, version=7)


@case
def classic_requests_to_it(broker):
    name, of = topic(broker), group(broker)
    known(broker, name)
    begin(broker, of, "member-1", name)
    broker.ask("Heartbeat", 4, GroupId=of, GenerationId=1, MemberId="member-1")
    broker.ask("SyncGroup", 5, GroupId=of, GenerationId=1, MemberId="member-1", ProtocolType="consumer", ProtocolName="range")
    leave(broker, of, "member-1")
    broker.ask("DescribeGroups", 6, Groups=[of])
    broker.ask("DeleteGroups", 2, GroupsNames=[of])
    broker.ask("OffsetDelete", 0, GroupId=of, Topics=[{"Name": name, "Partitions": [{"PartitionIndex": 0}]}])
    join(broker, of, protocols=RANGE)


@case
def it_asks_a_classic_group(broker):
    name, of = topic(broker), group(broker)
    known(broker, name)
    found = join(broker, of, version=3, kind="connect")
    sync(broker, of, found.GenerationId, found.MemberId, [(found.MemberId, b"x")], ProtocolType="connect")
    begin(broker, of, "member-1", name)
    describe(broker, of)


@case
def empty_classic_group_is_taken_over(broker):
    name, of = topic(broker), group(broker)
    known(broker, name)
    commit(broker, of, name)
    begin(broker, of, "member-1", name)
    describe(broker, of)
    committed(broker, of, name)


@case
def listed(broker):
    name, of = topic(broker), group(broker)
    known(broker, name)
    begin(broker, of, "member-1", name)

    def kept(found):
        return [it for it in found.Groups if it.GroupId == of]
    for states, types in (([], []), (["Stable"], []), (["Reconciling"], []), ([], ["consumer"]), ([], ["Consumer"]), ([], ["classic"])):
        broker.ask("ListGroups", 5, StatesFilter=states, TypesFilter=types, keep=kept)


@cases({"0": 0, "1": 1})
def described(broker, version):
    name, of = topic(broker), group(broker)
    known(broker, name)
    begin(broker, of, "member-1", name, RackId="r", ServerAssignor="range")
    describe(broker, of, version)
    broker.ask("ConsumerGroupDescribe", version, GroupIds=["no-such-group", ""])
    broker.ask("ConsumerGroupDescribe", version, GroupIds=[])


@case
def topic_grows(broker):
    """New partitions are noticed and handed out."""
    name, of = topic(broker), group(broker)
    known(broker, name)
    epoch = begin(broker, of, "member-1", name).MemberEpoch
    owned(broker, of, name, "member-1", epoch, [0])
    broker.quiet("CreatePartitions", 3, Topics=[{"Name": name, "Count": 3, "Assignments": None}], TimeoutMs=9000)
    broker.until("the partitions", lambda: broker.quiet("ConsumerGroupHeartbeat", 1, GroupId=of, MemberId="member-1", MemberEpoch=epoch).Assignment)
    describe(broker, of)
