"""Where Forebay answers otherwise than Kafka 4.3.1 on purpose: cases and paths as patterns, both answers, and why. A line that
explains nothing any more is an error."""
import fnmatch

STUMBLES = "-1 UNKNOWN_SERVER_ERROR"
SPEAKS = "Kafka sends no message with this error; ours says what is wrong"
# Kafka checks no offset of an uncompressed record; what it would store has offsets that no reader could use.
STRICT = "a batch whose records do not agree with its header is refused, compressed or not"
NO_TAIL = "bytes behind the end of a frame are refused in every compression"
NO_LEVEL = "Kafka stumbles over an unknown isolation level; it is read as uncommitted here"
NO_BOUND = "Kafka stumbles over a negative bound; here it is 0, and the first batch is given"
NO_NAME = "Kafka stumbles over a topic without name and id; we leave it out"
EMPTY_NAME = "Kafka stumbles over the empty name; to us it is a bad one, as in Metadata"
ORDER = "aborted transactions have the order of their first offsets here, in which a reader needs them, that of their ends there"
TWICE = "what is sent twice is written twice and answered twice; Kafka drops one"


def of(cases, why, *lines):
    """Lines of the same cases: (paths, Kafka's answer, ours)."""
    return [(cases, *line, why) for line in lines]


# What a Fetch has of a batch that the other broker did not store.
WRITTEN_THERE = ("5 Fetch *Watermark", "[1-9]", "0"), ("5 Fetch *StableOffset", "[1-9]", "0"), ("5 Fetch */Records", "?{'base offset'*", "[]")
REFUSED_HERE = ("* Produce */ErrorCode", "0 NONE", "87 INVALID_RECORD"), ("* Produce */BaseOffset", "[0-9]", "-1"), *WRITTEN_THERE
READ_HERE = (("*/ErrorCode", STUMBLES, "0 NONE"), ("*/HighWatermark", "-1", "6"), ("*/LastStableOffset", "-1", "6"), ("*/LogStartOffset", "-1", "0"),
             ("*/Records", "[]", "?{'base offset': 0, *"))

