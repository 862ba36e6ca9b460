"""The round trip by kafka-python: BOOTSTRAP TOPIC."""
import sys
import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

BOOTSTRAP, TOPIC = sys.argv[1:]
COMPRESSIONS, RECORDS, PATIENCE_S = ("none", "gzip"), 500, 60


def produce():
    for compression in COMPRESSIONS:
        producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", enable_idempotence=True,
                                 compression_type=None if compression == "none" else compression)
        sent = [producer.send(TOPIC, key=b"k%d" % (n % 10), value=("%s %d naïve 北京" % (compression, n)).encode(),
                              headers=[("client", b"kafka-python")]) for n in range(RECORDS)]
        producer.flush()
        assert all(it.get(timeout=PATIENCE_S).offset >= 0 for it in sent)
        producer.close()
    print("ok: produced")


def consume():
    """Two members of one group, each in a thread, as the client wants it."""
    seen, shares, everything, done = [], [0, 0], RECORDS * len(COMPRESSIONS), threading.Event()

    def member(number):
        consumer = KafkaConsumer(TOPIC, bootstrap_servers=BOOTSTRAP, group_id=TOPIC, auto_offset_reset="earliest",
                                 enable_auto_commit=False)
        # kafka-python 3.0.12 loses an assignment: a leader that joins again because it has learnt of partitions, while `poll` runs out of
        # time, never looks at the answer (`need_rejoin` is false by then). So it learns of them first.
        consumer.partitions_for_topic(TOPIC)
        while not done.is_set():
            for batch in consumer.poll(timeout_ms=200).values():
                seen.extend((it.partition, it.offset, it.key, it.value, tuple(it.headers)) for it in batch)
                consumer.commit()
            shares[number] = len(consumer.assignment())
        consumer.close()
    members = [threading.Thread(target=member, args=(number,)) for number in range(2)]
    for it in members:
        it.start()
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and not (len(set(seen)) >= everything and all(shares) and sum(shares) == 3):
        time.sleep(0.1)
    found = list(shares)
    done.set()
    for it in members:
        it.join()
    assert all(found) and sum(found) == 3, "the shares are %s" % found
    assert len(set(seen)) == everything, "%d of %d records were seen" % (len(set(seen)), everything)
    assert all(headers == (("client", b"kafka-python"),) for *_, headers in seen)
    print("ok: two members share %s and see everything" % found)


def main():
    admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    admin.create_topics([NewTopic(TOPIC, num_partitions=3, replication_factor=1)])
    produce()
    consume()
    partitions = [TopicPartition(TOPIC, n) for n in range(3)]
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=TOPIC)
    committed = sum(consumer.committed(it) or 0 for it in partitions)
    ends = sum(consumer.end_offsets(partitions).values())
    assert committed == ends == RECORDS * len(COMPRESSIONS), "%d committed of %d" % (committed, ends)
    print("ok: all is committed")


main()
