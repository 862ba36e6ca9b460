"""A log directory that Apache Kafka wrote, stopped or killed, opened by Forebay: clients see the same in it as they did on Kafka,
and Kafka's own tool reads what Forebay has made of it."""
import os
import shutil

import processes
from checks import equal, expect

SOURCE = os.path.join(processes.REPOSITORY, "tests", "peers", "Directory.java")
# The cleaner comes soon, and what DeleteRecords has done is on the disk before the broker is killed.
SETTINGS = {"log.cleaner.backoff.ms": 200, "log.initial.task.delay.ms": 100, "log.flush.start.offset.checkpoint.interval.ms": 200}
PATIENCE_S = 180
METADATA_LOG = os.path.join("__cluster_metadata-0", "00000000000000000000.log")


def check(checks, version, forebay, directory):
    checks.section("Directories of Apache Kafka %s under Forebay" % version)
    with processes.Kafka(version, directory) as kafka:
        old = version.startswith("3.")
        with checks.check("Apache Kafka %s has records, transactions and groups" % version):
            kafka.start(SETTINGS)
            # In 3.9 groups of the consumer protocol are a preview, behind a metadata version of 4.0.
            java(kafka, "fill", kafka.bootstrap, "classic" if old else "classic,consumer")
            before = java(kafka, "dump", kafka.bootstrap)
            data = os.path.join(kafka.directory, "data-0")
            kafka.peer("kill", "0")
            copies = {"killed": copy(data, directory, "killed")}
            kafka.start(SETTINGS)
            kafka.peer("down")
            copies["stopped"] = copy(data, directory, "stopped")
        for how, place in copies.items():
            opened(checks, kafka, forebay, place, how, before)


def opened(checks, kafka, forebay, place, how, before):
    """What Forebay makes of a directory whose broker was `how`."""
    written = content(os.path.join(place, METADATA_LOG))
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
            now = content(os.path.join(place, METADATA_LOG))
            expect(now.startswith(written), "what Kafka wrote was changed")
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
