"""Workers of Kafka's and of Forebay's in one group, on Kafka's broker: each takes over what the other had when it was killed. And each goes
on from the offset file that the other has left where it runs alone."""
import os
import signal
import subprocess

from checks import PATIENCE_S, Wrong, equal, eventually, expect
from processes import PEER, free_port
from rest import call, create_connector, failures

LINES, CONNECTORS = 200, 4
KAFKA_HEAP, SESSION_MS = "256m", 6000
STRING = "org.apache.kafka.connect.storage.StringConverter"
SETTINGS = {"group.id": "mixed", "key.converter": STRING, "value.converter": STRING, "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": 1000, "scheduled.rebalance.max.delay.ms": 0, "offset.flush.interval.ms": 500}
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
            found = list(self.tools.read(topic, idle_ms=3000).values())
            equal(found, self.written, "the topic %s" % topic)


def owners(worker):
    """Who has which task."""
    status = call(worker, "connect", "GET", "/connectors?expand=status")
    return {name: [task["worker_id"] for task in it["status"]["tasks"]] for name, it in status.items()}


def check(checks, kafka, ours, forebay, directory):
    """`kafka` is up; `ours` are tools on it."""
    theirs, own = Worker(), Worker()
    names = ["mixed-%d" % number for number in range(CONNECTORS)]
    lines = Lines(directory, names, ours)
    log = os.path.join(directory, "mixed.log")
    properties = os.path.join(directory, "mixed.properties")
    try:
        with checks.check("a Connect worker of Kafka's and one of ours share the connectors of a group"):
            start_kafkas(kafka, theirs)
            with open(os.path.join(kafka.directory, "connect-%d.properties" % theirs.ports["connect"]), encoding="utf-8") as f:
                text = f.read().replace(str(theirs.ports["connect"]), str(own.ports["connect"]))
            with open(properties, "w", encoding="utf-8") as f:
                f.write(text)
            own.start([forebay, "connect", properties], log)
            lines.grow()
            for number, name in enumerate(names):
                create_connector((theirs, own)[number % 2], name, {
                    "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
                    "file": lines.paths[name], "topic": name})
            everything_runs_on(own, names, {theirs.url(), own.url()})
            equal(owners(theirs), owners(own), "who has what")
            lines.all_came()
        with checks.check("ours takes over what Kafka's had when it was killed"):
            os.kill(pid_of_kafkas(kafka), signal.SIGKILL)
            lines.grow()
            everything_runs_on(own, names, {own.url()})
            lines.all_came()
        with checks.check("Kafka's takes over what ours had when it was killed"):
            start_kafkas(kafka, theirs)
            everything_runs_on(own, names, {theirs.url(), own.url()})
            own.end(signal.SIGKILL)
            lines.grow()
            everything_runs_on(theirs, names, {theirs.url()})
            lines.all_came()
            os.kill(pid_of_kafkas(kafka), signal.SIGTERM)
        with checks.check("a worker alone goes on from the offset file of the other"):
            alone(kafka, ours, forebay, directory, log)
    finally:
        own.end(signal.SIGKILL)


def start_kafkas(kafka, worker):
    settings = [word for key, value in SETTINGS.items() for word in ("--set", "%s=%s" % (key, value))]
    kafka.peer("connect", "--rest-port", str(worker.ports["connect"]), "--heap", KAFKA_HEAP, *settings)


def pid_of_kafkas(kafka):
    for line in kafka.peer("status").splitlines():
        words = line.split()
        if words[0].startswith("connect-") and "pid" in words:
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
        "name": "alone", "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
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
