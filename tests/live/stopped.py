"""Two distributed workers of Forebay's on Kafka's broker. The owner of an object-store sink is stopped (SIGSTOP) past its session while a put
of its is on its way, and goes on when the other has written: every line is once in Parquet (faults.md C6).
`FOREBAY_TEST_BREAK=intents` runs the sinks without intents: lines are then stored twice, and the check must fail."""
import os
import signal

import parquet
from bucket import Bucket
from checks import equal, eventually, expect
from exactly import intents, once, running
from mixed import STRING, Worker, owners, write_properties
from pipeline import FORMATS
from rest import call, create_connector, failures

GROUP, SINKS, PARTITIONS, LINES = "stopped", 4, 2, 20
SESSION_MS, ROTATION_MS = 6000, 300
# Where the put of a stopped owner is: it arrives when another has made the object; or it arrives, and nobody has said so.
LATE, STORED = "late", "stored"


class Sinks:
    """Sinks of a task each, and their topics of the same names."""

    def __init__(self, tools, bucket, workers):
        self.tools, self.bucket, self.workers = tools, bucket, workers
        self.awake = workers[0]
        self.names = ["stopped-%d" % number for number in range(SINKS)]
        self.lines = []

    def create(self, with_intents):
        for name in self.names:
            self.tools("topics", "--create", "--topic", name, "--partitions", str(PARTITIONS))
            create_connector(self.workers[0], name, {
                "connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "1", "topics": name,
                "format.class": FORMATS["parquet"], "flush.size": "1000", "rotate.schedule.interval.ms": str(ROTATION_MS),
                "timezone": "UTC", "intents.enable": str(with_intents).lower(),
                "consumer.override.session.timeout.ms": str(SESSION_MS), "consumer.override.heartbeat.interval.ms": "1000",
                **self.bucket.keys()})

    def produce(self):
        """The same to all topics."""
        added = ["line %d" % number for number in range(len(self.lines), len(self.lines) + LINES)]
        self.lines += added
        for name in self.names:
            self.tools("console-producer", "--topic", name, stdin="".join(line + "\n" for line in added))

    def rows(self, name):
        paths = [self.bucket.path(key) for key, _ in self.bucket.list(folder(name))]
        return [row["value"] for path in paths for row in parquet.rows(path)]

    def until_stored(self):
        """Everything is there, at least once."""
        for name in self.names:
            def stored(name=name):
                found = set(self.rows(name))
                expect(found >= set(self.lines), "of %d lines there are %d; %s" % (
                    len(self.lines), len(found), "; ".join(failures(self.awake))))
                return True
            eventually("all lines of %s are stored" % name, stored)

    def until_all_run(self, wanted):
        """Each on one of these workers, and each of these has some; gives who has what."""
        def run():
            wrong, found = failures(wanted[0]), owners(wanted[0])
            expect(not wrong, "; ".join(wrong))
            has = [task for tasks in found.values() for task in tasks]
            expect(len(has) == SINKS and set(has) == {worker.url() for worker in wanted}, "%s" % found)
            return {name: tasks[0] for name, tasks in found.items()}
        return eventually("all runs", run)

    def stop(self, victim):
        """Stops a worker when each of its sinks has a put on its way; gives where that is."""
        found = self.until_all_run(self.workers)
        own = sorted(name for name in self.names if found[name] == victim.url())
        moments = {name: (LATE, STORED)[number % 2] for number, name in enumerate(own)}
        for name in moments:
            self.bucket.arm(folder(name))
        self.produce()
        held = {name: eventually("a put of %s" % name, lambda name=name: self.bucket.held(folder(name))) for name in moments}
        victim.process.send_signal(signal.SIGSTOP)
        for name, moment in moments.items():
            if moment == STORED:
                self.bucket.release(folder(name))
                eventually("%s is made" % held[name], lambda name=name: os.path.exists(self.bucket.path(held[name])))
        return moments


def folder(name):
    return "topics/%s/" % name


def check(checks, kafka, ours, theirs, directory):
    """`kafka` is up; `ours` and `theirs` are tools on it."""
    workers = [Worker(), Worker()]
    bucket = Bucket(os.path.join(directory, "stopped"))
    sinks = Sinks(ours, bucket, workers)
    try:
        with checks.check("two workers with object-store sinks: the owner stopped past its session while its puts are on their way") as notes:
            for number, worker in enumerate(workers):
                properties = os.path.join(directory, "stopped-%d.properties" % number)
                write_properties(properties, {
                    "bootstrap.servers": kafka.bootstrap, "group.id": GROUP, "listeners": "http://" + worker.url(),
                    "key.converter": STRING, "value.converter": STRING, "offset.flush.interval.ms": 300,
                    "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 1000, "scheduled.rebalance.max.delay.ms": 0,
                    **{"%s.storage.topic" % kind: "%s-%s" % (GROUP, kind) for kind in ("config", "status", "offset")},
                    **{"%s.storage.replication.factor" % kind: 1 for kind in ("config", "status", "offset")}})
                worker.start([ours.forebay, "connect", properties], os.path.join(directory, "stopped-%d.log" % number))
            sinks.create(os.environ.get("FOREBAY_TEST_BREAK") != "intents")
            caught = 0
            for victim, other in (workers, reversed(workers)):
                sinks.awake = other
                moments = sinks.stop(victim)
                caught += len(moments)
                sinks.produce()
                sinks.until_all_run([other])
                sinks.until_stored()
                for name, moment in moments.items():
                    if moment == LATE:
                        bucket.release(folder(name))
                sinks.produce()
                sinks.until_stored()
                victim.process.send_signal(signal.SIGCONT)
                sinks.until_all_run(workers)
                sinks.produce()
                sinks.until_stored()
            expect(caught >= SINKS, "only %d puts were held" % caught)
            notes.append("%d puts held" % caught)
        with checks.check("every line is once in Parquet, and what was intended is done") as notes:
            for name in sinks.names:
                call(workers[0], "connect", "PUT", "/connectors/%s/stop" % name)
            eventually("nobody writes any more", lambda: not running(workers[0]))
            count = sum(once(sinks.rows(name), sinks.lines, "the objects of %s" % name) for name in sinks.names)
            said, left = intents(theirs, GROUP + "-offset-intents")
            expect(said > 0, "nothing was intended")
            equal(left, [], "what is outstanding")
            notes.append("%d rows, %d intents" % (count, said))
    finally:
        for worker in workers:
            if worker.process:
                worker.process.send_signal(signal.SIGCONT)
            worker.end(signal.SIGKILL)
        bucket.close()
