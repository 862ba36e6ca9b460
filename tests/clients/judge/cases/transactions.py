"""Transactions: producer ids that last, partitions that join, ends, markers, fencing; old clients and new (KIP-890)."""
import batch
from arrange import TRANSACTION, coordinator, group, produced, producer, topic, topic_id, version_range
from cases import case, cases
from transacting import ABORT, COMMIT, add, add_as_broker, begun, commit_offset, described, end, ends, init, look, now, own, settled, write


# -- ids


@cases({version: version for version in version_range("InitProducerId")})
def initialised(broker, version):
    """Each call is the next epoch of the same producer."""
    of = own(broker)
    for _ in range(3):
        init(broker, of, version)
    described(broker, of)


@cases({"empty": "", "long": "x" * 1000, "unicode": "größe"})
def initialised_as(broker, of):
    coordinator(broker, "judge", TRANSACTION)
    init(broker, of)


@cases({"zero": 0, "negative": -1, "at": 900_000, "one-past": 900_001, "max": 2**31 - 1})
def timeout(broker, value):
    of = own(broker)
    for version in (0, 4):
        init(broker, of, version, value)


@case
def initialised_again_with_epoch(broker):
    """KIP-360: who says which epoch he had goes on, or is fenced."""
    of = own(broker)
    who = producer(broker, of)
    init(broker, of, who=who)
    init(broker, of, who=who)
    init(broker, of, who=(who[0], who[1] + 1))
    init(broker, of, who=(who[0], who[1] + 5))
    init(broker, of, who=(who[0] + 1_000_000, 0))
    init(broker, of, who=(-1, 3))
    init(broker, of, who=(who[0], -1))
    init(broker, of, who=who, version=3)
    init(broker, of)


@case
def initialised_with_unknown(broker):
    of = own(broker)
    init(broker, of, who=(4711, 3))
    described(broker, of)


@cases({"commit": COMMIT, "abort": ABORT})
def initialised_in_the_middle(broker, commit):
    """A transaction that the last one left open is aborted first."""
    name, of, who = begun(broker)
    broker.until("the new epoch", lambda: broker.quiet("InitProducerId", 4, TransactionalId=of, TransactionTimeoutMs=60_000).ErrorCode == 0)
    described(broker, of)
    end(broker, of, who, commit)
    write(broker, name, of, who, 1)
    look(broker, name)
    ends(broker, name)


@cases({"0": {}, "two-phase": {"Enable2Pc": True}, "keep": {"KeepPreparedTxn": True}})
def two_phases(broker, fields):
    of = own(broker)
    init(broker, of, 6 if fields else 5, **fields)


# -- partitions


@cases({version: version for version in (0, 1, 2, 3)})
def partitions(broker, version):
    name, of = topic(broker, partitions=2), own(broker)
    who = producer(broker, of)
    add(broker, of, who, (name, 0), (name, 1), version=version)
    add(broker, of, who, (name, 0), version=version)
    described(broker, of)
    add(broker, of, who, (name, 7), ("no-such", 0), (name, 0), version=version)
    add(broker, of, who, version=version)
    described(broker, of)


@cases({version: version for version in (0, 3)})
def partitions_of_others(broker, version):
    name, of = topic(broker), own(broker)
    who = producer(broker, of)
    add(broker, "no-such-id", who, (name, 0), version=version)
    add(broker, "", who, (name, 0), version=version)
    add(broker, of, (who[0] + 1, who[1]), (name, 0), version=version)
    add(broker, of, (who[0], who[1] + 1), (name, 0), version=version)
    add(broker, of, (who[0], -1), (name, 0), version=version)
    producer(broker, of)
    add(broker, of, who, (name, 0), version=version)


@cases({"%d-%s" % (version, "verify" if verify else "add"): (version, verify) for version in (4, 5) for verify in (False, True)})
def partitions_from_broker(broker, version, verify):
    """Version 4 and above: brokers ask, several transactions at once, also only whether a partition is in."""
    name, of = topic(broker, partitions=2), own(broker)
    who = producer(broker, of)
    add_as_broker(broker, of, who, (name, 0), version=version, verify=verify)
    add(broker, of, who, (name, 0))
    add_as_broker(broker, of, who, (name, 0), (name, 1), version=version, verify=verify)
    add_as_broker(broker, of, (who[0], who[1] + 1), (name, 0), version=version, verify=verify)
    add_as_broker(broker, "no-such-id", who, (name, 0), version=version, verify=verify)
    described(broker, of)


# -- records