# (cases, paths, Kafka's answer, ours, why)
LINES = [
    ("produce/*", "*/ErrorMessage", "None", "?*", SPEAKS),
    ("fetch/sparse-offsets", "*/ErrorMessage", "None", "record batch is *", SPEAKS),
    ("idempotence/*", "*/ErrorMessage", "None", "?*", SPEAKS),
    *[("produce/%s*" % cases, "*/ErrorCode", STUMBLES, "%s*" % ours, "Kafka stumbles over what we have an error for")
      for cases, ours in (("compressed-garbage/", "2 "), ("records/codec-", "76 "), ("records/garbage-records", "87 "),
                          ("records-compressed/", "87 "))],
    ("produce/records-compressed/*", "*/RecordErrors", "[]", "?{'BatchIndex': *", "as above, and which record it is"),
    *of("produce/records/offset-delta*", STRICT, *REFUSED_HERE, ("* Produce */RecordErrors", "[]", "?{'BatchIndex': *'Its offset delta is *")),
    *of("produce/records-compressed/record-length-long", STRICT, *REFUSED_HERE),
    *of("produce/records/producer-without-epoch", STRICT, *REFUSED_HERE, ("* Produce */LogAppendTimeMs", "1700000000000", "-1")),
    *of("produce/compressed-garbage/*", NO_TAIL, ("4 *ErrorCode", "0 NONE", "2 CORRUPT_MESSAGE"), ("4 *BaseOffset", "0", "-1"), *WRITTEN_THERE),
    *[("produce/records/%s" % cases, "*/ErrorMessage", "?*", "record batch *", "other words for the same")
      for cases in ("magic-3", "magic-minus-1", "length-negative")],
    ("produce/records/null", "*", "no answer", "an answer", "Kafka never answers records that are null"),
    *of("produce/same-partition-twice", TWICE, ("1 *", "?{*'BaseOffset': 0*}]", "?{*'BaseOffset': 0*}, {*'BaseOffset': 1*}]"), ("2 *Offset", "1", "2"),
        ("2 *Watermark", "1", "2"), ("2 *Records", "?{'base offset': 0*", "?{'base offset': 0*}, {'base offset': 1*")),
    *of("produce/same-topic-twice", TWICE, ("1 */Responses", "?{'Name': *'Index': 0, *'Index': 1, *", "?{'Name': *'Index': 0, *'Name': *'Index': 1, *")),
    ("transactions/*", "*/LogStartOffset", "-1", "0", "an old epoch is found by the log here, by the coordinator there"),
    ("transactions/marked-from-outside/*", "1 *", "-1 *", "47 *", "Kafka stumbles over the marker of an old epoch"),
    ("transactions/aborted-in-order", "*/in the order of first offsets", "False", "True", ORDER),
    *of("metadata/name-and-id/1[23]", NO_NAME, ("3 */Brokers", "[]", "?{'NodeId': 0, *"), ("3 */ClusterId", "None", "<cluster>"), ("3 */ControllerId", "-1", "0"),
        ("3 */Topics", "?{'ErrorCode': '%s', 'Name': '', *" % STUMBLES, "[]"), ("3 */ErrorCode", STUMBLES, "0 NONE")),
    *of("metadata/topic-partitions-of-none/empty", EMPTY_NAME, ("*/Topics?0?/ErrorCode", STUMBLES, "17 *"), ("*/Topics?1?/ErrorCode", STUMBLES, "3 *"),
        ("*/TopicAuthorizedOperations", "-2147483648", "3576")),
    ("topics/create-timeout/*", "*", "7 REQUEST_TIMED_OUT", "36 *", "an answer that is there in time is given"),
    ("topics/create-timeout/*", "*/ErrorMessage", "None", "?*", "as above"),
    *of("topics/grown-to/many", "Kafka stumbles; we say what CreateTopics says", ("*/ErrorCode", STUMBLES, "44 *"), ("*/ErrorMessage", "None", "Unable to *")),
    ("configs/*", "*Value", "9223372036854775807", "1", "flush.messages: acknowledged means on the disk"),
    *of("configs/odd-step/operation-*", "Kafka stumbles over an unknown operation", ("*/ErrorCode", STUMBLES, "42 *"),
        ("*/ErrorMessage", "None", "Unknown operations type *")),
    *of("fetch/isolation/*", NO_LEVEL, *READ_HERE, ("*/AbortedTransactions", "[]", "None")),
    ("configs/of-group/*", "*/Configs", "*share.*", "*", "keys of share and streams groups, which are not served"),
    *of("offsets/asked-as/level-9", NO_LEVEL, ("*/ErrorCode", STUMBLES, "0 NONE"), ("1 */Offset", "-1", "6"), ("2 */Offset", "-1", "0"),
        ("2 */Timestamp", "-1", "1700000000010"), ("*/LeaderEpoch", "-1", "0")),
    *of("fetch/bounded/minus-1", NO_BOUND, *READ_HERE),
    ("offsets/end-of-epoch/*", "*", "-2", "-1", "an epoch that cannot be has no end"),
    ("offsets/end-of-epoch/*", "*/EndOffset", "0", "-1", "as above"),
]


class Deliberate:
    """The lines, and which of them were needed."""

    def __init__(self):
        self.used = set()

    def explains(self, case, path, kafka, ours):
        for number, (cases, paths, theirs, own, _) in enumerate(LINES):
            texts = (case, cases), (path, paths), (str(kafka), theirs), (str(ours), own)
            if all(fnmatch.fnmatchcase(text, pattern) for text, pattern in texts):
                self.used.add(number)
                return True
        return False

    def unused(self):
        return [" ".join(line[:4]) for number, line in enumerate(LINES) if number not in self.used]
