"""What only Kafka's tools do, on Forebay's broker: configurations, offsets, generators of load, the files of the log."""
import json
import os
import re

from checks import equal, expect
from rest import call

RECORDS = 20_000


def check(checks, tools, hub):
    """The topic `numbers` stays, so that its files can be looked at."""
    kafka = tools.kafka
    with checks.check("Kafka's broker-api-versions"):
        said = tools("broker-api-versions")
        expect("Produce(0): " in said and "Fetch(1): " in said, said)
    with checks.check("Kafka's cluster"):
        expect("Cluster ID: " in kafka.tool("cluster", "", "cluster-id", "--bootstrap-server", tools.bootstrap), "no cluster id")
    configs(checks, tools)
    with checks.check("Kafka's verifiable-producer, acks=all") as notes:
        said = tools("verifiable-producer", "--topic", "numbers", "--max-messages", str(RECORDS), "--acks", "-1")
        acknowledged = [event for event in events(said) if event["name"] == "producer_send_success"]
        equal(len(acknowledged), RECORDS, "the number of acknowledged records")
        equal(len({(it["partition"], it["offset"]) for it in acknowledged}), RECORDS, "the number of different offsets")
        notes.append("%d records" % RECORDS)
    with checks.check("Kafka's verifiable-consumer"):
        said = tools("verifiable-consumer", "--topic", "numbers", "--group-id", "verifiers", "--max-messages", str(RECORDS),
                     "--reset-policy", "earliest")
        consumed = sum(event["count"] for event in events(said) if event["name"] == "records_consumed")
        equal(consumed, RECORDS, "the number of consumed records")
        failed = [event for event in events(said) if event["name"] == "offsets_committed" and not event["success"]]
        equal(failed, [], "failed commits")
    with checks.check("Kafka's get-offsets: latest, earliest, by time"):
        equal([ends(tools, "numbers", "--time", time) for time in ("-1", "-2", "0")], [RECORDS, 0, 0], "the sums of offsets")
    with checks.check("Kafka's producer-perf-test and consumer-perf-test") as notes:
        said = kafka.tool("producer-perf-test", "", "--topic", "load", "--num-records", str(RECORDS), "--record-size", "1000",
                          "--throughput", "-1", "--producer-props", "bootstrap.servers=%s" % tools.bootstrap)
        expect("%d records sent" % RECORDS in said, said)
        count = "--messages" if kafka.version.startswith("3.") else "--num-records"
        said = tools("consumer-perf-test", "--topic", "load", count, str(RECORDS))
        row = said.strip().splitlines()[-1].split(", ")
        equal(int(row[4]), RECORDS, "the number of consumed records")
        equal(ends(tools, "load"), RECORDS, "the number of records")
    with checks.check("console: metrics of the broker"):
        said = call(hub, "console", "GET", "/metrics")
        counted = re.search(r'^kafka_network_requestmetrics_requests_total\{request="Produce"\} (\d+)$', said, re.MULTILINE)
        expect(counted and int(counted[1]) > 0, said)


def events(said):
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def ends(tools, topic, *arguments):
    said = tools("get-offsets", "--topic", topic, *arguments)
    rows = re.findall(r"^%s:\d+:(\d+)$" % topic, said, re.MULTILINE)
    expect(rows, said)
    return sum(map(int, rows))


def configs(checks, tools):
    for topic, partitions in (("numbers", 3), ("load", 1)):
        tools("topics", "--create", "--topic", topic, "--partitions", str(partitions))
    topic = ["--entity-type", "topics", "--entity-name", "numbers"]
    with checks.check("Kafka's configs --alter and --describe of a topic"):
        tools("configs", "--alter", *topic, "--add-config", "retention.ms=7200000,max.message.bytes=2000000")
        said = tools("configs", "--describe", *topic)
        expect("retention.ms=7200000" in said and "DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000" in said, said)
        tools("configs", "--alter", *topic, "--delete-config", "max.message.bytes")
        said = tools("configs", "--describe", *topic)
        expect("retention.ms=7200000" in said and "max.message.bytes" not in said, said)
    with checks.check("Kafka's configs --describe --all of a topic and of the broker"):
        said = tools("configs", "--describe", "--all", *topic)
        expect("cleanup.policy=delete" in said and "DEFAULT_CONFIG:" in said, said)
        broker = re.search(r"Leader: (\d+)", tools("topics", "--describe", "--topic", "numbers"))[1]
        said = tools("configs", "--describe", "--all", "--entity-type", "brokers", "--entity-name", broker)
        expect("log.retention.hours=" in said, said)
    with checks.check("Kafka's configs --alter refuses what is no value"):
        said = tools("configs", "--alter", *topic, "--add-config", "retention.ms=soon", status=1)
        expect("retention.ms" in said, said)


def dump(checks, kafka, hub):
    """Reads the files of a hub that has ended."""
    with checks.check("Kafka's dump-log of segments and indexes") as notes:
        records, files, batches = 0, 0, 0
        for partition in range(3):
            folder = os.path.join(hub.data_dir(), "broker", "numbers-%d" % partition)
            # A partition that nothing was written to has no files yet.
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
                if not name.endswith((".log", ".index", ".timeindex")):
                    continue
                said = kafka.tool("dump-log", "", "--files", os.path.join(folder, name), "--deep-iteration")
                expect("isvalid: false" not in said and "Found" not in said and "mismatch" not in said.lower(), said)
                files += 1
                records += len(re.findall(r"^\| offset: \d+ ", said, re.MULTILINE))
                batches += len(re.findall(r"^baseOffset: \d+ .*isvalid: true", said, re.MULTILINE))
        equal(records, RECORDS, "the number of records")
        notes.append("%d records in %d batches, %d files" % (records, batches, files))
