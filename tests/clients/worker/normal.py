"""An answer as lines that two workers can have in common: one for each value with the way to it, and one for each object with the order
of its fields."""
import json
import re

BEGAN = re.compile(r"which began (at \S+Z|\d+ s ago)")
TRACE = re.compile(r"\n\tat .*", re.DOTALL)
# Fields of entities; an object without any of them has names of the user's as keys, in the order of a hash table.
FIELDS = {"name", "version", "error_code", "status", "info", "offsets", "message", "id", "level", "state", "partition", "connector", "class",
          "configs", "definition", "topics"}


class Normal:
    """What is another each time goes by a name: addresses, ids, folders, times, the version of plugins."""

    def __init__(self, port, files):
        self.files, self.version = files, None
        self.workers = re.compile(r"\b[\w.\-]+:%d\b" % port)

    def text(self, text):
        return BEGAN.sub("which began THEN", self.workers.sub("WORKER", text.replace(self.files, "FILES")))

    def answer(self, status, headers, text):
        lines = ["status %d" % status]
        if headers.get("Content-Type") == "text/plain":
            text = ", ".join(sorted(text.split(", ")))  # methods
        for name, value in headers.items():
            if name == "Allow":
                value = ",".join(sorted(word.strip() for word in value.split(",")))
            lines.append("%s: %s" % (name, self.text(value)))
        if not text:
            return lines
        try:
            body = json.loads(text, object_pairs_hook=Object)
        except ValueError:
            return [*lines, "text %s" % self.text(text)]
        return [*lines, *self.flat("", body)]

    def flat(self, way, value):
        if isinstance(value, Object):
            yield from self.object(way, value)
        elif not isinstance(value, list):
            yield "%s = %s" % (way, self.scalar(way, value))
        elif value and all(isinstance(it, Object) and it.is_key() for it in value):
            yield from self.keys(value)
        elif value and all(isinstance(it, str) for it in value):
            yield from ("%s[] = %s" % (way, self.scalar(way, it)) for it in value)
        else:
            yield "%s of %d" % (way, len(value))
            for number, inner in enumerate(value):
                name = inner.get("class", number) if isinstance(inner, Object) else number
                yield from self.flat("%s[%s]" % (way, name), inner)

    def object(self, way, value):
        names = [name for name, _ in value.pairs]
        if "connector.class" in names or not FIELDS & set(names):
            yield "%s has %d keys" % (way, len(names))
        else:
            yield "%s has %s" % (way, ", ".join(names))
        for name, inner in value.pairs:
            yield from self.flat("%s.%s" % (way, name), inner)

    def keys(self, keys):
        """Definitions of configuration keys, with their values or without: each under its name, and which comes after which."""
        before = "the beginning"
        for it in keys:
            definition, value = it.get("definition", it), it.get("value")
            name = (definition or value).get("name")
            yield "%s comes after %s" % (name, before)
            before = name
            if definition is None:
                yield "%s is not defined" % name
            else:
                yield from self.flat(name, definition.without("documentation"))
            if value is not None:
                yield from self.flat("%s value" % name, value)
            elif definition is not it:
                yield "%s has no value" % name

    def scalar(self, way, value):
        field = way.rsplit(".", 1)[-1]
        if value is not None and field in ("commit", "kafka_cluster_id", "version", "last_modified"):
            return field.upper()
        if isinstance(value, str) and value == self.version:
            return "VERSION"
        if isinstance(value, str):
            value = TRACE.sub("", self.text(value)).rstrip()
        return json.dumps(value, ensure_ascii=False)


class Object:
    """A JSON object whose fields have an order."""

    def __init__(self, pairs):
        self.pairs = pairs

    def is_key(self):
        """Whether it defines a configuration key."""
        names = {name for name, _ in self.pairs}
        return "definition" in names or "default_value" in names

    def get(self, wanted, otherwise=None):
        return next((value for name, value in self.pairs if name == wanted), otherwise)

    def without(self, left_out):
        return Object([(name, value) for name, value in self.pairs if name != left_out])
