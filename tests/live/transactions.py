"""Kafka's own client in transactions, as of each `transaction.version`: it copies a topic and commits its offsets, or aborts, at random."""
import json

from checks import equal, expect

RECORDS, PER_TRANSACTION = 1000, 50
COPIER = "org.apache.kafka.tools.TransactionalMessageCopier"


def check(checks, tools):
    """With tools of 4.x; older clients know one way only."""
    kafka = tools.kafka
    for topic in ("copied-from", "copied-to"):
        tools("topics", "--create", "--topic", topic, "--partitions", "1")
    tools("verifiable-producer", "--topic", "copied-from", "--max-messages", str(RECORDS), "--acks", "-1")
    expected = [str(number) for number in range(RECORDS)]
    for turn, version in enumerate((2, 0, 1), start=1):
        with checks.check("Kafka's client in transactions, transaction.version %d" % version) as notes:
            if version != 2:
                verb = "downgrade" if version == 0 else "upgrade"
                tools("features", verb, "--feature", "transaction.version=%d" % version)
            name = "copier-%d" % version
            said = kafka.peer("java", COPIER, "--broker-list", tools.bootstrap, "--input-topic", "copied-from", "--input-partition", "0",
                              "--output-topic", "copied-to", "--consumer-group", name, "--transactional-id", name, "--transaction-size",
                              str(PER_TRANSACTION), "--max-messages", str(RECORDS), "--enable-random-aborts", "--group-mode")
            last = [json.loads(line) for line in said.splitlines() if line.startswith("{")][-1]
            equal(last["consumed"], RECORDS, "the number of copied records")
            found = tools.read("copied-to", "--isolation-level", "read_committed", idle_ms=10_000)
            values = [found[place] for place in sorted(found)]
            expect(values == expected * turn, "%d records, not %d in their order" % (len(values), RECORDS * turn))
            said = tools("transactions", "list")
            expect(name in said, said)
            notes.append("%d records, %d at most in a transaction" % (RECORDS, PER_TRANSACTION))
