"""The message tables of `protocol/schema/`, read at run time: one `Message` per table, one `Field` per line."""
import functools
import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "protocol", "schema")
NEVER = (1, 0)
FOREVER = 32767


def versions(text):
    """`3+`, `0-12`, `7` or `none` as the lowest and the highest."""
    if text == "none":
        return NEVER
    if text.endswith("+"):
        return int(text[:-1]), FOREVER
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def within(version, bounds):
    return bounds[0] <= version <= bounds[1]


class Field:
    """A line: `Name type versions`, then words."""

    def __init__(self, line):
        self.name, kind, known, *words = line.split(" ")
        self.name = self.name[0].upper() + self.name[1:]  # some tables begin a name with a small letter
        self.is_array = kind.startswith("[]")
        self.kind = kind.removeprefix("[]")
        self.versions = versions(known)
        self.nullable, self.tagged, self.flexible, self.tag, self.default = NEVER, NEVER, None, None, None
        words = [word for word in words if word != "ignorable"]
        for word, value in zip(words[::2], words[1::2]):
            setattr(self, word, versions(value) if word in ("nullable", "tagged", "flexible") else value)
        self.tag = None if self.tag is None else int(self.tag)


class Message:
    """A table: its head, its own fields, and those of the structures in it."""

    def __init__(self, text):
        head, *blocks = text.rstrip("\n").split("\n\n")
        lines = head.split("\n")
        self.kind, self.name = lines[0].split(" ")
        properties = dict((line + " ").split(" ", 1) for line in lines[1:])
        self.api_key = int(properties.get("api-key", "-1"))
        self.listeners = properties.get("listeners", "").split()
        self.valid = versions(properties["valid-versions"].strip())
        self.flexible = versions(properties["flexible-versions"].strip())
        self.structures = {}
        self.fields = self._fields((blocks or [""])[0].split("\n"))
        for block in blocks[1:]:
            first, *rest = block.split("\n")
            self.structures[first.split(" ")[1]] = self._fields(rest)

    def _fields(self, lines):
        """The fields at the depth of the first line; what is indented below one of them is its structure."""
        lines = [line for line in lines if line]
        if not lines:
            return []
        depth, fields, at = _depth(lines[0]), [], 0
        while at < len(lines):
            field = Field(lines[at].strip())
            fields.append(field)
            end = next((n for n in range(at + 1, len(lines)) if _depth(lines[n]) <= depth), len(lines))
            if end > at + 1:
                self.structures[field.kind] = self._fields(lines[at + 1:end])
            at = end
        return fields


def _depth(line):
    return len(line) - len(line.lstrip(" "))


@functools.cache
def message(name):
    """The table of a message by Kafka's name, as `MetadataRequest`."""
    file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() + ".txt"
    with open(os.path.join(FOLDER, file), encoding="utf-8") as f:
        return Message(f.read())


@functools.cache
def apis():
    """Every API by its name without `Request`: its key and its versions."""
    found = {}
    for file in sorted(os.listdir(FOLDER)):
        if file.endswith("_request.txt"):
            with open(os.path.join(FOLDER, file), encoding="utf-8") as f:
                table = Message(f.read())
            found[table.name.removesuffix("Request")] = table
    return found


@functools.cache
def error_names():
    """Number of an error -> its name."""
    path = os.path.join(FOLDER, "..", "src", "error_code.rs")
    with open(path, encoding="utf-8") as f:
        return {int(number): name for number, name in re.findall(r'^    (-?\d+) \w+ "([A-Z_0-9]+)" (?:true|false)', f.read(), re.M)}