@cases({"3": 3, "9": 9, "11": 11, "12": 12})
def records(broker, version):
    """Version 12 adds the partition by itself; before, one that is not in is refused."""
    name, of = topic(broker), own(broker)
    who = producer(broker, of)
    write(broker, name, of, who, 0, version)
    described(broker, of)
    add(broker, of, who, (name, 0))
    write(broker, name, of, who, 0, version)
    write(broker, name, of, who, 1, version)
    look(broker, name)
    look(broker, name, 0)
    ends(broker, name)
    broker.ask("DescribeProducers", 0, Topics=[{"Name": name, "PartitionIndexes": [0]}])


@case
def records_by_id(broker):
    name, of = topic(broker), own(broker)
    who = producer(broker, of)
    broker.ask("Metadata", 12, Topics=[{"Name": name}])
    one = batch.batch(b"v", producer=(*who, 0), attributes=batch.TRANSACTIONAL)
    broker.ask("Produce", 13, Acks=-1, TimeoutMs=5000, TransactionalId=of, TopicData=[
        {"TopicId": topic_id(broker, name), "PartitionData": [{"Index": 0, "Records": one}]}])
    described(broker, of)


@cases({"acks-1": {"acks": 1}, "acks-0": {"acks": 0}})
def records_with_acks(broker, how):
    name, of, who = begun(broker)
    one = batch.batch(b"v", producer=(*who, 1), attributes=batch.TRANSACTIONAL)
    if how["acks"]:
        broker.ask("Produce", 9, Acks=how["acks"], TimeoutMs=5000, TransactionalId=of, TopicData=produced(name, one))
    described(broker, of)


@case
def records_without_the_flag(broker):
    """In the middle of a transaction, by the same producer."""
    name, of, who = begun(broker)
    write(broker, name, of, who, 1, flag=0)
    write(broker, name, None, who, 1, flag=0)
    write(broker, name, None, who, 1)
    write(broker, name, "other", who, 1)
    write(broker, name, "", who, 1)
    look(broker, name)


def mixed(broker, version, of, *parts, missing=False):
    """One Produce with a batch for each partition, transactional or not, of the producer that is named; and the ends of the partitions."""
    name = topic(broker, partitions=len(parts))
    data = [{"Index": index, "Records": batch.batch(b"v", producer=(*who, sequence), attributes=flag, timestamp=now())}
            for index, (who, sequence, flag) in enumerate(parts)]
    data += [{"Index": len(parts), "Records": data[0]["Records"]}] * missing
    of_topic = {"TopicId": topic_id(broker, name)} if version >= 13 else {"Name": name}
    broker.ask("Produce", version, Acks=-1, TimeoutMs=5000, TransactionalId=of, TopicData=[dict(of_topic, PartitionData=data)])
    broker.ask("ListOffsets", 7, ReplicaId=-1, Topics=[{"Name": name, "Partitions": [
        {"PartitionIndex": index, "Timestamp": -1} for index in range(len(parts))]}])


NOBODY = (-1, -1)


@cases({"%d-%s" % (version, word): (version, word) for version in (3, 9, 12, 13) for word in ("first", "last", "missing")})
def records_without_an_id(broker, version, word):
    """Of the batches of a request one is transactional, and the request has no transactional id."""
    plain, part = (NOBODY, -1, 0), (producer(broker), 0, batch.TRANSACTIONAL)
    parts = (part, plain) if word == "first" else (plain, part)
    mixed(broker, version, None, *parts, missing=word == "missing")


@cases({"%d-%s" % (version, word): (version, word) for version in (3, 9, 12, 13)
        for word in ("ids", "epochs", "one", "missing", "both-kinds")})
def records_of_several_producers(broker, version, word):
    """A request may have transactional batches of one producer only, in one epoch."""
    of, other = own(broker, "-1"), own(broker, "-2")
    who = producer(broker, of)
    second = {"ids": lambda: producer(broker, other), "epochs": lambda: (who[0], who[1] + 1)}.get(word, lambda: who)()
    if word == "both-kinds":
        mixed(broker, version, of, (producer(broker), 0, 0), (who, 0, batch.TRANSACTIONAL))
    elif word == "missing":
        mixed(broker, version, of, (who, 0, batch.TRANSACTIONAL), (producer(broker, other), 0, batch.TRANSACTIONAL), missing=True)
    else:
        mixed(broker, version, of, (who, 0, batch.TRANSACTIONAL), (second, 0, batch.TRANSACTIONAL), (NOBODY, -1, 0))


