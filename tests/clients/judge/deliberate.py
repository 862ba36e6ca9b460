"""Where Forebay answers otherwise than Kafka 4.3.1 on purpose: cases and paths as patterns, both answers, and why. A line that
explains nothing any more is an error."""
import fnmatch

STUMBLES = "-1 UNKNOWN_SERVER_ERROR"
SPEAKS = "Kafka sends no message with this error; ours says what is wrong"
# Kafka checks no offset of an uncompressed record; what it would store has offsets that no reader could use.
STRICT = "a batch whose records do not agree with its header is refused, compressed or not"
STRICT_CASES = ("produce/records/offset-delta*", "produce/records-compressed/record-length-long", "produce/records/producer-without-epoch")

# (cases, paths, Kafka's answer, ours, why)
LINES = [
    ("produce/*", "*/ErrorMessage", "None", "?*", SPEAKS),
    ("fetch/sparse-offsets", "*/ErrorMessage", "None", "record batch is *", SPEAKS),
    ("idempotence/*", "*/ErrorMessage", "None", "?*", SPEAKS),
    *[("produce/%s*" % cases, "*/ErrorCode", STUMBLES, "%s*" % ours, "Kafka stumbles over what we have an error for")
      for cases, ours in (("compressed-garbage/", "2 "), ("records/codec-", "76 "), ("records/garbage-records", "87 "),
                          ("records-compressed/", "87 "))],
    ("produce/records-compressed/*", "*/RecordErrors*", "*", "*", "as above, and which record it is"),
    *[(cases, "*", "*", "*", STRICT) for cases in STRICT_CASES],
    ("produce/compressed-garbage/*", "4 *", "*", "*", "bytes behind the end of a frame are refused in every compression"),
    ("produce/compressed-garbage/*", "5 *", "*", "*", "as above: so they are not in the log"),
    *[("produce/records/%s" % cases, "*/ErrorMessage", "?*", "record batch *", "other words for the same")
      for cases in ("magic-3", "magic-minus-1", "length-negative")],
    ("produce/records/null", "*", "no answer", "an answer", "Kafka never answers records that are null"),
    ("produce/same-*-twice", "*", "*", "*", "what is sent twice is written twice and answered twice; Kafka drops one"),
    ("transactions/*", "*/LogStartOffset", "-1", "0", "an old epoch is found by the log here, by the coordinator there"),
    ("transactions/marked-from-outside/*", "1 *", "-1 *", "47 *", "Kafka stumbles over the marker of an old epoch"),
    ("metadata/name-and-id/1[23]", "3 Metadata 1[23]*", "*", "*", "Kafka stumbles over a topic without name and id; we leave it out"),
    ("metadata/topic-partitions-of-none/empty", "*", "*", "*", "Kafka stumbles over the empty name; to us it is a bad one, as in Metadata"),
    ("topics/create-timeout/*", "*", "7 REQUEST_TIMED_OUT", "36 *", "an answer that is there in time is given"),
    ("topics/create-timeout/*", "*/ErrorMessage", "None", "?*", "as above"),
    ("topics/grown-to/many", "*", "*", "*", "Kafka stumbles; we say what CreateTopics says"),
    ("configs/*", "*Value", "9223372036854775807", "1", "flush.messages: acknowledged means on the disk"),
    ("configs/odd-step/operation-*", "*", "*", "*", "Kafka stumbles over an unknown operation"),
    ("fetch/isolation/*", "*", "*", "*", "Kafka stumbles over an unknown isolation level; it is read as uncommitted here"),
    ("consumer-groups/alone/0", "*/ErrorMessage", "Member * is not a member of *", "Member * is not a member of *", "an id at random in it"),
    ("configs/of-group/*", "*/Configs", "*share.*", "*", "keys of share and streams groups, which are not served"),
    ("offsets/asked-as/level-9", "*", "*", "*", "as above"),
    ("fetch/bounded/minus-1", "*", "*", "*", "Kafka stumbles over a negative bound; here it is 0, and the first batch is given"),
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
