"""A log directory that Apache Kafka wrote, stopped or killed, opened by Forebay: clients see the same in it as they did on Kafka,
and Kafka's own tool reads what Forebay has made of it. Once more where the metadata log no longer begins at offset 0, and what was
before it is in snapshots: Kafka's, then Forebay's."""
import os
import shutil
import time

import dumps
import processes
from checks import equal, expect

SOURCE = os.path.join(processes.REPOSITORY, "tests", "peers", "Directory.java")
# The cleaner comes soon, and what DeleteRecords has done is on the disk before the broker is killed.
SETTINGS = {"log.cleaner.backoff.ms": 200, "log.initial.task.delay.ms": 100, "log.flush.start.offset.checkpoint.interval.ms": 200}
PATIENCE_S = 180
METADATA = "__cluster_metadata-0"
# Snapshots follow each other closely, and all that they stand for goes: Kafka looks for that every minute.
TRIMMED = {"metadata.log.max.record.bytes.between.snapshots": 4000, "metadata.log.segment.ms": 2000, "metadata.max.retention.bytes": 1}
SEGMENT_BYTES = {"3": {"metadata.log.segment.min.bytes": 65536, "metadata.log.segment.bytes": 65536},
                 "4": {"internal.metadata.log.segment.bytes": 65536}}


def check(checks, version, forebay, directory):
    checks.section("Directories of Apache Kafka %s under Forebay" % version)
    filled(checks, version, forebay, directory, {}, "")
    trimmed = os.path.join(directory, "trimmed")
    os.mkdir(trimmed)
    filled(checks, version, forebay, trimmed, {**TRIMMED, **SEGMENT_BYTES[version[0]]}, ", its metadata log trimmed")


def filled(checks, version, forebay, directory, settings, what):
    settings = {**SETTINGS, **settings}
    is_old = version.startswith("3.")
    with processes.Kafka(version, directory) as kafka:
        with checks.check("Apache Kafka %s has records, transactions and groups%s" % (version, what)) as notes:
            kafka.start(settings)
            # In 3.9 groups of the consumer protocol are a preview, behind a metadata version of 4.0.
            java(kafka, "fill", kafka.bootstrap, "classic" if is_old else "classic,consumer")
            before = java(kafka, "dump", kafka.bootstrap)
            data = os.path.join(kafka.directory, "data-0")
            if what:
                notes.append("offset 0 is gone after %d s" % gone(os.path.join(data, METADATA)))
            kafka.peer("kill", "0")
            copies = {"killed" + what: copy(data, directory, "killed")}
            kafka.start(settings)
            kafka.peer("down")
            copies["stopped" + what] = copy(data, directory, "stopped")
        for how, place in copies.items():
            opened(checks, kafka, forebay, place, how, before)
            if what:
                trims(checks, kafka, forebay, place, how, before)


def gone(folder):
    """Waits until the log's first segment is not there any more; gives for how long."""
    began = time.monotonic()
    while os.path.exists(os.path.join(folder, "00000000000000000000.log")):
        expect(time.monotonic() - began < PATIENCE_S, "Kafka has kept the beginning of its metadata log")
        time.sleep(0.5)
    expect(files(folder, ".checkpoint"), "there is no snapshot")
    return time.monotonic() - began


def files(folder, suffix):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(suffix))


def trims(checks, kafka, forebay, place, how, before):
    """Forebay goes on with snapshots of its own."""
    folder = os.path.join(place, METADATA)
    theirs = files(folder, ".checkpoint")
    overrides = ["broker.log.dirs=" + place, "broker.metadata.log.max.record.bytes.between.snapshots=1",
                 "broker.metadata.max.retention.bytes=1"]
    hub = processes.Hub(forebay, place + "-trims", "broker", overrides)
    with hub:
        with checks.check("%s: Forebay's own snapshots take the place of Kafka's" % how):
            hub.start()
            began = time.monotonic()
            while set(files(folder, ".checkpoint")) & set(theirs):
                expect(time.monotonic() - began < PATIENCE_S, "Kafka's are still there: %s" % os.listdir(folder))
                time.sleep(0.1)
            hub.kill()
            hub.start()
            equal(java(kafka, "dump", hub.bootstrap()), before, "what clients see")
            hub.stop()
        # The tool of 3.9 prints lines of its logger among the others.
        if kafka.version.startswith("4"):
            with checks.check("%s: both dump-logs read them, and say the same" % how) as notes:
                snapshots = files(folder, ".checkpoint")
                expect(snapshots, "there is none")
                lines = sum(dumps.both(kafka, forebay, snapshots, way) for way in ([], ["--cluster-metadata-decoder"]))
                notes.append("%d lines" % lines)


def opened(checks, kafka, forebay, place, how, before):
    """What Forebay makes of a directory whose broker was `how`."""
    # The segment that the log ends with.
    last = files(os.path.join(place, METADATA), ".log")[-1]
    written = content(last)
    hub = processes.Hub(forebay, place + "-hub", "broker", ["broker.log.dirs=" + place])
    with hub:
        with checks.check("%s: topics, records, transactions and offsets are there" % how) as notes:
            hub.start()
            notes.append(hub.ready)
            equal(java(kafka, "dump", hub.bootstrap()), before, "what clients see")
        with checks.check("%s: and again after SIGKILL" % how):
            hub.kill()
            hub.start()
            equal(java(kafka, "dump", hub.bootstrap()), before, "what clients see")
            hub.stop()
        with checks.check("%s: the metadata log goes on where Kafka ended" % how):
            expect(content(last).startswith(written), "what Kafka wrote was changed")
        with checks.check("%s: Kafka's tool reads every segment that is left" % how) as notes:
            notes.append("%d segments" % dumped(kafka, place))


def java(kafka, *arguments):
    """Runs the class of `Directory.java`; gives the lines that it prints."""
    jars = kafka.peer("jars").strip()
    argv = [os.environ.get("JAVA", "java"), "-Xmx300m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
            os.path.join(jars, "*"), SOURCE, *arguments]
    return processes.run(argv, patience=PATIENCE_S).splitlines()


def copy(data, directory, name):
    place = os.path.join(directory, name)
    shutil.copytree(data, place)
    return place


def content(path):
    with open(path, "rb") as f:
        # Kafka gives a growing file no more than it has; ours may be filled ahead with zeros while it is open.
        return f.read().rstrip(b"\0")


def dumped(kafka, place):
    segments = []
    for folder, _, names in os.walk(place):
        segments += [os.path.join(folder, name) for name in names if name.endswith(".log")]
    segments = [segment for segment in segments if os.path.getsize(segment)]
    said = kafka.tool("dump-log", None, "--deep-iteration", "--files", ",".join(segments), patience=PATIENCE_S)
    expect("isvalid: false" not in said and "invalid" not in said.lower(), "it finds something: %s" % said[-300:])
    return len(segments)
