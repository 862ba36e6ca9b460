"""Workers of Kafka's and of Forebay's in one group, on Kafka's broker: each takes over what the other had when it was killed, without and
with exactly-once sources, where tasks of each are fenced by whichever leads. And each goes on from the offset file that the other has left
where it runs alone."""
import os
import signal
import subprocess

from checks import PATIENCE_S, Wrong, equal, eventually, expect
from processes import PEER, free_port
from rest import call, failures

LINES, CONNECTORS = 200, 4
KAFKA_HEAP, SESSION_MS = "256m", 6000
STRING = "org.apache.kafka.connect.storage.StringConverter"
SETTINGS = {"key.converter": STRING, "value.converter": STRING, "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": 1000, "scheduled.rebalance.max.delay.ms": 0, "offset.flush.interval.ms": 500}
SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
KAFKAS_ALONE = "org.apache.kafka.connect.cli.ConnectStandalone"


class Worker:
    """What `rest.call` asks: a worker by its port."""

    def __init__(self, port=None):
        self.ports, self.process = {"connect": port or free_port()}, None

    def url(self):
        return "127.0.0.1:%d" % self.ports["connect"]

    def start(self, argv, log):
        with open(log, "ab") as output:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        eventually("it answers", lambda: isinstance(call(self, "connect", "GET", "/connectors"), list))

    def end(self, number):
        if self.process:
            self.process.send_signal(number)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired as error:
                self.process.kill()
                raise Wrong("the worker did not end on signal %d" % number) from error
            finally:
                self.process = None


class Lines:
    """Files that grow, and how many lines each has."""

    def __init__(self, directory, names, tools):
        self.paths = {name: os.path.join(directory, name + ".txt") for name in names}
        self.tools, self.written = tools, []

    def grow(self):
        added = ["line %d" % n for n in range(len(self.written), len(self.written) + LINES)]
        for path in self.paths.values():
            with open(path, "a", encoding="utf-8") as f:
                f.writelines(line + "\n" for line in added)
        self.written.extend(added)

    def all_came(self):
        """Every line of every file is in the topic of its name, once and in order."""
        for topic in self.paths:
            def there(topic=topic):
                said = self.tools("get-offsets", "--topic", topic)
                ends = [line.rsplit(":", 1)[1] for line in said.splitlines() if line.count(":") == 2]
                return sum(map(int, ends)) >= len(self.written)
            eventually("%d lines are in %s" % (len(self.written), topic), there)
            found = list(self.tools.read(topic, "--isolation-level", "read_committed", idle_ms=3000).values())
            equal(found, self.written, "the topic %s" % topic)


def owners(worker):
    """Who has which task."""
    status = call(worker, "connect", "GET", "/connectors?expand=status")
    return {name: [task["worker_id"] for task in it["status"]["tasks"]] for name, it in status.items()}


def check(checks, kafka, ours, forebay, directory):
    """`kafka` is up; `ours` are tools on it."""
    for support in ("disabled", "enabled"):
        group = "mixed" if support == "disabled" else "mixed-exactly"
        shared(checks, kafka, ours, forebay, directory, group, support)
    with checks.check("a worker alone goes on from the offset file of the other"):
        alone(kafka, ours, forebay, directory, os.path.join(directory, "mixed.log"))