@case
def records_of_two(broker):
    """A producer's open transaction holds back what others have committed behind it."""
    name, first, second = topic(broker), own(broker, "-1"), own(broker, "-2")
    one, two = producer(broker, first), producer(broker, second)
    add(broker, first, one, (name, 0))
    write(broker, name, first, one, 0)
    add(broker, second, two, (name, 0))
    write(broker, name, second, two, 0)
    write(broker, name, None, (-1, -1), -1, flag=0)
    end(broker, second, two)
    ends(broker, name)
    look(broker, name)
    end(broker, first, one, ABORT)
    ends(broker, name)
    for offset in range(7):
        look(broker, name, offset=offset)
    look(broker, name, 0)


@case
def aborted_in_order(broker):
    """Which transactions were aborted, and whether the list of them has the order in which a reader meets them."""
    name = topic(broker)
    ids = [own(broker, "-%d" % n) for n in range(3)]
    who = {of: producer(broker, of) for of in ids}
    for of in ids:
        add(broker, of, who[of], (name, 0))
        write(broker, name, of, who[of], 0)
    for of in reversed(ids):
        end(broker, of, who[of], ABORT)

    def kept(found):
        aborted = [(it.FirstOffset, it.ProducerId) for it in found.Responses[0].Partitions[0].AbortedTransactions]
        listed = [{"FirstOffset": first, "ProducerId": number} for first, number in sorted(aborted)]
        return {"aborted": listed, "in the order of first offsets": aborted == sorted(aborted)}
    for offset in range(7):
        look(broker, name, offset=offset, keep=kept)


# -- ends


@cases({"%d-%s" % (version, word): (version, word == "commit") for version in version_range("EndTxn") for word in ("commit", "abort")})
def ended(broker, version, commit):
    name, of, who = begun(broker)
    found = end(broker, of, who, commit, version)
    look(broker, name)
    look(broker, name, 0)
    ends(broker, name)
    described(broker, of)
    end(broker, of, who, commit, version)
    end(broker, of, who, not commit, version)
    if version >= 5:
        end(broker, of, (found.ProducerId, found.ProducerEpoch), commit, version)
        end(broker, of, (found.ProducerId, found.ProducerEpoch), not commit, version)
    broker.ask("DescribeProducers", 0, Topics=[{"Name": name, "PartitionIndexes": [0]}])


@cases({"%d-%s" % (version, word): (version, word == "commit") for version in (0, 3, 5) for word in ("commit", "abort")})
def ended_empty(broker, version, commit):
    of = own(broker)
    who = producer(broker, of)
    end(broker, of, who, commit, version)
    described(broker, of)


@cases({version: version for version in (0, 3, 4, 5)})
def ended_by_others(broker, version):
    _, of, who = begun(broker)
    end(broker, of, (who[0] + 1, who[1]), version=version)
    end(broker, of, (who[0], who[1] + 1), version=version)
    end(broker, of, (who[0], who[1] - 1), version=version)
    end(broker, of, (-1, -1), version=version)
    broker.ask("EndTxn", version, TransactionalId="no-such-id", ProducerId=who[0], ProducerEpoch=who[1], Committed=True)
    broker.ask("EndTxn", version, TransactionalId="", ProducerId=who[0], ProducerEpoch=who[1], Committed=True)
    described(broker, of)


@case
def several_in_a_row(broker):
    """As old clients do: the epoch stays, sequences go on."""
    name, of = topic(broker), own(broker)
    who = producer(broker, of)
    for sequence, commit in enumerate((COMMIT, ABORT, COMMIT, ABORT)):
        add(broker, of, who, (name, 0))
        write(broker, name, of, who, sequence)
        end(broker, of, who, commit)
    look(broker, name)
    ends(broker, name)


@case
def several_in_a_row_of_the_second_kind(broker):
    """KIP-890: each end gives the epoch of the next transaction, whose sequences begin at 0."""
    name, of = topic(broker), own(broker)
    who = producer(broker, of)
    for commit in (COMMIT, ABORT, COMMIT, ABORT):
        write(broker, name, of, who, 0, version=12)
        found = end(broker, of, who, commit, 5)
        before, who = who, (found.ProducerId, found.ProducerEpoch)
        write(broker, name, of, before, 1, version=12)
    look(broker, name)
    ends(broker, name)


@case
def late_record(broker):
    """A record of a transaction that is over must not open the next one."""
    name, of, who = begun(broker)
    end(broker, of, who)
    write(broker, name, of, who, 1)
    ends(broker, name)
    described(broker, of)


