"""The round trip by confluent-kafka, which is librdkafka: BOOTSTRAP TOPIC."""
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP, TOPIC = sys.argv[1:]
COMPRESSIONS, RECORDS, PATIENCE_S = ("none", "gzip", "snappy", "lz4", "zstd"), 500, 60


def produce():
    errors = []
    for compression in COMPRESSIONS:
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "compression.type": compression})
        for n in range(RECORDS):
            producer.produce(TOPIC, key="k%d" % (n % 10), value="%s %d naïve 北京" % (compression, n),
                             headers={"client": "confluent-kafka"}, on_delivery=lambda error, _: error and errors.append(error))
        assert producer.flush(PATIENCE_S) == 0
    assert not errors, errors[:3]
    print("ok: produced")


def consumer():
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": TOPIC, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "partition.assignment.strategy": "cooperative-sticky"})


def consume():
    members, seen, everything = [consumer(), consumer()], set(), RECORDS * len(COMPRESSIONS)
    for member in members:
        member.subscribe([TOPIC])
    until = time.monotonic() + PATIENCE_S
    shares = [0, 0]
    while time.monotonic() < until and not (len(seen) == everything and all(shares) and sum(shares) == 3):
        for member in members:
            batch = member.consume(1000, timeout=0.2)
            for record in batch:
                assert not record.error(), record.error()
                assert record.headers() == [("client", b"confluent-kafka")]
                seen.add((record.partition(), record.offset()))
            if batch:  # who waits for the answer may wait behind its own JoinGroup, and that for the other member, which nobody polls then
                member.commit()
        shares = [len(member.assignment()) for member in members]
    assert all(shares) and sum(shares) == 3, "the shares are %s" % shares
    assert len(seen) == everything, "%d of %d records were seen" % (len(seen), everything)
    while time.monotonic() < until and committed(members[0]) != everything:
        for member in members:  # once more: what was committed while the members joined was refused
            member.consume(1, timeout=0.1)
            positions = [it for it in member.position(member.assignment()) if it.offset >= 0]
            if positions:
                member.commit(offsets=positions)
    for member in members:
        member.close()
    print("ok: two members share %s and see everything" % shares)


def committed(member):
    return sum(it.offset for it in member.committed([TopicPartition(TOPIC, n) for n in range(3)], PATIENCE_S))


def main():
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    for created in admin.create_topics([NewTopic(TOPIC, 3, 1)]).values():
        created.result()
    produce()
    consume()
    found = committed(consumer())
    assert found == RECORDS * len(COMPRESSIONS), "%d are committed" % found
    print("ok: all is committed")


main()
