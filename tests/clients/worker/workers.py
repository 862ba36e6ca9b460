"""Workers alone on a broker, each with a group and topics of its own: Kafka's or Forebay's, from the same file."""
import contextlib
import http.client
import os
import re
import signal
import subprocess
import time

from asked import Asked
from checks import PATIENCE_S, Wrong, eventually
from processes import PEER, free_port

MAIN = "org.apache.kafka.connect.cli.ConnectDistributed"
PROBE_S = 0.2
STEPS_MAX, STEP_S, STEP_SETTLE_S = 200, 0.03, 0.6


class Workers:
    """How they are started, and where; `settings` are those of all."""

    def __init__(self, directory, settings):
        self.directory, self.settings = directory, settings
        os.makedirs(directory, exist_ok=True)

    def bootstrap(self):
        raise NotImplementedError

    def argv(self, file):
        raise NotImplementedError

    def signal_broker(self, number):
        raise NotImplementedError

    @staticmethod
    def group(label):
        return "of-" + re.sub(r"\W+", "-", label)

    def file(self, label, port, more):
        group = self.group(label)
        keys = {"bootstrap.servers": self.bootstrap(), "group.id": group, "listeners": "http://127.0.0.1:%d" % port,
                "plugin.discovery": "service_load", **self.settings, **more}
        for name in ("config", "offset", "status"):
            keys["%s.storage.topic" % name] = "%s-%s" % (group, name)
            keys["%s.storage.replication.factor" % name] = 1
        path = os.path.join(self.directory, group + ".properties")
        with open(path, "w", encoding="utf-8") as f:
            f.writelines("%s=%s\n" % pair for pair in keys.items())
        return path

    @contextlib.contextmanager
    def process(self, label, more):
        """A worker that begins, and its port."""
        port = free_port()
        with open(os.path.join(self.directory, self.group(label) + ".log"), "ab") as log:
            process = subprocess.Popen(self.argv(self.file(label, port, more)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield port
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def worker(self, label, more):
        """One that has started."""
        with self.process(label, more) as port:
            eventually("the worker %s answers" % label, lambda: probe(port, "/connectors", PATIENCE_S) == 200)
            yield self.asked(label, port).learn_version()

    @contextlib.contextmanager
    def starting(self, label):
        """One that has begun and cannot go on, as its broker is stopped."""
        with self.process(label, {}) as port:
            try:
                self.stop_early(port)
                yield self.asked(label, port)
            finally:
                self.signal_broker(signal.SIGCONT)

    def stop_early(self, port):
        """Stops the broker while the worker does not know enough yet to be ready."""
        self.signal_broker(signal.SIGSTOP)
        eventually("the worker listens", lambda: probe(port, "/health", PROBE_S) != 0)

    def asked(self, label, port):
        files = os.path.join(self.directory, self.group(label) + "-files")
        os.makedirs(files, exist_ok=True)
        return Asked(port, files)


class OfKafka(Workers):
    def __init__(self, kafka, directory, settings):
        super().__init__(directory, settings)
        self.kafka = kafka

    def bootstrap(self):
        return self.kafka.bootstrap

    def argv(self, file):
        return [PEER, "java", "--version", self.kafka.version, "--dir", self.kafka.directory, MAIN, file]

    def signal_broker(self, number):
        os.kill(self.broker(), number)

    def broker(self):
        return int(re.search(r"broker-0 +pid (\d+)", self.kafka.peer("status")).group(1))

    def stop_early(self, port):
        """It asks its broker for the cluster's id before there is a `/health`: so that may go on for a moment, again and again, until there
        is one, which waits."""
        eventually("the worker listens", lambda: probe(port, "/health", PROBE_S) == 404)
        pid = self.broker()
        for _ in range(STEPS_MAX):
            os.kill(pid, signal.SIGSTOP)
            looked = time.monotonic()
            while probe(port, "/health", PROBE_S) == 404 and time.monotonic() - looked < STEP_SETTLE_S:
                time.sleep(PROBE_S / 4)
            if probe(port, "/health", PROBE_S) != 404:
                return
            os.kill(pid, signal.SIGCONT)
            time.sleep(STEP_S)


class OfForebay(Workers):
    def __init__(self, forebay, hub, directory, settings):
        super().__init__(directory, settings)
        self.forebay, self.hub = forebay, hub

    def bootstrap(self):
        return self.hub.bootstrap()

    def argv(self, file):
        return [self.forebay, "connect", file]

    def signal_broker(self, number):
        self.hub.process.send_signal(number)


def probe(port, path, patience):
    """The status of an answer; None: it does not come; 0: nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except TimeoutError:
        return None
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