@case
def zombie(broker):
    """Another has the id by now: whatever the first asks for is refused."""
    name, of, who = begun(broker)
    of_group = group(broker)
    new = broker.until("the new epoch", lambda: next((it for it in [broker.quiet(
        "InitProducerId", 4, TransactionalId=of, TransactionTimeoutMs=60_000)] if it.ErrorCode == 0), None))
    settled(broker, of)
    for version in (0, 1, 3):
        add(broker, of, who, (name, 0), version=version)
    for version in (3, 9, 11, 12):
        write(broker, name, of, who, 1, version)
    for version in (0, 1, 3):
        broker.ask("AddOffsetsToTxn", version, TransactionalId=of, ProducerId=who[0], ProducerEpoch=who[1], GroupId=of_group)
    for version in (0, 2, 3, 4, 5):
        commit_offset(broker, name, of, of_group, who, version)
    for version in (0, 1, 3, 4, 5):
        broker.ask("EndTxn", version, TransactionalId=of, ProducerId=who[0], ProducerEpoch=who[1], Committed=True)
    init(broker, of, who=who)
    write(broker, name, of, (new.ProducerId, new.ProducerEpoch), 0, 12)
    end(broker, of, (new.ProducerId, new.ProducerEpoch))
    look(broker, name)


@case
def runs_out(broker):
    """A transaction that takes longer than it said is aborted; its producer is told when it comes back."""
    name, of = topic(broker), own(broker)
    who = producer(broker, of, timeout_ms=1000)
    add(broker, of, who, (name, 0))
    write(broker, name, of, who, 0)
    broker.until("the abort", lambda: broker.quiet("DescribeTransactions", 0, TransactionalIds=[of]).TransactionStates[0].TransactionState == "CompleteAbort")
    ends(broker, name)
    described(broker, of)
    write(broker, name, of, who, 1)
    add(broker, of, who, (name, 0))
    end(broker, of, who)
    init(broker, of, who=who)
    look(broker, name)


# -- looking at it, and ending it from outside


@cases({version: version for version in version_range("ListTransactions")})
def listed(broker, version):
    name, of, who = begun(broker)

    def kept(found):
        return {"ErrorCode": found.ErrorCode, "unknown": found.UnknownStateFilters, "it": [it for it in found.TransactionStates if it.TransactionalId == of]}
    ask = lambda **fields: broker.ask("ListTransactions", version, keep=kept, **fields)
    ask()
    ask(StateFilters=["Ongoing"])
    ask(StateFilters=["CompleteCommit", "no-state"])
    ask(StateFilters=["ongoing"])
    ask(ProducerIdFilters=[who[0]])
    ask(ProducerIdFilters=[who[0] + 1_000_000])
    ask(DurationFilter=0)
    ask(DurationFilter=10**9)
    ask(DurationFilter=-5)
    ask(TransactionalIdPattern=".*listed.*")
    ask(TransactionalIdPattern="no")
    ask(TransactionalIdPattern="")
    ask(TransactionalIdPattern="[")
    end(broker, of, who)
    ask()


@case
def described_wrong(broker):
    own(broker)
    described(broker, "no-such-id", "")
    described(broker)


@cases({"commit": COMMIT, "abort": ABORT})
def marked_from_outside(broker, commit):
    """WriteTxnMarkers, as kafka-transactions abort sends it."""
    name, of, who = begun(broker)
    mark = lambda producer_id, epoch, partitions, version=1, coordinator_epoch=0: broker.ask("WriteTxnMarkers", version, Markers=[
        {"ProducerId": producer_id, "ProducerEpoch": epoch, "TransactionResult": commit, "CoordinatorEpoch": coordinator_epoch,
         "Topics": [{"Name": name, "PartitionIndexes": partitions}]}])
    mark(who[0], who[1] - 1, [0])
    mark(who[0] + 1_000_000, 0, [0, 9])
    mark(who[0], who[1], [0], coordinator_epoch=-1)
    ends(broker, name)
    mark(who[0], who[1], [0])
    mark(who[0], who[1], [0], 2)
    ends(broker, name)
    look(broker, name, 0)
    broker.ask("DescribeProducers", 0, Topics=[{"Name": name, "PartitionIndexes": [0]}])
    broker.ask("WriteTxnMarkers", 1, Markers=[])


@case
def described_producers(broker):
    name, of, who = begun(broker)
    ask = lambda: broker.ask("DescribeProducers", 0, Topics=[{"Name": name, "PartitionIndexes": [0]}])
    ask()
    write(broker, name, of, who, 1, count=3)
    ask()
    end(broker, of, who, ABORT)
    ask()
