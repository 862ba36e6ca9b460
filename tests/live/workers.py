"""Connect on Forebay's broker: Kafka's worker begins, Forebay's takes its connectors over, Kafka's takes them back."""
import os

from checks import equal, eventually
from processes import free_port
from rest import call, create_connector, failures
from tools import Tools

LINES, TOPIC = 500, "handed-over"
KAFKA_HEAP = "256m"


def check(checks, hub, kafka):
    """`hub` is down, and so are Kafka's processes; both workers use one port in turn."""
    hub.ports["connect"] = free_port()
    source, sink = (os.path.join(hub.directory, name) for name in ("handed-over.txt", "handed-over-sink.txt"))
    written = []

    def passes(count):
        """So many lines are appended, and everything so far is in the sink's file once and in order."""
        added = ["line %d" % n for n in range(len(written), len(written) + count)]
        with open(source, "a", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in added)
        written.extend(added)

        def arrived():
            with open(sink, encoding="utf-8") as f:
                return f.read().count("\n") >= len(written)
        eventually("all runs", lambda: not failures(hub))
        eventually("%d lines are in the sink's file" % len(written), arrived)
        with open(sink, encoding="utf-8") as f:
            equal(f.read().splitlines(), written, "the lines")

    with checks.check("Kafka's Connect worker runs connectors on Forebay's broker"):
        start_kafkas_worker(hub, kafka)
        for name, kind, path in (("from", "Source", source), ("to", "Sink", sink)):
            create_connector(hub, name, {
                "connector.class": "org.apache.kafka.connect.file.FileStream%sConnector" % kind, "file": path,
                "topic" if kind == "Source" else "topics": TOPIC,
                "value.converter": "org.apache.kafka.connect.storage.StringConverter"})
        open(sink, "a", encoding="utf-8").close()
        passes(LINES)
        call(hub, "connect", "PUT", "/connectors/to/pause")
        eventually("it is paused", lambda: failures(hub))
        stop(hub, kafka)
    with checks.check("Forebay's worker takes them over, where they stood and paused as they were"):
        hub.roles = "broker,connect"
        hub.start()
        # Until it has its place in the group, the status is what Kafka's worker has left: UNASSIGNED.
        eventually("the sink is paused", lambda: call(hub, "connect", "GET", "/connectors/to/status")["connector"]["state"] == "PAUSED")
        call(hub, "connect", "PUT", "/connectors/to/resume")
        passes(LINES)
        stop(hub, kafka)
    with checks.check("Kafka's worker takes them back"):
        start_kafkas_worker(hub, kafka)
        passes(LINES)
        topic = Tools(hub.bootstrap(), forebay=hub.forebay).read(TOPIC, idle_ms=6000)
        equal(list(topic.values()), written, "the topic")
        stop(hub, kafka)


def start_kafkas_worker(hub, kafka):
    hub.roles = "broker"
    hub.start()
    kafka.peer("connect", "--bootstrap", hub.bootstrap(), "--rest-port", str(hub.ports["connect"]), "--heap", KAFKA_HEAP)


def stop(hub, kafka):
    kafka.peer("down")
    hub.stop()
