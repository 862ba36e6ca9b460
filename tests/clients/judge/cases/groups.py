"""Classic groups: joining, syncing, leaving, static members, and what each version says to a mistake."""
from arrange import group, version_range
from cases import case, cases

RANGE = [{"Name": "range", "Metadata": b"r"}]
PROTOCOL = "consumer"


def join(broker, name, member="", version=5, protocols=RANGE, kind=PROTOCOL, session=10_000, rebalance=10_000, instance=None, **more):
    return broker.ask("JoinGroup", version, GroupId=name, SessionTimeoutMs=session, RebalanceTimeoutMs=rebalance, MemberId=member,
                      GroupInstanceId=instance, ProtocolType=kind, Protocols=protocols, **more)


def sync(broker, name, generation, member, assignments=(), version=5, instance=None, **more):
    fields = {"ProtocolType": PROTOCOL, "ProtocolName": "range"} | more
    return broker.ask("SyncGroup", version, GroupId=name, GenerationId=generation, MemberId=member, GroupInstanceId=instance, **fields,
                      Assignments=[{"MemberId": who, "Assignment": what} for who, what in assignments])


def heartbeat(broker, name, generation, member, version=4, instance=None):
    return broker.ask("Heartbeat", version, GroupId=name, GenerationId=generation, MemberId=member, GroupInstanceId=instance)


def leave(broker, name, member, version=5, instance=None, reason=None):
    if version < 3:
        return broker.ask("LeaveGroup", version, GroupId=name, MemberId=member)
    return broker.ask("LeaveGroup", version, GroupId=name, Members=[{"MemberId": member, "GroupInstanceId": instance, "Reason": reason}])


def alone(broker, name, instance=None):
    """A group of one that is stable; gives generation and member."""
    found = join(broker, name, instance=instance)
    member = found.MemberId
    if not instance:
        found = join(broker, name, member)
    sync(broker, name, found.GenerationId, member, [(member, b"mine")], instance=instance)
    return found.GenerationId, member


def describe(broker, name, version=5):
    return broker.ask("DescribeGroups", version, Groups=[name], IncludeAuthorizedOperations=True)


@cases({version: version for version in version_range("JoinGroup")})
def joined(broker, version):
    """From version 4 on a member is given an id first."""
    name = group(broker)
    found = join(broker, name, version=version)
    if version >= 4:
        found = join(broker, name, found.MemberId, version=version)
    heartbeat(broker, name, found.GenerationId, found.MemberId)
    sync(broker, name, found.GenerationId, found.MemberId, [(found.MemberId, b"x")])
    heartbeat(broker, name, found.GenerationId, found.MemberId)
    describe(broker, name)
    join(broker, name, found.MemberId, version=version)
    leave(broker, name, found.MemberId)


@cases({version: version for version in version_range("SyncGroup")})
def synced(broker, version):
    name = group(broker)
    found = join(broker, name, version=2)
    sync(broker, name, found.GenerationId, found.MemberId, [(found.MemberId, b"x")], version=version)
    sync(broker, name, found.GenerationId, found.MemberId, version=version)
    sync(broker, name, found.GenerationId + 1, found.MemberId, version=version)
    sync(broker, name, found.GenerationId, "other", version=version)
    sync(broker, "no-such-group", found.GenerationId, "other", version=version)
    sync(broker, "", found.GenerationId, "other", version=version)


@cases({version: version for version in version_range("Heartbeat")})
def beaten(broker, version):
    name = group(broker)
    generation, member = alone(broker, name)
    for number, who in ((generation, member), (generation + 1, member), (generation - 1, member), (generation, "other"), (generation, ""), (-1, "")):
        heartbeat(broker, name, number, who, version)
    heartbeat(broker, "no-such-group", 1, "m", version)
    heartbeat(broker, "", 1, "m", version)


@cases({version: version for version in version_range("LeaveGroup")})
def left(broker, version):
    name = group(broker)
    _, member = alone(broker, name)
    leave(broker, name, "other", version)
    leave(broker, name, "", version)
    leave(broker, name, member, version)
    leave(broker, name, member, version)
    leave(broker, "no-such-group", member, version)
    leave(broker, "", member, version)
    describe(broker, name)


@case
def left_by_several(broker):
    name = group(broker)
    _, member = alone(broker, name)
    broker.ask("LeaveGroup", 5, GroupId=name, Members=[{"MemberId": "other"}, {"MemberId": member}, {"MemberId": member}, {"MemberId": "", "GroupInstanceId": "none"}])
    broker.ask("LeaveGroup", 5, GroupId=name, Members=[])


@cases({"session-small": {"session": 5999}, "session-bound": {"session": 6000}, "session-large": {"session": 1_800_001}, "session-0": {"session": 0},
        "session-negative": {"session": -1}, "rebalance-0": {"rebalance": 0}, "rebalance-negative": {"rebalance": -5}, "no-protocols": {"protocols": []},
        "no-kind": {"kind": ""}, "no-kind-no-protocols": {"kind": "", "protocols": []}, "unknown-member": {"member": "somebody"},
        "other-kind": {"kind": "connect"}, "empty-protocol": {"protocols": [{"Name": "", "Metadata": b""}]}})
def join_odd(broker, fields):
    name = group(broker)
    for version in (0, 3, 5, 9):
        join(broker, name + "-%d" % version, version=version, **fields)


@case
def join_without_group(broker):
    for version in (0, 5, 9):
        join(broker, "", version=version)


@case
def join_other_protocols(broker):
    """A second member that has nothing in common with the first."""
    name = group(broker)
    alone(broker, name)
    join(broker, name, kind="connect")
    join(broker, name, protocols=[{"Name": "sticky", "Metadata": b""}])
    join(broker, name, protocols=[])
    join(broker, name, kind="")


