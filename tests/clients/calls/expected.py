"""Where a line is otherwise than what Kafka's tool prints on Kafka's broker, and why. A line that explains nothing is an error.
Patterns are those of `fnmatch`, where a bracket is written `?`."""
import fnmatch

# Where it differs: where the tool is Forebay's, where the broker is, or on either.
TOOL, BROKER, ANY = "tool", "broker", "any"
THEIRS, OURS = "-", "+"


def of(where, why, calls, *lines):
    """Lines of the same calls, each with the sign of who has it in front."""
    return [(where, calls, line[0], line[2:], why) for line in lines]


FILE, WORDS = "the words of the system for a file that is not there", "other words for the same"
KRAFT = "one controller in a quorum of fixed voters: kraft.version 1 is not supported, and of several features none is changed"
SHARE = "share groups and streams groups are not served"

# (where, calls, which of the two has the line, line, why)
LINES = [
    *of(TOOL, WORDS, "topics --describe --topic-id no-id", "- *Last unit does not have enough*", '+ *"no-id" is not an id*'),
    *of(TOOL, "told as before KRaft, as every course and answer shows it", "topics --create --topic wrong --replication-factor 2",
        "- *Unable to replicate the partition 2 time(s)*", "+ *replication factor: 2 larger than available brokers: 1"),
    *of(TOOL, "the words of another library", "consumer-groups --validate-regex (", "- *is invalid: missing closing ).", "+ *is invalid: unclosed group."),
    *of(TOOL, "Kafka's says so through its logger, which is off here", "consumer-groups --reset-offsets *", "+ ! New offset (*"),
    *of(TOOL, "refused before anybody is asked", "consumer-groups --reset-offsets * --to-offset x *", "- Error: *Cannot parse argument 'x'*",
        "- status 0", "+ ! Cannot parse argument 'x'*", "+ status 1"),
    *of(TOOL, "a time before 1970 is no time to either", "consumer-groups --reset-offsets * --by-duration P30000D *",
        "- Error: *UnsupportedVersionException: The version of API is not supported.",
        "+ Error: *Error getting offset of topic partition orders-0: The version of API is not supported."),
    *of(TOOL, "Kafka's prints how reading it in the other format failed", "consumer-groups *FILES/*.csv*", "- ! com.fasterxml.jackson.*"),
    *of(TOOL, "Kafka's takes a line that it cannot read for none", "consumer-groups *FILES/bad.csv*", "- Error: No reset plan for group *",
        "- GROUP *", "+ Error: *the line ?orders,zero,1? of the plan is neither *"),
    *of(TOOL, "Kafka's takes a line that it cannot read for none", "consumer-groups *--group others*FILES/one.csv*",
        "- Error: No reset plan for group *", "- GROUP *", "+ Error: *the line ?orders,0,2? of the plan is neither *"),
    *of(TOOL, "a file without lines has no plan", "consumer-groups *FILES/empty.csv*", "- Error: *No content to map*",
        "+ Error: No reset plan for group readers found", "+ GROUP *"),
    *of(TOOL, FILE, "*FILES/nosuch.*", "- *Unable to read file FILES/nosuch.*", "+ *cannot read FILES/nosuch.*: No such file or directory*"),
    *of(TOOL, FILE, "configs *FILES/nosuch.properties", "- ! Error while executing config command*"),
    *of(TOOL, WORDS, "transactions list --transactional-id-pattern (", "- *sent to broker 0 failed with an unexpected exception.*",
        "+ *The regular expression is not valid.*"),
    *of(TOOL, "says which commands there are", "*", "- ! too few arguments", "+ ! too few arguments; one of *"),
    *of(TOOL, "says which commands there are", "cluster", "- ! unrecognized arguments: *"),
    *of(TOOL, WORDS, "cluster unregister", "- ! argument --id/-i is required", "+ ! argument --id is required"),
    *of(TOOL, WORDS, "transactions forceTerminateTransaction --transactional-id *", "- ! Did you mean:", "- ! \t--transactionalId"),
    *of(BROKER, "flush.messages: acknowledged means on the disk", "configs --describe --all --topic orders", "-   flush.messages=9223372036854775807 *",
        "+   flush.messages=1 *"),
    *of(BROKER, "there is no such pool of threads", "configs --describe *broker*", "-   background.threads=9 *"),
    *of(BROKER, SHARE, "features describe*", "- Feature: share.version *", "- Feature: streams.version *"),
    *of(BROKER, KRAFT, "features describe*", "- Feature: kraft.version *"),
    *of(BROKER, KRAFT, "features upgrade --dry-run --release-version 4.3", "- * can be upgraded to *", "- status 0",
        "+ Can not upgrade * for feature kraft.version. Local controller 0 does not support this feature.", "+ ! 7 out of 7 *", "+ status 1"),
    *of(BROKER, KRAFT, "features * --dry-run --release-version *",
        "- Can not * Invalid update version 21 for feature metadata.version. Can't downgrade *",
        "- Can not * Invalid update version 1 for feature kraft.version. Can't downgrade *",
        "+ Can not * Invalid update version 1 for feature kraft.version. Local controller 0 does not support *"),
    *of(BROKER, "there is no listener for controllers", "metadata-quorum describe --status*", "- CurrentVoters: * \"endpoints\": *",
        '+ CurrentVoters: *?{"id": 0}?'),
    *of(TOOL, "no tool speaks to controllers", "metadata-quorum remove-controller *", "- DRY RUN of removing *", "- status 0",
        "+ ! controller-id is not a recognized option", "+ status 1"),
    *of(BROKER, "not served, and not announced", "broker-api-versions", "- \t*Share*", "- \t*Streams*", "- \t*DelegationToken(*", "- \t*RaftVoter(*",
        "- \tSasl*", "+ \t*: UNSUPPORTED"),
    *of(TOOL, "our own version", "broker-api-versions --version", "- 4.3.1", "+ *(speaks Apache Kafka 4.3)"),
    *of(TOOL, WORDS, "leader-election * FILES/one.csv", "- ! Replica election data is empty", "+ ! The input string is not a valid JSON"),
    *of(TOOL, "one question is asked to learn that there are none", "acls --remove *", "- *No Authorizer is configured.", "+ *No Authorizer is configured on the broker"),
]


class Expected:
    """The lines, and which of them were needed."""

    def __init__(self, known=None):
        self.known, self.used = LINES if known is None else known, set()

    def explains(self, where, call, side, line):
        for number, (place, calls, of_whom, lines, _) in enumerate(self.known):
            if place in (ANY, *where) and of_whom == side and fnmatch.fnmatchcase(call, calls) and fnmatch.fnmatchcase(line, lines):
                self.used.add(number)
                return True
        return False

    def unused(self, where):
        """Of those that could have been needed."""
        return [" ".join(it[:4]) for number, it in enumerate(self.known) if number not in self.used and it[0] in (ANY, *where)]
