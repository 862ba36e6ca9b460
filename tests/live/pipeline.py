"""File -> topic -> JSON lines, Parquet and word count, over any cluster; the process that does it is killed once in the middle."""
import collections
import glob
import json
import os
import random
import threading
import time

import parquet
from checks import equal, eventually, expect
from processes import run
from rest import call, create_connector, failures

TOPIC, COUNTS, PARTITIONS = "lines", "word-counts", 3
LINES, MORE_LINES = 6_000, 20_000
BURST, BURST_INTERVAL_S = 250, 0.05
WORDS = "the quick brown fox jumps over lazy dog naïve café 北京 kafka forebay".split()
STRING = "org.apache.kafka.connect.storage.StringConverter"
COMMITTED = ("--isolation-level", "read_committed")  # The source is exactly once, its transactions may be aborted.
AVRO = "io.confluent.connect.avro.AvroConverter"
FORMATS = {"json": "io.confluent.connect.s3.format.json.JsonFormat", "parquet": "io.confluent.connect.s3.format.parquet.ParquetFormat"}


class Input:
    """A file of lines, each of its own; it can grow while somebody reads."""

    def __init__(self, path):
        self.path, self.lines, self.random = path, [], random.Random(7)

    def append(self, count):
        added = []
        for number in range(len(self.lines), len(self.lines) + count):
            words = [self.random.choice(WORDS) for _ in range(self.random.randrange(9))]
            added.append(("  " if number % 10 == 0 else " ").join(["%d" % number, *words]))
        with open(self.path, "a", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in added)
        self.lines += added

    def grow(self, count):
        """Appends in bursts, in a thread; gives it."""
        def bursts():
            for _ in range(count // BURST):
                self.append(BURST)
                time.sleep(BURST_INTERVAL_S)
        thread = threading.Thread(target=bursts)
        thread.start()
        return thread


class Pipeline:
    """The connectors of `hub`, whose services work with the cluster of `tools`, which are Forebay's."""

    def __init__(self, hub, tools, directory):
        self.hub, self.tools, self.directory = hub, tools, directory
        self.input = Input(os.path.join(directory, "input.txt"))
        self.rows = {}  # Of the files that were counted: whole files do not change.

    def start(self):
        for topic, partitions in ((TOPIC, PARTITIONS), (COUNTS, 1)):
            self.tools("topics", "--create", "--topic", topic, "--partitions", str(partitions))
        self.input.append(LINES)
        create_connector(self.hub, "source", {"connector.class": "FileStreamSource", "file": self.input.path, "topic": TOPIC,
                                              "value.converter": STRING})
        for form in FORMATS:
            create_connector(self.hub, form, self.sink(form, TOPIC, STRING))

    def sink(self, form, topic, converter):
        return {"connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "2", "topics": topic,
                "store.url": "file://" + self.store(form), "format.class": FORMATS[form], "flush.size": "400",
                "rotate.schedule.interval.ms": "500", "timezone": "UTC", "key.converter": STRING, "value.converter": converter}

    def store(self, form):
        return os.path.join(self.directory, form)

    def files(self, form, topic=TOPIC):
        """The files that are whole: (partition, start, end, path), in order."""
        found = []
        for path in glob.glob(os.path.join(self.store(form), "topics", topic, "partition=*", "*." + form)):
            name = os.path.basename(path).split(".", 1)[0]
            found.append((*map(int, name.removeprefix(topic + "+").split("+")), path))
        return sorted(found)

    def stored(self, form):
        """How many records are stored; the offsets in the files' names have the ends of transactions, too."""
        paths = [path for *_, path in self.files(form)]
        for path in paths:
            if path not in self.rows:
                self.rows[path] = len(values(form, path))
        return sum(self.rows[path] for path in paths)

    def is_stored(self, records):
        wrong = failures(self.hub)
        expect(not wrong, "; ".join(wrong))
        stored = {form: self.stored(form) for form in FORMATS}
        expect(all(count >= records for count in stored.values()), "of %d records there are %s" % (records, stored))
        return True


def values(form, path):
    if form == "parquet":
        return [row["value"] for row in parquet.rows(path)]
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def compare_files(pipeline, form, topic):
    """Every record of the topic is in exactly one file, in order, and nothing else is."""
    ends = collections.Counter()
    for partition, start, end, path in pipeline.files(form):
        # The end of a transaction may lie between two files.
        between = [place for place in ((partition, offset) for offset in range(ends[partition], start)) if place in topic]
        equal(between, [], "what is in no file before %s" % os.path.basename(path))
        expect(start >= ends[partition], "%s begins within the file before it" % os.path.basename(path))
        ends[partition] = end + 1
        places = ((partition, offset) for offset in range(start, end + 1))
        expected = [topic[place] for place in places if place in topic]
        equal(values(form, path), expected, "the rows of %s" % os.path.basename(path))
    missing = [place for place in topic if place[1] >= ends[place[0]]]
    equal(missing, [], "what is behind the files' ends")


def compare_counts(pipeline, lines, forebay):
    """The word count's output equals what is counted here; it goes on from its checkpoint."""
    run([forebay, "streams", "wordcount", "--topic", TOPIC, "--available-now", "--bootstrap-server", pipeline.tools.bootstrap,
         "--output-topic", COUNTS, "--checkpoint-location", os.path.join(pipeline.directory, "checkpoint")])
    said = pipeline.tools("console-consumer", "--topic", COUNTS, "--from-beginning", "--timeout-ms", "3000",
                          pipeline.tools.formatter, "print.key=true")
    found = dict(line.split("\t") for line in said.splitlines())
    expected = collections.Counter(word for line in lines for word in line.split(" "))
    equal(sorted((word, int(count)) for word, count in found.items()), sorted(expected.items()), "the counts")
    return "%d words, %d different" % (sum(expected.values()), len(expected))


def check(checks, pipeline, kafka_tools, forebay):
    """All of it; `kafka_tools` are Kafka's own and say what is in the topic."""
    tools, lines, topic = pipeline.tools, pipeline.input.lines, {}
    with checks.check("Connect: file source and two sinks are created, and everything is stored") as notes:
        pipeline.start()
        eventually("everything is stored", lambda: pipeline.is_stored(LINES))
        notes.append("%d lines" % LINES)
    with checks.check("the topic is the file, line by line"):
        topic = tools.read(TOPIC, *COMMITTED)
        equal(sorted(topic.values()), sorted(lines), "the values")
    for form in FORMATS:
        with checks.check("%s files are the topic" % form) as notes:
            compare_files(pipeline, form, topic)
            notes.append("%d files" % len(pipeline.files(form)))
    with checks.check("forebay streams wordcount --available-now counts the file's words") as notes:
        notes.append(compare_counts(pipeline, lines, forebay))
    killed(checks, pipeline)
    with checks.check("after the kill, every line is in the topic once, and nothing else is") as notes:
        topic = settled(pipeline)
        equal(sorted(topic.values()), sorted(lines), "the values")
        notes.append("%d lines, %d records" % (len(lines), len(topic)))
    with checks.check("Kafka's console-consumer reads the same"):
        equal(sorted(kafka_tools.read(TOPIC, *COMMITTED, idle_ms=6000).items()), sorted(topic.items()), "the records")
    for form in FORMATS:
        with checks.check("every record of the topic is in exactly one %s file" % form) as notes:
            compare_files(pipeline, form, topic)
            notes.append("%d files" % len(pipeline.files(form)))
    with checks.check("the word count goes on to the topic's counts") as notes:
        notes.append(compare_counts(pipeline, topic.values(), forebay))
    with checks.check("Connect: pause, resume, restart, delete"):
        for verb, path in (("PUT", "pause"), ("PUT", "resume"), ("POST", "restart")):
            call(pipeline.hub, "connect", verb, "/connectors/source/" + path)
        eventually("all run again", lambda: not failures(pipeline.hub))
        for name in ("source", *FORMATS):
            call(pipeline.hub, "connect", "DELETE", "/connectors/" + name)
        eventually("all are gone", lambda: call(pipeline.hub, "connect", "GET", "/connectors") == [])


def killed(checks, pipeline):
    """Kills and restarts the worker while the file grows."""
    with checks.check("SIGKILL while the file grows; the worker comes back by itself") as notes:
        growing = pipeline.input.grow(MORE_LINES)
        try:
            goal = LINES + MORE_LINES // 4
            eventually("a quarter of the new lines is stored", lambda: pipeline.stored("parquet") > goal)
            pipeline.hub.kill()
            written, stored = len(pipeline.input.lines), pipeline.stored("parquet")
            notes.append("%d lines were there, %d of %d stored" % (written, stored, LINES + MORE_LINES))
            expect(written < LINES + MORE_LINES and stored < written, "it came too late: %s" % notes[-1])
            pipeline.hub.start()
        finally:
            growing.join()
        eventually("everything is stored", lambda: pipeline.is_stored(LINES + MORE_LINES))


def settled(pipeline):
    """The topic, once it does not grow any more and all of it is stored."""
    def look():
        topic = pipeline.tools.read(TOPIC, *COMMITTED)
        return topic if pipeline.is_stored(len(topic)) and set(pipeline.input.lines) <= set(topic.values()) else None
    return eventually("the topic holds every line and all of it is stored", look)


def avro(checks, pipeline, topic, rows):
    """What the REST proxy produced becomes typed columns, by the schema registry."""
    with checks.check("Avro records become Parquet columns"):
        create_connector(pipeline.hub, "avro", pipeline.sink("parquet", topic, AVRO))

        def stored():
            wrong = failures(pipeline.hub)
            expect(not wrong, "; ".join(wrong))
            return sum(end - start + 1 for _, start, end, _ in pipeline.files("parquet", topic)) >= len(rows)
        eventually("stored", stored)
        equal([row for *_, path in pipeline.files("parquet", topic) for row in parquet.rows(path)], rows, "the rows")
        call(pipeline.hub, "connect", "DELETE", "/connectors/avro")