@case
def sync_other_protocol(broker):
    name = group(broker)
    found = join(broker, name, version=3)
    sync(broker, name, found.GenerationId, found.MemberId, ProtocolType="connect")
    sync(broker, name, found.GenerationId, found.MemberId, ProtocolName="sticky")
    sync(broker, name, found.GenerationId, found.MemberId, ProtocolType=None, ProtocolName=None)
    sync(broker, name, found.GenerationId, found.MemberId, [("other", b"theirs"), (found.MemberId, b"mine")])


@case
def two_members(broker):
    """A whole rebalance: the first has to join again, its choice of assignor is counted, the leader hands out."""
    name = group(broker)
    generation, first = alone(broker, name)
    second = join(broker, name, version=5).MemberId
    both = [{"Name": "sticky", "Metadata": b"s"}, {"Name": "range", "Metadata": b"r2"}]
    waiting = broker.connection("second")
    waiting.write("JoinGroup", 5, {"GroupId": name, "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000, "MemberId": second,
                                   "ProtocolType": PROTOCOL, "Protocols": both})
    broker.until("the rebalance", lambda: broker.quiet("Heartbeat", 4, GroupId=name, GenerationId=generation, MemberId=first).ErrorCode == 27)
    describe(broker, name)
    sync(broker, name, generation, first)
    broker.ask("OffsetCommit", 7, GroupId=name, GenerationIdOrMemberEpoch=generation, MemberId=first, Topics=[])
    found = join(broker, name, first)
    broker.note("the second", waiting.read())
    heartbeat(broker, name, found.GenerationId, first)
    waiting.write("SyncGroup", 5, {"GroupId": name, "GenerationId": found.GenerationId, "MemberId": second, "ProtocolType": PROTOCOL, "ProtocolName": "range"})
    sync(broker, name, found.GenerationId, first, [(first, b"a"), (second, b"b")])
    broker.note("the second", waiting.read())
    describe(broker, name)
    leave(broker, name, second)
    heartbeat(broker, name, found.GenerationId, first)


@cases({version: version for version in (5, 7, 9)})
def static(broker, version):
    """A member with an instance id comes back under a new member id without a rebalance, and the old one is fenced."""
    name = group(broker)
    found = join(broker, name, instance="one", version=version)
    first, generation = found.MemberId, found.GenerationId
    sync(broker, name, generation, first, [(first, b"x")], instance="one")
    heartbeat(broker, name, generation, first, instance="one")
    heartbeat(broker, name, generation, first)
    heartbeat(broker, name, generation, first, instance="other")
    again = join(broker, name, instance="one", version=version)
    heartbeat(broker, name, generation, first, instance="one")
    heartbeat(broker, name, again.GenerationId, again.MemberId, instance="one")
    sync(broker, name, generation, first, instance="one")
    join(broker, name, first, instance="one", version=version)
    join(broker, name, "unknown", instance="one", version=version)
    join(broker, name, "unknown", instance="another", version=version)
    describe(broker, name)
    leave(broker, name, first, instance="one")
    leave(broker, name, "", instance="one")
    leave(broker, name, "", instance="one")


@cases({version: version for version in version_range("DescribeGroups")})
def described(broker, version):
    name = group(broker)
    alone(broker, name)
    describe(broker, name, version)
    broker.ask("DescribeGroups", version, Groups=["no-such-group", "", name])
    broker.ask("DescribeGroups", version, Groups=[])


@cases({version: version for version in version_range("ListGroups")})
def listed(broker, version):
    name = group(broker)
    alone(broker, name)

    def kept(found):
        return {"ErrorCode": found.ErrorCode, "it": [it for it in found.Groups if it.GroupId == name]}
    for states, types in (([], []), (["Stable"], []), (["stable"], []), (["Empty"], []), (["no-state"], []), ([], ["classic"]), ([], ["Classic"]),
                          ([], ["consumer"]), ([], ["no-type"])):
        broker.ask("ListGroups", version, StatesFilter=states, TypesFilter=types, keep=kept)


@cases({version: version for version in version_range("DeleteGroups")})
def deleted(broker, version):
    name = group(broker)
    _, member = alone(broker, name)
    broker.ask("DeleteGroups", version, GroupsNames=[name, "no-such-group", ""])
    leave(broker, name, member)
    broker.ask("DeleteGroups", version, GroupsNames=[name, name])
    broker.ask("DeleteGroups", version, GroupsNames=[name])
    broker.ask("DeleteGroups", version, GroupsNames=[])
    describe(broker, name)


@cases({version: version for version in version_range("FindCoordinator")})
def found(broker, version):
    """Of a group, a transactional id, a share group, and of what there is not."""
    for kind in (0, 1, 2, 3, -1):
        for key in ("some-key", ""):
            asked = {"Key": key} if version < 4 else {"CoordinatorKeys": [key, "other"]}
            broker.ask("FindCoordinator", version, KeyType=kind, **asked)
    if version >= 4:
        broker.ask("FindCoordinator", version, CoordinatorKeys=[])


@case
def session_ends(broker):
    """Who does not send a heartbeat is out."""
    name = group(broker)
    member = join(broker, name, session=6000, version=3).MemberId
    sync(broker, name, 1, member, [(member, b"x")])
    broker.until("the end of the session", lambda: broker.quiet("DescribeGroups", 5, Groups=[name]).Groups[0].GroupState == "Empty", 15)
    heartbeat(broker, name, 1, member)
    describe(broker, name)
