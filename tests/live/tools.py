"""The command-line tools, Forebay's or Kafka's, on any cluster: the same steps and the same lines for both."""
from checks import equal, eventually, expect
from processes import run

RECORDS = 1000
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")


class Tools:
    """How tools are called: Forebay's (a binary), or those of a Kafka version."""

    def __init__(self, bootstrap, forebay=None, kafka=None):
        self.bootstrap, self.forebay, self.kafka = bootstrap, forebay, kafka
        is_old = kafka is not None and kafka.version.startswith("3.")
        self.formatter = "--property" if is_old else "--formatter-property"
        self.reader = "--property" if is_old else "--reader-property"

    def __call__(self, name, *arguments, **how):
        if self.forebay:
            return run([self.forebay, name, "--bootstrap-server", self.bootstrap, *arguments], **how)
        return self.kafka.tool(name, self.bootstrap, *arguments, **how)

    def named(self, name):
        return "%s %s" % ("forebay" if self.forebay else "Kafka's", name)

    def read(self, topic, *arguments, idle_ms=3000):
        """All records of a topic: (partition, offset) -> value."""
        said = self("console-consumer", "--topic", topic, "--from-beginning", "--timeout-ms", str(idle_ms), self.formatter,
                    "print.partition=true", self.formatter, "print.offset=true", *arguments)
        found = {}
        for line in said.splitlines():
            partition, offset, value = line.split("\t", 2)
            place = int(partition.removeprefix("Partition:")), int(offset.removeprefix("Offset:"))
            expect(place not in found, "%s@%s came twice" % place)
            found[place] = value
        return found


def check(checks, tools, topic):
    """Topics, records, groups: made, listed, described, changed, deleted."""
    topics(checks, tools, topic)
    records(checks, tools, topic)
    groups(checks, tools, topic)
    with checks.check("%s --delete" % tools.named("topics")):
        tools("topics", "--delete", "--topic", topic)
        eventually("it is gone", lambda: topic not in tools("topics", "--list").split())


def topics(checks, tools, topic):
    named = tools.named("topics")
    with checks.check("%s --create" % named):
        said = tools("topics", "--create", "--topic", topic, "--partitions", "2", "--replication-factor", "1",
                     "--config", "retention.ms=86400000")
        equal(said.splitlines()[-1:], ["Created topic %s." % topic], "it says")
    with checks.check("%s --create refuses a topic that exists, and four replicas on one broker" % named):
        error = "Error while executing topic command : "
        again = tools("topics", "--create", "--topic", topic, status=1)
        expect(error + "Topic '%s' already exists." % topic in again, again)
        too_many = tools("topics", "--create", "--topic", "%s-4" % topic, "--replication-factor", "4", status=1)
        expect(error in too_many and "eplication factor" in too_many, too_many)
    with checks.check("%s --list, --alter --partitions, --describe" % named):
        expect(topic in tools("topics", "--list").split(), "it is not listed")
        tools("topics", "--alter", "--topic", topic, "--partitions", "3")
        said = eventually("three partitions", lambda: described(tools, topic, 3))
        expect("ReplicationFactor: 1" in said and "retention.ms=86400000" in said, said)


def described(tools, topic, partitions):
    said = tools("topics", "--describe", "--topic", topic)
    expect("PartitionCount: %d" % partitions in said and said.count("Leader: ") == partitions, said)
    return said


def records(checks, tools, topic):
    sent = []
    for compression in COMPRESSIONS:
        with checks.check("%s, %s" % (tools.named("console-producer"), compression)):
            lines = ["%s-%d\t%s record %d, naïve 北京" % (compression, n, compression, n) for n in range(RECORDS)]
            tools("console-producer", "--topic", topic, "--compression-codec", compression, tools.reader, "parse.key=true",
                  stdin="\n".join(lines) + "\n")
            sent += lines
    with checks.check("%s --from-beginning" % tools.named("console-consumer")) as notes:
        said = tools("console-consumer", "--topic", topic, "--from-beginning", "--group", "readers-" + topic, "--max-messages",
                     str(len(sent)), "--timeout-ms", "30000", tools.formatter, "print.key=true")
        equal(sorted(said.splitlines()), sorted(sent), "the records")
        notes.append("%d records" % len(sent))


def groups(checks, tools, topic):
    group, named, total = "readers-" + topic, tools.named("consumer-groups"), RECORDS * len(COMPRESSIONS)
    with checks.check("%s --list, --describe" % named):
        expect(group in tools("consumer-groups", "--list").split(), "it is not listed")
        eventually("no lag", lambda: offsets(tools, group) == (total, 0))
    with checks.check("%s --describe --state, --members of a group without members" % named):
        said = tools("consumer-groups", "--describe", "--group", group, "--state", status=None)
        expect("Empty" in said and " 0" in said, said)
        tools("consumer-groups", "--describe", "--group", group, "--members")
    with checks.check("%s --reset-offsets --to-earliest, --shift-by" % named):
        reset = ["consumer-groups", "--reset-offsets", "--group", group, "--topic", topic, "--execute"]
        tools(*reset, "--to-earliest")
        equal(offsets(tools, group), (0, total), "the sum of offsets and lags")
        tools(*reset, "--shift-by", "10")
        equal(offsets(tools, group), (30, total - 30), "the sum of offsets and lags")
    with checks.check("%s goes on where the group stands" % tools.named("console-consumer")):
        said = tools("console-consumer", "--topic", topic, "--group", group, "--max-messages", str(total - 30), "--timeout-ms", "30000")
        equal(len(said.splitlines()), total - 30, "the number of records")
    with checks.check("%s --delete" % named):
        eventually("deleted", lambda: "successful" in tools("consumer-groups", "--delete", "--group", group))
        expect(group not in tools("consumer-groups", "--list").split(), "it is still listed")


def offsets(tools, group):
    """The sum of committed offsets, and that of lags."""
    said = tools("consumer-groups", "--describe", "--group", group)
    rows = [line.split() for line in said.splitlines() if line.startswith(group + " ")]
    expect(len(rows) == 3, said)
    return sum(int(row[3]) for row in rows), sum(int(row[5]) for row in rows)
