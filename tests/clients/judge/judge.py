"""Runs cases against a broker, keeps what Kafka said, and judges what Forebay says beside it."""
import gzip
import json
import os
import sys
import time

import arrange
import deliberate
import processes
from broker import Broker, Unanswered
from transcript import Normal, differences

# Both brokers have these; what Forebay does not know yet it goes without.
SETTINGS = {
    "offsets.topic.num.partitions": 4, "transaction.state.log.num.partitions": 4, "group.initial.rebalance.delay.ms": 0,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
}
TIMES = "JUDGE_TIMES" in os.environ  # when each case ended, on standard error
DIFFERENCES_SHOWN = 4


def run_all(chosen, bootstrap):
    """The transcripts of the cases, one after the other."""
    host, port = bootstrap.rsplit(":", 1)
    address = host, int(port)
    warm(address)
    said, began = {}, time.monotonic()
    for name, case in chosen.items():
        said[name] = run(case, address)
        if TIMES:
            print("%7.2f s %s" % (time.monotonic() - began, name), file=sys.stderr)
    return said


class WarmUp:
    """Stands for a case while nothing is compared."""
    topic = "judge.warm-up"


def warm(address):
    """Waits for the coordinators: their topics are made when they are first asked for."""
    broker = Broker(address, WarmUp)
    try:
        sweep(broker)
        arrange.producer(broker)
        arrange.group(broker)
        arrange.coordinator(broker, WarmUp.topic, arrange.TRANSACTION)
    except Unanswered:
        pass  # cases that need it will say so
    finally:
        broker.close()


def sweep(broker):
    """Takes away what an earlier run left."""
    names = [it.Name for it in broker.quiet("Metadata", 12, Topics=None).Topics if not it.IsInternal]
    groups = [it.GroupId for it in broker.quiet("ListGroups", 4).Groups]
    broker.quiet("DeleteTopics", 5, TopicNames=names, TimeoutMs=arrange.CREATE_MS)
    broker.quiet("DeleteGroups", 2, GroupsNames=groups)


def run(case, address):
    """One case's transcript; an error that stops it is its last line."""
    broker, began = Broker(address, case), time.time() * 1000
    try:
        case.run(broker)
    except (Unanswered, LookupError, AttributeError, TypeError, ValueError, OSError) as error:
        broker.note("stopped", {"": "%s: %s" % (type(error).__name__, error)})
    finally:
        broker.close()
    return json.loads(json.dumps(Normal(began).steps(broker.transcript)))


def forebay_says(chosen, directory, binary):
    """The transcripts of a Forebay broker that is started for it."""
    binary = binary or os.path.join(processes.build([]), "forebay")
    settings = dict(SETTINGS, **{"node.id": 0})
    while True:
        overrides = ["broker.%s=%s" % it for it in settings.items()]
        with processes.Hub(binary, os.path.join(directory, "forebay"), "broker", overrides) as hub:
            try:
                hub.start()
            except processes.Wrong as wrong:
                unknown = next((key for key in settings if 'Unknown configuration "%s"' % key in str(wrong)), None)
                if not unknown:
                    raise
                del settings[unknown]
                continue
            return run_all(chosen, hub.bootstrap())


def record(path, chosen, said):
    """Keeps Kafka's answers to these cases; those to others stay as they are, of cases that are gone they go."""
    import cases
    kept = _read(path)
    for name, case in chosen.items():
        kept[name] = {"fingerprint": case.fingerprint(), "said": said[name]}
    kept = {name: it for name, it in sorted(kept.items()) if name in cases.CASES}
    with open(path, "wb") as f:
        f.write(gzip.compress(json.dumps(kept, separators=(",", ":")).encode(), mtime=0))
    stopped = [name for name in chosen if said[name] and said[name][-1][0] == "stopped"]
    for name in stopped:
        print("on Kafka %s %s" % (name, said[name][-1][1][""]))
    print("recorded %d cases" % len(chosen))


def recorded(path, chosen):
    """What Kafka said; a case that has changed since is not there."""
    kept = _read(path)
    return {name: kept[name]["said"] for name, case in chosen.items()
            if name in kept and kept[name]["fingerprint"] == case.fingerprint()}


def _read(path):
    try:
        with gzip.open(path, "rt", encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def show(name, kafka, ours):
    print("== %s" % name)
    for who, said in (("kafka", kafka), ("forebay", ours)):
        for what, found in said or []:
            print("%-8s %s %s" % (who, what, json.dumps(found, ensure_ascii=False)))


class Verdict:
    """Holds the differences against the list of those that are expected."""

    def __init__(self, path, whole, show_all):
        self.whole, self.shown = whole, None if show_all else DIFFERENCES_SHOWN
        self.show_all = show_all
        self.path = path
        with open(path, encoding="utf-8") as f:
            lines = [line.split("#")[0].strip() for line in f]
        self.expected = [line for line in lines if line]
        self.same = self.known = self.wrong = 0
        self.met, self.right, self.deliberate = set(), set(), deliberate.Deliberate()

    def compare(self, name, kafka, ours):
        self.met.add(name)
        if kafka is None:
            self.fault(name, "Kafka's answers are not recorded for the case as it is now: --record %s" % name)
            return
        if kafka and kafka[-1][0] == "stopped":
            self.fault(name, "the case stops on Kafka: %s" % kafka[-1][1][""])
            return
        found = [it for it in differences(kafka, ours) if not self.deliberate.explains(name, *it)]
        if found and name in self.expected:
            self.known += 1
            if self.show_all:
                self.print(name, found, "expected")
        elif found:
            self.wrong += 1
            self.print(name, found, "DIFFERS")
        elif name in self.expected:
            self.right.add(name)
            self.fault(name, "is expected to differ, and does not: take it off the list (--shrink)")
        else:
            self.same += 1

    def shrink(self):
        """Writes the list without the cases that turned out to be right."""
        with open(self.path, encoding="utf-8") as f:
            text = "".join(line for line in f if line.split("#")[0].strip() not in self.right)
        while "\n\n\n" in text:
            text = text.replace("\n\n\n", "\n\n")
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text.rstrip("\n") + "\n")

    def fault(self, name, why):
        self.wrong += 1
        print("ERROR    %s: %s" % (name, why))

    def print(self, name, found, word):
        print("%-8s %s" % (word, name))
        for path, kafka, ours in found[:self.shown]:
            print("    %s\n        kafka   %s\n        forebay %s" % (path, _short(kafka), _short(ours)))
        if self.shown and len(found) > self.shown:
            print("    and %d more" % (len(found) - self.shown))

    def summary(self):
        if self.whole:
            for name in self.expected:
                if name not in self.met:
                    self.fault(name, "there is no such case")
            for line in self.deliberate.unused():
                self.fault("judge/deliberate.py", "nothing differs so any more: %s" % line)
        print("%d cases: %d the same, %d differ as expected, %d wrong" % (len(self.met), self.same, self.known, self.wrong))
        sys.stdout.flush()
        return 1 if self.wrong else 0


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else text[:600] + "…"
