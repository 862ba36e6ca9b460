"""What a call printed, as it is compared: without what differs from one broker, or one moment, to the next; without order where Kafka's
tools have none (what they keep in hash maps); without the traces of Java's stacks and the help that follows a mistake."""
import json
import re

import outputs
from transcript import MEMBER, UUID

ADDRESS = re.compile(r"(?:localhost|127\.0\.0\.1|\[?::1\]?)(?::| +)\d{4,5}\b")
TRACE = re.compile(r"^(\s+at |\s*Caused by: |\s+Suppressed: |\s+\.\.\. \d+ more|\[[\w| -]+\] (ERROR|WARN|INFO) )")
HEAD = re.compile(r'^(Exception in thread "main" )?((?:\w+\.)+[A-Z]\w+)(?:: (.*))?$')
WRAPPED = re.compile(r"\b(java\.util\.concurrent\.ExecutionException|java\.lang\.RuntimeException|org\.apache\.kafka\.tools\.TerseException): ")
HELP = re.compile(r"^(Option +Description|forebay .* --help shows all options$)")
# argparse4j tells how the tool is called, then what was wrong, both over several lines.
USAGE = re.compile(r"^usage: .*?^\S+:\s+error:\s+(.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
MISTAKE = re.compile(r"^Command line error: (.*?)\. Type --help for help\.$")
OPTIONS = re.compile(r'(?<=options: )\[.*$|(?<=scenarios: )\[.*$|(?<=Option combination ")[^"]*')
SETS = re.compile(r"(?<=Configs: )\S.*$|(?<=' are )\S.*=.*$|(?<=: )'[^']*'(?:, '[^']*')+$|(?<=Valid states are: ).*$")
# How long a transaction has lasted: the column behind the one of its beginning, in milliseconds; of a hanging one in minutes.
LASTED = re.compile(r"^((?:ledger|\d+ *\ttx-).*TIME *\t)\d+ *")
# Of the APIs the last has no comma behind it; some have names as long as an id.
OF_API, API = re.compile(r"\t\w+\(\d+\): "), re.compile(r"(?<=\]|D),$")


def settle(answer):
    """[status, lines of standard output in any order, lines of standard error]"""
    status, out, err = answer
    out, heads = _lines(out)
    err, more = _lines(err)
    # What an exception says is worth a line unless the tool has said it already.
    err += [head for head, message in dict.fromkeys(heads + more) if not any(message in line for line in out + err)]
    return [status, sorted(out), err]


def _lines(text):
    """The lines; and of each that is an exception the whole of it, and its message."""
    found, heads = [], []
    text = USAGE.sub(lambda some: " ".join(some[1].split()) + "\n", text)
    for line in [line for line in text.splitlines() if line.strip()]:
        if HELP.match(line):
            break
        if TRACE.match(line):
            continue
        mistake, is_head = MISTAKE.match(line), HEAD.match(line)
        line = _line(mistake[1] if mistake else line)
        if is_head:
            head = HEAD.match(line)
            heads.append((line, head and head[3] or line))
        else:
            found.append(line)
    return found, heads


def _line(line):
    if line.startswith("{"):
        try:
            return _text(json.dumps(outputs.ordered(json.loads(line)), sort_keys=True))
        except ValueError:
            pass
    line = outputs.settled(_text(WRAPPED.sub("", line)))
    line = API.sub("", LASTED.sub(r"\1LASTED", re.sub(r"(LeaderEpoch: +)\d+", r"\1N", line))).rstrip()
    line = OPTIONS.sub(lambda some: " ".join(sorted(re.findall(r"[\w-]+", some[0]))), line)
    return SETS.sub(lambda some: ", ".join(sorted(some[0].replace(", ", ",").split(","))), line)


def _text(line):
    line = ADDRESS.sub("ADDRESS", line)
    if OF_API.match(line):
        return line
    return MEMBER.sub("ID", UUID.sub("UUID", line))
