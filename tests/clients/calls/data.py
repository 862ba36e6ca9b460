"""What lies on a broker before the tools are called: topics, records, groups of both protocols, transactions of every kind; and what
the calls name of it. Made with raw requests, so that both brokers have the same to the byte."""
import json
import os
import time

import arrange
import batch
import codec
from broker import Broker
from transacting import ABORT, COMMIT

# Beside those of the judge. Producers may write into transactions that no coordinator knows of: so there is one that hangs.
SETTINGS = {"transaction.partition.verification.enable": "false", "group.consumer.session.timeout.ms": 60_000}
T0, MINUTE_MS, HOUR_MS = batch.TIMESTAMP, 60_000, 3_600_000
SESSION_MS, TRANSACTION_MS, BEAT_S = 1_800_000, 900_000, 5
RANGE = codec.encode("ConsumerProtocolSubscription", 1, {"Topics": ["orders"]})
HERE = [0, 1, 2]


class Names:
    """Stands for a case: what it makes has the names that are given."""
    topic = ""


class Data:
    """All of it, on one broker, and the members that have to be heard of."""

    def __init__(self, bootstrap):
        host, port = bootstrap.rsplit(":", 1)
        self.broker, self.heard, self.epoch = Broker((host, int(port)), Names), 0, 0
        self.now = int(time.time() * 1000)
        self.topics()
        self.groups()
        self.transactions()

    def close(self):
        self.broker.close()

    def topics(self):
        make = lambda name, partitions=1, **configs: arrange.topic(self.broker, name, partitions, **configs)
        make("orders", 3, retention_ms=-1)
        self.records("orders", [T0 + n * MINUTE_MS for n in range(10)])
        self.records("orders", [T0 + n * MINUTE_MS for n in range(5)], partition=1)
        make("recent")
        self.records("recent", [self.now - ago for ago in (3 * HOUR_MS, 2 * HOUR_MS, HOUR_MS // 2, 0)])
        make("settings", cleanup_policy="compact", retention_ms=-1)
        self.records("settings", [T0] * 3)
        make("strict", min_insync_replicas=2)
        make("ledger", retention_ms=-1)
        make("trimmed", 2, retention_ms=-1)
        self.records("trimmed", [T0] * 8)
        make("spare", 2)

    def records(self, name, timestamps, **how):
        """A record with each time, a batch each."""
        for timestamp in timestamps:
            arrange.values(self.broker, name, b"v", timestamp=timestamp, **how)

    def groups(self):
        self.commit("readers", orders={0: 4, 1: 5, 2: 0}, settings={0: 1})
        self.commit("others", orders={0: 9}, recent={0: 1})
        for name in ("idle-1", "idle-2", "idle-3"):
            self.commit(name, orders={0: 1})
        self.live = self.member("live", "consumer", "range", RANGE, {"AssignedPartitions": [{"Topic": "orders", "Partitions": HERE}]}, "one")
        self.commit("live", *self.live, orders={0: 3}, recent={0: 2})
        self.member("workers", "connect", "sessioned", b"opaque", None, None)
        self.modern()
        self.commit("modern", self.epoch, "member-1", version=9, orders={0: 2})

    def commit(self, group, generation=-1, member="", version=8, **topics):
        arrange.coordinator(self.broker, group)
        found = self.broker.quiet("OffsetCommit", version, GroupId=group, GenerationIdOrMemberEpoch=generation, MemberId=member, Topics=[
            {"Name": name, "Partitions": [{"PartitionIndex": number, "CommittedOffset": offset, "CommittedLeaderEpoch": 0, "CommittedMetadata": ""}
                                          for number, offset in offsets.items()]} for name, offsets in topics.items()])
        refused = [it.ErrorCode for topic in found.Topics for it in topic.Partitions if it.ErrorCode]
        if refused:
            raise ValueError("offsets of %s were refused: %s" % (group, refused))

    def member(self, group, kind, protocol, metadata, assignment, instance):
        """The only member of a classic group; gives its generation and its id."""
        arrange.coordinator(self.broker, group)
        version = b"\0\1" if assignment else b""
        join = lambda member: self.broker.quiet(
            "JoinGroup", 5, GroupId=group, SessionTimeoutMs=SESSION_MS, RebalanceTimeoutMs=SESSION_MS, MemberId=member, GroupInstanceId=instance,
            ProtocolType=kind, Protocols=[{"Name": protocol, "Metadata": version + metadata}])
        found = join("")
        if not instance:
            found = join(found.MemberId)
        given = version + codec.encode("ConsumerProtocolAssignment", 1, assignment) if assignment else b"opaque"
        self.broker.quiet("SyncGroup", 5, GroupId=group, GenerationId=found.GenerationId, MemberId=found.MemberId, GroupInstanceId=instance,
                          ProtocolType=kind, ProtocolName=protocol, Assignments=[{"MemberId": found.MemberId, "Assignment": given}])
        return found.GenerationId, found.MemberId

    def modern(self):
        """A member of the new protocol that has what it is to have."""
        arrange.coordinator(self.broker, "modern")
        beat = lambda epoch, **more: self.broker.quiet("ConsumerGroupHeartbeat", 1, GroupId="modern", MemberId="member-1", MemberEpoch=epoch, **more)
        self.epoch = beat(0, RebalanceTimeoutMs=30_000, SubscribedTopicNames=["orders"], TopicPartitions=[]).MemberEpoch
        owned = [{"TopicId": arrange.topic_id(self.broker, "orders"), "Partitions": HERE}]
        self.broker.until("its partitions", lambda: beat(self.epoch, TopicPartitions=owned).ErrorCode == 0 and self.assigned())
        self.keep = lambda: beat(self.epoch)

    def assigned(self):
        member = self.broker.quiet("ConsumerGroupDescribe", 1, GroupIds=["modern"]).Groups[0].Members[0]
        return [sorted(it.Partitions) for it in member.Assignment.TopicPartitions] == [HERE]

    def heartbeat(self):
        """To be called often; the classic members have sessions of half an hour."""
        if time.monotonic() - self.heard > BEAT_S:
            self.keep()
            self.heard = time.monotonic()

    def transactions(self):
        for of, how in (("tx-committed", COMMIT), ("tx-aborted", ABORT), ("tx-open", None)):
            who = self.producer(of)
            self.broker.quiet("AddPartitionsToTxn", 3, V3AndBelowTransactionalId=of, V3AndBelowProducerId=who[0], V3AndBelowProducerEpoch=who[1],
                              V3AndBelowTopics=[{"Name": "ledger", "Partitions": [0]}])
            self.write(of, who)
            if how is not None:
                self.broker.quiet("EndTxn", 3, TransactionalId=of, ProducerId=who[0], ProducerEpoch=who[1], Committed=how)
                self.broker.until("its end", lambda: self.state(of) in ("CompleteCommit", "CompleteAbort"))
        self.write("tx-hanging", self.producer("tx-hanging"), self.now - HOUR_MS)

    def producer(self, of):
        arrange.coordinator(self.broker, of, arrange.TRANSACTION)
        return arrange.producer(self.broker, of, TRANSACTION_MS)

    def write(self, of, who, timestamp=None):
        one = batch.batch(b"v", producer=(*who, 0), attributes=batch.TRANSACTIONAL, timestamp=timestamp or self.now)
        arrange.append(self.broker, "ledger", one, transactional_id=of)

    def state(self, of):
        return self.broker.quiet("DescribeTransactions", 0, TransactionalIds=[of]).TransactionStates[0].TransactionState

    def ids(self):
        """The id of every topic, by its name; the cluster's."""
        found = self.broker.quiet("Metadata", 12, Topics=None)
        return {it.Name: it.TopicId for it in found.Topics}

    def cluster(self):
        return self.broker.quiet("Metadata", 9, Topics=[]).ClusterId


FILES = {
    "one.csv": "orders,0,2\norders,1,99\n",
    "several.csv": "readers,orders,0,1\nothers,orders,0,2\nothers,recent,0,3\n",
    "bad.csv": "orders,zero,1\n",
    "empty.csv": "",
    "trim.json": {"partitions": [{"topic": "trimmed", "partition": 0, "offset": 3}], "version": 1},
    "trim-all.json": {"partitions": [{"topic": "trimmed", "partition": 0, "offset": -1}, {"topic": "trimmed", "partition": 1, "offset": -1}], "version": 1},
    "trim-far.json": {"partitions": [{"topic": "trimmed", "partition": 0, "offset": 99}], "version": 1},
    "trim-twice.json": {"partitions": [{"topic": "trimmed", "partition": 0, "offset": 1}] * 2, "version": 1},
    "trim-compacted.json": {"partitions": [{"topic": "settings", "partition": 0, "offset": 1}], "version": 1},
    "trim-none.json": {"version": 1},
    "trim-version.json": {"partitions": [], "version": 9},
    "stay.json": {"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [0]}, {"topic": "spare", "partition": 1, "replicas": [0]}]},
    "away.json": {"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [7]}]},
    "stay-nosuch.json": {"version": 1, "partitions": [{"topic": "nosuch", "partition": 0, "replicas": [0]}]},
    "stay-twice.json": {"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [0]}] * 2},
    "stay-none.json": {"version": 1, "partitions": []},
    "move.json": {"version": 1, "topics": [{"topic": "orders"}, {"topic": "spare"}]},
    "move-nosuch.json": {"version": 1, "topics": [{"topic": "nosuch"}]},
    "elect.json": {"partitions": [{"topic": "orders", "partition": 0}, {"topic": "spare", "partition": 1}]},
    "elect-nosuch.json": {"partitions": [{"topic": "orders", "partition": 0}, {"topic": "nosuch", "partition": 0}]},
    "topic.properties": "retention.bytes=5000\nsegment.bytes=1048576\n",
}


def write_files(directory):
    """What the calls name of files, as `FILES/name`."""
    os.makedirs(directory, exist_ok=True)
    for name, content in FILES.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