def shared(checks, kafka, ours, forebay, directory, group, support):
    """A group of two, with `exactly.once.source.support` as it is given."""
    theirs, own = Worker(), Worker()
    settings = {**SETTINGS, "group.id": group, "exactly.once.source.support": support,
                **{"%s.storage.topic" % kind: "%s-%s" % (group, kind) for kind in ("config", "status", "offset")}}
    names = ["%s-%d" % (group, number) for number in range(CONNECTORS)]
    lines = Lines(directory, names, ours)
    log = os.path.join(directory, "mixed.log")
    properties = os.path.join(directory, group + ".properties")

    def configure(version):
        """Makes the connectors, or gives them other task configurations, before whose tasks those of before are fenced."""
        for number, name in enumerate(names):
            call((theirs, own)[number % 2], "connect", "PUT", "/connectors/%s/config" % name, {
                "connector.class": SOURCE, "file": lines.paths[name], "topic": name, "batch.size": str(1000 + version)})

    try:
        with checks.check("a Connect worker of Kafka's and one of ours share the connectors of a group (exactly once %s)" % support):
            start_kafkas(kafka, theirs, settings)
            with open(os.path.join(kafka.directory, "connect-%d.properties" % theirs.ports["connect"]), encoding="utf-8") as f:
                text = f.read().replace(str(theirs.ports["connect"]), str(own.ports["connect"]))
            with open(properties, "w", encoding="utf-8") as f:
                f.write(text)
            own.start([forebay, "connect", properties], log)
            lines.grow()
            for version in range(2):
                configure(version)
                everything_runs_on(own, names, {theirs.url(), own.url()})
            equal(owners(theirs), owners(own), "who has what")
            lines.all_came()
            if support == "enabled":
                fenced(ours, settings["config.storage.topic"], names)
        with checks.check("ours takes over what Kafka's had when it was killed"):
            os.kill(pid_of_kafkas(kafka, theirs), signal.SIGKILL)
            lines.grow()
            everything_runs_on(own, names, {own.url()})
            lines.all_came()
        with checks.check("Kafka's joins it, and takes over what ours had when it was killed"):
            start_kafkas(kafka, theirs, settings)
            everything_runs_on(own, names, {theirs.url(), own.url()})
            # Now ours leads.
            configure(2)
            lines.grow()
            everything_runs_on(own, names, {theirs.url(), own.url()})
            lines.all_came()
            own.end(signal.SIGKILL)
            lines.grow()
            everything_runs_on(theirs, names, {theirs.url()})
            lines.all_came()
            os.kill(pid_of_kafkas(kafka, theirs), signal.SIGTERM)
    finally:
        own.end(signal.SIGKILL)


def fenced(tools, topic, names):
    """The leader has fenced what was before each set of tasks, whoever has them (KIP-618)."""
    def said():
        found = tools("console-consumer", "--topic", topic, "--from-beginning", "--timeout-ms", "3000", "--isolation-level",
                      "read_committed", tools.formatter, "print.key=true")
        keys = [line.split("\t", 1)[0] for line in found.splitlines()]
        for name in names:
            count = keys.count("tasks-fencing-" + name)
            expect(count >= 2, "the tasks of %s were fenced %d times" % (name, count))
        return True
    eventually("tasks are fenced", said)


def start_kafkas(kafka, worker, settings):
    settings = [word for key, value in settings.items() for word in ("--set", "%s=%s" % (key, value))]
    kafka.peer("connect", "--rest-port", str(worker.ports["connect"]), "--heap", KAFKA_HEAP, *settings)


def pid_of_kafkas(kafka, worker):
    for line in kafka.peer("status").splitlines():
        words = line.split()
        if words[0] == "connect-%d" % worker.ports["connect"] and "pid" in words:
            return int(words[words.index("pid") + 1])
    raise Wrong("no worker of Kafka's runs")


def everything_runs_on(worker, names, wanted):
    def runs():
        has = owners(worker)
        expect(not failures(worker), "something does not run")
        return sorted(has) == names and all(len(tasks) == 1 for tasks in has.values()) and {
            task for tasks in has.values() for task in tasks} == wanted
    eventually("all of it runs on %s" % " and ".join(sorted(wanted)), runs)


def alone(kafka, ours, forebay, directory, log):
    """Ours, Kafka's, ours: each reads what the one before has not."""
    worker = Worker()
    lines = Lines(directory, ["alone"], ours)
    worker_file, connector_file = (os.path.join(directory, "alone-%s.properties" % name) for name in ("worker", "connector"))
    write_properties(worker_file, {
        "bootstrap.servers": kafka.bootstrap, "listeners": "http://" + worker.url(), "key.converter": STRING,
        "value.converter": STRING, "offset.storage.file.filename": os.path.join(directory, "alone.offsets"),
        "offset.flush.interval.ms": 500, "plugin.discovery": "service_load"})
    write_properties(connector_file, {
        "name": "alone", "connector.class": SOURCE,
        "file": lines.paths["alone"], "topic": "alone"})
    kafkas = [PEER, "java", "--version", kafka.version, KAFKAS_ALONE, worker_file, connector_file]
    own = [forebay, "connect-standalone", worker_file, connector_file]
    for argv in (own, kafkas, own):
        lines.grow()
        worker.start(argv, log)
        try:
            lines.all_came()
        finally:
            worker.end(signal.SIGTERM)


def write_properties(path, properties):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines("%s=%s\n" % pair for pair in properties.items())
