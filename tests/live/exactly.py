"""A distributed worker of Forebay's on Kafka's broker, with an exactly-once file source and an object-store sink that says what it
intends, killed in the middle of both: every line is once in the topic, for who reads what is committed, and once in Parquet.
`FOREBAY_TEST_BREAK=transaction` runs the source without transactions: lines then come twice, and the check must fail."""
import collections
import glob
import json
import os
import random
import signal
import threading
import time

import parquet
from checks import equal, eventually, expect
from mixed import STRING, Worker, write_properties
from pipeline import FORMATS, Input
from rest import call, create_connector, failures

TOPIC, PARTITIONS, KILLS = "exactly", 3, 5
BURST, BURST_INTERVAL_S = 50, 0.05
LIFE_MAX_S, ROTATION_MS = 1.0, 400


def check(checks, kafka, ours, theirs, directory):
    """`kafka` is up; `ours` and `theirs` are tools on it."""
    worker, log = Worker(), os.path.join(directory, "exactly.log")
    is_broken = os.environ.get("FOREBAY_TEST_BREAK") == "transaction"
    properties, store = os.path.join(directory, "exactly.properties"), os.path.join(directory, "exactly")
    growing = Input(os.path.join(directory, "exactly.txt"))
    write_properties(properties, {
        "bootstrap.servers": kafka.bootstrap, "group.id": TOPIC, "listeners": "http://" + worker.url(), "key.converter": STRING,
        "value.converter": STRING, "offset.flush.interval.ms": 300, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000,
        "config.storage.topic": TOPIC + "-configs", "status.storage.topic": TOPIC + "-statuses",
        "offset.storage.topic": TOPIC + "-offsets", "config.storage.replication.factor": 1, "status.storage.replication.factor": 1,
        "offset.storage.replication.factor": 1, "exactly.once.source.support": "disabled" if is_broken else "enabled"})

    def start():
        worker.start([ours.forebay, "connect", properties], log)

    def files():
        return glob.glob(os.path.join(store, "topics", TOPIC, "partition=*", "*.parquet"))

    def stored():
        """About how many records are stored, by the names of the files."""
        ranges = [os.path.basename(path).split(".", 1)[0].split("+") for path in files()]
        return sum(int(end) - int(start) + 1 for *_, start, end in ranges)

    def rows():
        return [row["value"] for path in sorted(files()) for row in parquet.rows(path)]

    try:
        with checks.check("exactly-once file source and object-store sink: killed %d times while the file grows" % KILLS) as notes:
            ours("topics", "--create", "--topic", TOPIC, "--partitions", str(PARTITIONS))
            start()
            create_connector(worker, "exactly-source", {
                "connector.class": "FileStreamSource", "file": growing.path, "topic": TOPIC, "tasks.max": "1"})
            create_connector(worker, "exactly-sink", {
                "connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "2", "topics": TOPIC,
                "store.url": "file://" + store, "format.class": FORMATS["parquet"], "flush.size": "2000",
                "rotate.schedule.interval.ms": str(ROTATION_MS), "timezone": "UTC"})
            stop = threading.Event()

            def grow():
                while not stop.wait(BURST_INTERVAL_S):
                    growing.append(BURST)
            thread = threading.Thread(target=grow)
            thread.start()
            try:
                killed(worker, start, growing, stored)
            finally:
                stop.set()
                thread.join()
            notes.append("%d lines" % len(growing.lines))
        with checks.check("every line is once in Parquet") as notes:
            def all_there():
                wrong = failures(worker)
                expect(not wrong, "; ".join(wrong))
                there = set(rows())
                expect(there >= set(growing.lines), "of %d lines there are %d" % (len(growing.lines), len(there)))
                return True
            eventually("all lines are stored", all_there)
            for name in ("exactly-source", "exactly-sink"):
                call(worker, "connect", "PUT", "/connectors/%s/stop" % name)
            eventually("nobody writes any more", lambda: not running(worker))
            notes.append("%d rows" % once(rows(), growing.lines, "Parquet"))
        with checks.check("every line is once in the topic, as Kafka's console-consumer reads it (read_committed)") as notes:
            found = theirs.read(TOPIC, "--isolation-level", "read_committed", idle_ms=6000)
            notes.append("%d records" % once(found.values(), growing.lines, "the topic"))
        with checks.check("what was intended is done") as notes:
            said, left = intents(theirs, TOPIC + "-offsets-intents")
            expect(said > 0, "nothing was intended")
            equal(left, [], "what is outstanding")
            notes.append("%d intents" % said)
    finally:
        worker.end(signal.SIGKILL)


def killed(worker, start, growing, stored):
    """Kills the worker at random moments while lines are on their way."""
    chance, before = random.Random(), 0
    for number in range(KILLS):
        def has_grown(before=before):
            return stored() > before
        eventually("more is stored", has_grown)
        time.sleep(chance.uniform(0, LIFE_MAX_S))
        worker.end(signal.SIGKILL)
        before = stored()
        expect(before < len(growing.lines), "kill %d came when all lines were stored" % (number + 1))
        start()


def running(worker):
    status = call(worker, "connect", "GET", "/connectors?expand=status")
    return [name for name, it in status.items() if it["status"]["tasks"]]


def once(found, lines, place):
    counts = collections.Counter(found)
    twice = sorted(value for value, count in counts.items() if count > 1)
    expect(not twice, "%d lines are more than once in %s, such as %r" % (len(twice), place, twice[:1]))
    equal(sorted(counts), sorted(lines), "the lines in %s" % place)
    return len(counts)


def intents(tools, topic):
    """How many objects were announced in a topic of intents, and those that were not made."""
    said = tools("console-consumer", "--topic", topic, "--from-beginning", "--timeout-ms", "6000",
                 "--isolation-level", "read_committed", tools.formatter, "print.key=true")
    count, left = 0, {}
    for line in said.splitlines():
        key, value = line.split("\t", 1)
        is_said = value != "null" and json.loads(value) is not None
        count += is_said
        left[key] = is_said
    return count, sorted(key for key, is_left in left.items() if is_left)
