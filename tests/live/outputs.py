"""Every tool, Forebay's and Kafka's, on the same broker: the same lines on standard output and the same status."""
import json
import os
import re
import subprocess

from checks import expect
from in_one import InOne

TOPIC, GROUP = "outputs", "outputs-readers"
PATIENCE_S = 120

# What may be asked of any broker, changes nothing for the one who asks next, and has an answer.
COMMANDS = """
topics --list
topics --describe --topic outputs
topics --describe --topic nosuch
topics --describe --topic nosuch --if-exists
topics --describe --under-replicated-partitions
topics --create --topic outputs
topics --create --topic outputs --if-not-exists
topics --create --topic bad/name
topics --alter --topic outputs --partitions 1
topics --delete --topic nosuch
configs --describe --topic outputs
configs --describe --all --topic outputs
configs --describe --all --entity-type brokers --entity-name BROKER
configs --describe --entity-type topics --entity-name nosuch
configs --describe --entity-type nosuch
configs --describe --entity-type clients
configs --alter --topic outputs --add-config retention.ms=7200000
configs --alter --topic outputs --add-config retention.ms=soon
configs --alter --topic outputs --add-config foo=bar
configs --alter --topic outputs
configs --describe --entity-type users
configs --describe --entity-type ips
configs --describe --entity-type client-metrics
configs --describe --broker 99
configs --describe --broker-logger 99
configs --describe --group nosuch
configs --describe --all --group nosuch
configs --describe --broker-logger BROKER
configs --alter --broker-logger BROKER --add-config nosuch=DEBUG
configs --alter --broker-logger BROKER --add-config root=debug
configs --alter --broker-logger BROKER --delete-config root
configs --alter --user outputs --add-config SCRAM-SHA-256=[iterations=8192,password=secret],SCRAM-SHA-512=[password=other]
configs --alter --user outputs --add-config SCRAM-SHA-256=[iterations=8192,password=secret]
configs --alter --user outputs --add-config SCRAM-SHA-512=[password=other]
configs --describe --user outputs
configs --alter --user nosuch --delete-config SCRAM-SHA-512
configs --alter --user outputs --add-config SCRAM-SHA-256=[iterations=20000,password=x]
configs --alter --user outputs --add-config SCRAM-SHA-256=[iterations=5,password=x]
configs --alter --user outputs --add-config SCRAM-SHA-256=secret
configs --alter --user outputs --add-config SCRAM-SHA-256=[password=x],producer_byte_rate=5
configs --alter --user-defaults --add-config SCRAM-SHA-256=[password=x]
configs --alter --user outputs --add-config producer_byte_rate=5000000
configs --alter --client outputs --add-config consumer_byte_rate=5000000
configs --alter --ip 127.0.0.9 --add-config connection_creation_rate=5
configs --alter --group outputs-configured --add-config consumer.session.timeout.ms=46000
configs --describe --group outputs-configured
groups --list
groups --list --consumer
groups --list --share
groups --list --group-type nosuch
groups --list --consumer --group-type share
consumer-groups --list --state --type
consumer-groups --describe --group outputs-readers
consumer-groups --describe --group outputs-readers --verbose
consumer-groups --describe --group outputs-readers --members
consumer-groups --describe --group outputs-readers --state --verbose
consumer-groups --describe --group nosuch
consumer-groups --reset-offsets --group outputs-readers --topic outputs --to-earliest --dry-run
consumer-groups --reset-offsets --group outputs-readers --topic outputs --to-offset 3 --dry-run
consumer-groups --reset-offsets --group outputs-readers --all-topics --shift-by -2 --dry-run
consumer-groups --reset-offsets --group outputs-readers --topic outputs:1 --to-latest --dry-run
consumer-groups --reset-offsets --group outputs-readers --topic outputs --to-datetime 2020-01-01T00:00:00.000 --dry-run
consumer-groups --reset-offsets --group outputs-readers --topic outputs --to-datetime soon --dry-run
consumer-groups --reset-offsets --group outputs-readers --topic outputs --by-duration PT1H --dry-run
consumer-groups --reset-offsets --group outputs-readers --all-topics --to-current --dry-run --export
consumer-groups --reset-offsets --group outputs-readers --topic outputs:9 --to-current --dry-run
consumer-groups --reset-offsets --group outputs-readers --topic nosuch --to-current --dry-run
consumer-groups --delete-offsets --group outputs-readers --topic nosuch
consumer-groups --delete --group nosuch
get-offsets --topic outputs
get-offsets --topic outputs --time earliest
get-offsets --topic outputs --time max-timestamp
get-offsets --topic-partitions outp.*:1-
get-offsets --topic nosuch
get-offsets --time soon
delete-records --offset-json-file DELETE
log-dirs --describe --topic-list outputs
log-dirs --describe --broker-list 99
transactions list
transactions describe --transactional-id nosuch
transactions describe-producers --topic outputs --partition 0
transactions find-hanging --topic outputs
transactions find-hanging
transactions abort --topic outputs --partition 0 --start-offset 5
features describe
features version-mapping
features version-mapping --release-version 3.9
features feature-dependencies --feature eligible.leader.replicas.version=1
features upgrade --feature nosuch=1
features upgrade
cluster cluster-id
cluster list-endpoints
broker-api-versions
metadata-quorum describe --status
metadata-quorum describe --replication --human-readable
metadata-quorum describe
leader-election --election-type preferred --topic outputs --partition 0
leader-election --election-type preferred --all-topic-partitions
leader-election --election-type preferred
reassign-partitions --list
reassign-partitions --verify --preserve-throttles --reassignment-json-file REASSIGN
reassign-partitions --generate --topics-to-move-json-file MOVE --broker-list BROKER
acls --list
"""
WITHOUT_BROKER = ("version-mapping", "feature-dependencies")
NOISE = re.compile(r"^(\[[\w| -]+\] (ERROR|WARN) |\tat |Caused by: |\t\.\.\. |java\.util\.concurrent\.ExecutionException: )")


