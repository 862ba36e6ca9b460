"""Transcripts made equal where brokers may differ (ids, ports, the time, the order of what has none), and compared field by field."""
import base64
import re
import time
import uuid

import batch
import codec
import schema

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# 128 bits of a member's id in base 64, alone or in a message
MEMBER = re.compile(r"(?<![A-Za-z0-9_-])(?!ConsumerGroupHeartbeat)(?=[a-z0-9_-]*[A-Z])(?=[A-Z0-9_-]*[a-z])[A-Za-z0-9_-]{22}(?![A-Za-z0-9_.-])")
MILLISECONDS = re.compile(r"-?\d{13,19}")
NAMES = ("Name", "Topic", "TopicName")
IDENTITY = (*NAMES, "TopicId", "PartitionIndex", "Partition", "Index", "ApiKey", "GroupId", "TransactionalId", "ResourceName",
            "ConfigName", "Key", "NodeId", "BrokerId", "MemberId")
# Field -> what stands for any value of it that says something.
PLACES = {"ClusterId": "<cluster>", "Host": "<host>", "Port": "<port>", "FinalizedFeaturesEpoch": "<epoch>", "TotalBytes": "<bytes>",
          "UsableBytes": "<bytes>", "LogDir": "<directory>", "CordonedLogDirs": "<directories>", "BrokerEpoch": "<epoch>",
          "ReplicaDirectoryId": "<directory>", "ClientHost": "<host>"}
NUMBERED = {"ProducerId": "producer", "SessionId": "session"}
SETS = "Partitions", "PartitionIndexes"
AROUND_MS = 120_000


class Normal:
    """The eyes of one case: what was given a name keeps it to the end."""

    def __init__(self, began_ms):
        self.now = (began_ms - AROUND_MS, time.time() * 1000 + AROUND_MS)
        self.known, self.counts = {}, {}

    def steps(self, transcript):
        return [[what, self.value("", found)] for what, found in transcript]

    def named(self, kind, value):
        """`<kind n>`, the n-th of its kind that is seen."""
        if (kind, value) not in self.known:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.known[kind, value] = "<%s %d>" % (kind, self.counts[kind])
        return self.known[kind, value]

    def value(self, field, it):
        if isinstance(it, dict):
            return self.structure(it)
        if isinstance(it, (list, tuple)):
            return self.array(field, it)
        if isinstance(it, bytes):
            return self.array("Records", batch.read(it)) if field == "Records" else it.hex()
        if isinstance(it, bool) or it is None:
            return it
        if field in PLACES and it not in (-1, "", 0):
            return PLACES[field]
        if field in NUMBERED and it not in (-1, 0):
            return self.named(NUMBERED[field], it)
        if isinstance(it, str):
            return self.text(it)
        return self.number(field, it)

    def structure(self, it):
        name = next((it[key] for key in NAMES if it.get(key)), None)
        if name and it.get("TopicId", codec.NO_UUID) != codec.NO_UUID:
            self.know(it["TopicId"], "<id of %s>" % name)
        return {key: self.value(key, value) for key, value in it.items()}

    def know(self, topic_id, name):
        """A topic's id, which messages write in base 64."""
        self.known.setdefault(("uuid", topic_id), name)
        self.known.setdefault(("text", base64.urlsafe_b64encode(uuid.UUID(topic_id).bytes).decode().rstrip("=")), name)

    def array(self, field, it):
        if field in SETS and all(isinstance(element, int) for element in it):
            return sorted(it)
        if field == "ActiveProducers":  # has no order, and the names of producers have that in which they are seen
            it = sorted(it, key=lambda element: element["ProducerId"])
        found = [self.value("", element) for element in it]
        if field != "Records" and found and isinstance(found[0], dict):
            found.sort(key=lambda element: [str(element.get(key)) for key in IDENTITY])
        return found

    def text(self, it):
        if it == codec.NO_UUID:
            return it
        it = UUID.sub(lambda found: self.named("uuid", found.group()), it)
        it = MILLISECONDS.sub(lambda found: "<now>" if self.is_now(int(found.group())) else found.group(), it)
        for (kind, value), name in self.known.items():
            if kind == "text" and value in it:
                it = it.replace(value, name)
        return MEMBER.sub(lambda found: self.named("member", found.group()), it)

    def is_now(self, number):
        """Also the bounds of what is too old and too new: the greatest number before it, an hour behind it."""
        return any(self.now[0] <= it <= self.now[1] for it in (number, number + (1 << 63) - 1, number - 3_600_000))

    def number(self, field, it):
        if self.is_now(it):
            return "<now>"
        if field.endswith("ErrorCode"):
            return "%d %s" % (it, schema.error_names().get(it, "?"))
        return it


def differences(kafka, ours):
    """(path, Kafka's, ours) of every field that differs; only the first step where the two part ways in what they ask."""
    found = []
    for number in range(max(len(kafka), len(ours))):
        if number >= len(kafka) or number >= len(ours) or kafka[number][0] != ours[number][0]:
            steps = [it[number][0] if number < len(it) else "nothing" for it in (kafka, ours)]
            found.append(("%d" % (number + 1), *steps))
            break
        what = "%d %s" % (number + 1, kafka[number][0])
        _compare(what, kafka[number][1], ours[number][1], found)
    return found


def _compare(path, kafka, ours, found):
    if isinstance(kafka, dict) and isinstance(ours, dict):
        if "" in kafka or "" in ours:
            if kafka != ours:
                found.append((path, kafka.get("", "an answer"), ours.get("", "an answer")))
            return
        for key in [*kafka, *[key for key in ours if key not in kafka]]:
            _compare("%s/%s" % (path, key), kafka.get(key, "<absent>"), ours.get(key, "<absent>"), found)
    elif isinstance(kafka, list) and isinstance(ours, list) and len(kafka) == len(ours):
        for number, pair in enumerate(zip(kafka, ours)):
            _compare("%s[%d]" % (path, number), *pair, found)
    elif kafka != ours:
        found.append((path, kafka, ours))