def check(checks, tools, forebay, directory):
    """`tools` are Kafka's, pointed at the broker."""
    words = prepare(tools, directory)
    differing = []
    with checks.check("every tool prints what Kafka's prints, %s" % tools.bootstrap) as notes, InOne(tools.kafka) as kafkas:
        commands = COMMANDS.strip().splitlines()
        for command in commands:
            arguments = [words.get(word, word) for word in command.split()]
            name, rest = arguments[0], arguments[1:]
            if not any(word in rest for word in WITHOUT_BROKER):
                server = ["--bootstrap-server", tools.bootstrap]
                # Of this tool each command has options of its own.
                rest = [*rest, *server] if name == "cluster" else [*server, *rest]
            status, out, _ = kafkas(name, *rest)
            theirs, ours = printed(status, out), said([forebay, name, *rest])
            if ours != theirs:
                differing.append("%s: %r instead of %r" % (command, ours, theirs))
        notes.append("%d commands" % len(commands))
        expect(not differing, "\n".join(differing))


def prepare(tools, directory):
    """A topic and a group; and what stands for words of the commands."""
    tools("topics", "--create", "--topic", TOPIC, "--partitions", "2")
    tools("console-producer", "--topic", TOPIC, stdin="".join("record %d\n" % number for number in range(20)))
    tools("console-consumer", "--topic", TOPIC, "--from-beginning", "--group", GROUP, "--max-messages", "10")
    broker = re.search(r"Leader: (\d+)", tools("topics", "--describe", "--topic", TOPIC))[1]
    files = {
        "DELETE": {"partitions": [{"topic": TOPIC, "partition": 0, "offset": 0}], "version": 1},
        "REASSIGN": {"partitions": [{"topic": TOPIC, "partition": 0, "replicas": [int(broker)]}], "version": 1},
        "MOVE": {"topics": [{"topic": TOPIC}], "version": 1},
    }
    words = {"BROKER": broker}
    for name, content in files.items():
        words[name] = os.path.join(directory, name.lower() + ".json")
        with open(words[name], "w", encoding="utf-8") as f:
            json.dump(content, f)
    return words


def said(argv):
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False)
    return printed(done.returncode, done.stdout)


def printed(status, out):
    """Status and lines, in any order: of what Kafka keeps in hash maps the order means nothing."""
    return status, sorted(settled(line) for line in out.splitlines() if line.strip() and not NOISE.match(line))


def settled(line):
    """Without what changes from one moment to the next."""
    line = re.sub(r"\b1[6-9]\d{11}\b", "TIME", line)
    line = re.sub(r"\d+ ms ago *", "AGO ", line)
    line = re.sub(r"(LastFetchTimestamp|LastCaughtUpTimestamp) *", r"\1 ", line)
    line = re.sub(r"(HighWatermark: +|Epoch: )\d+", r"\1N", line)
    line = re.sub(r"^(\d+ *\t\S+\t)\d+ *", r"\1N", line)
    if line.startswith("{"):
        return json.dumps(ordered(json.loads(line)), sort_keys=True)
    return line.rstrip()


def ordered(value):
    if isinstance(value, dict):
        return {key: ordered(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((ordered(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    return value
