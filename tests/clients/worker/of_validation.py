"""`/connector-plugins/{plugin}/config/validate`: every field of what it says of a configuration."""
import json

from asked import SINK, SOURCE

STRING = "org.apache.kafka.connect.storage.StringConverter"
JSON = "org.apache.kafka.connect.json.JsonConverter"
CAST = {"transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value", "transforms.cast.spec": "a:int32"}
ROUTE = {"transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter", "transforms.route.regex": "a", "transforms.route.replacement": "b"}


def ask(worker):
    source, sink = worker.source(name="s", key__converter=None, value__converter=None), worker.sink(name="s", key__converter=None, value__converter=None)

    def validate(label, config, plugin=None):
        plugin = plugin or config["connector.class"].rsplit(".", 1)[-1]
        worker("PUT", "/connector-plugins/%s/config/validate" % plugin, config, label=label)

    validate("source", source)
    validate("sink", sink)
    names(worker, validate, source)
    forms(worker, source)
    for label, more in (*COMMON, *CHAINS, *CONVERTERS, *OVERRIDES):
        validate("source, " + label, without_none({**source, **more}))
    for label, more in SINKS:
        validate("sink, " + label, without_none({**sink, **more}))
    for label, more in SOURCES:
        validate("source, " + label, without_none({**source, **more}))


def without_none(config):
    return {key: None if value == "null" else value for key, value in config.items() if value is not None}


def names(worker, validate, source):
    for plugin in (SOURCE, "FileStreamSource", "Source", "SourceConnector", "kafka.connect.file.FileStreamSource", "FileStreamSink", "none", "Connector"):
        validate("by the name " + plugin, source, plugin)
    for name in ("FileStreamSource", "FileStreamSourceConnector"):
        validate("of the class " + name, {**source, "connector.class": name}, "FileStreamSource")
    validate("of no class", {key: value for key, value in source.items() if key != "connector.class"}, "FileStreamSource")
    validate("of a class that is null", {**source, "connector.class": None}, "FileStreamSource")
    for name in ("", "no.such.SourceConnector", "SourceConnector", STRING):
        validate("of the class '%s'" % name, {**source, "connector.class": name}, "Connector" if name else "FileStreamSource")
    validate("nothing", {}, "FileStreamSource")


def forms(worker, source):
    path = "/connector-plugins/FileStreamSource/config/validate"
    for label, body in (("no body", ""), ("no JSON", "{"), ("half", '{"a":'), ("a list", "[]"), ("null", "null"), ("a string", '"x"'), ("a number", "1"),
                        ("a nested value", json.dumps({**source, "x": {"y": 1}})), ("a list as value", json.dumps({**source, "x": ["y"]}))):
        worker("PUT", path, body, label=label)
    worker("PUT", path, source, headers={}, label="without a type")
    worker("PUT", path, source, headers={"Content-Type": "text/plain"}, label="as text")
    worker("PUT", path, source, headers={"Content-Type": "application/xml"}, label="as XML")
    worker("PUT", path, source, headers={"Content-Type": "application/json; charset=utf-8"}, label="as JSON in UTF-8")
    worker("PUT", path, source, headers={"Content-Type": "application/vnd.x+json"}, label="as other JSON")
    worker("PUT", path + "/", source)
    worker("PUT", path, {**source, "tasks.max": 3, "batch.size": 20, "tasks.max.enforce": False}, label="numbers and booleans")


COMMON = (
    ("no name", {"name": None}), ("an empty name", {"name": ""}), ("a name of blanks", {"name": "  "}), ("a name with a control", {"name": "a\u0007b"}),
    ("a name that is null", {"name": "null"}),
    *(("tasks.max=%s" % value, {"tasks.max": value}) for value in ("0", "-1", "x", "", "1.5", "2147483648", " 2 ", "null")),
    *(("%s=%s" % pair, dict([pair])) for pair in (
        ("tasks.max.enforce", "maybe"), ("config.action.reload", "reload"), ("errors.tolerance", "some"), ("errors.tolerance", "ALL"), ("errors.tolerance", "all"),
        ("errors.retry.timeout", "-1"), ("errors.retry.timeout", "soon"), ("errors.retry.delay.max.ms", "x"), ("errors.log.enable", "1"),
        ("errors.log.include.messages", "TRUE"), ("connector.plugin.version", "4.3.1"), ("connector.plugin.version", "x"),
        ("batch.size", "0"), ("batch.size", "x"), ("topic", ""), ("file", ""), ("file", "relative"))),
    ("no topic", {"topic": None}), ("no file", {"file": None}), ("an unknown key", {"no.such.key": "x"}), ("a slip", {"topci": "x"}),
)
CHAINS = (
    ("a transformation", {"transforms": "cast", **CAST}), ("two", {"transforms": "cast,route", **CAST, **ROUTE}),
    ("no type", {"transforms": "cast"}), ("an empty type", {"transforms": "cast", "transforms.cast.type": ""}),
    ("an unknown class", {"transforms": "cast", "transforms.cast.type": "Nothing"}),
    ("a class that is none", {"transforms": "cast", "transforms.cast.type": JSON}),
    ("its simple name", {"transforms": "cast", **CAST, "transforms.cast.type": "Cast$Value"}),
    ("its option wrong", {"transforms": "cast", **CAST, "transforms.cast.spec": "a:int99"}),
    ("its option missing", {"transforms": "route", **ROUTE, "transforms.route.regex": None}),
    ("its regex wrong", {"transforms": "route", **ROUTE, "transforms.route.regex": "("}),
    ("its option unknown", {"transforms": "route", **ROUTE, "transforms.route.regx": "("}),
    ("an alias twice", {"transforms": "cast,cast", **CAST}), ("no alias", {"transforms": ""}), ("options without alias", {**CAST}),
    ("a version", {"transforms": "cast", **CAST, "transforms.cast.plugin.version": "4.3.1"}),
    ("a predicate", {"transforms": "cast", **CAST, "transforms.cast.predicate": "p", "predicates": "p",
                     "predicates.p.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches", "predicates.p.pattern": "a.*"}),
    ("a negated predicate", {"transforms": "cast", **CAST, "transforms.cast.predicate": "p", "transforms.cast.negate": "true", "predicates": "p",
                             "predicates.p.type": "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"}),
    ("a predicate that is not there", {"transforms": "cast", **CAST, "transforms.cast.predicate": "p"}),
    ("negate alone", {"transforms": "cast", **CAST, "transforms.cast.negate": "true"}),
    ("a predicate without type", {"predicates": "p"}), ("a predicate's regex wrong", {
        "predicates": "p", "predicates.p.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches", "predicates.p.pattern": "("}),
    ("a predicate's class unknown", {"predicates": "p", "predicates.p.type": "Nothing"}), ("a predicate twice", {"predicates": "p,p"}),
)
CONVERTERS = (
    ("string converters", {"key.converter": STRING, "value.converter": STRING, "key.converter.converter.encoding": "latin1"}),
    ("a JSON converter", {"value.converter": JSON, "value.converter.schemas.enable": "false"}),
    ("a JSON converter's options wrong", {"value.converter": JSON, "value.converter.schemas.cache.size": "-1", "value.converter.decimal.format": "x",
                                          "value.converter.schemas.enable": "maybe"}),
    ("options without converter", {"value.converter.schemas.enable": "maybe"}),
    ("an unknown converter", {"key.converter": "Nothing"}), ("a converter that is none", {"key.converter": SINK}), ("no converter", {"key.converter": ""}),
    ("a converter's simple name", {"key.converter": "StringConverter"}),
    ("a header converter", {"header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter"}),
    ("a header converter that is none", {"header.converter": "org.apache.kafka.connect.transforms.predicates.HasHeaderKey"}),
    ("a JSON header converter", {"header.converter": JSON}),
    ("versions", {"key.converter": STRING, "key.converter.plugin.version": "4.3.1", "value.converter": STRING, "value.converter.plugin.version": "x"}),
)
OVERRIDES = (
    ("a producer's key", {"producer.override.linger.ms": "5"}), ("a producer's key wrong", {"producer.override.linger.ms": "x"}),
    ("a producer's unknown key", {"producer.override.no.such": "x"}), ("a consumer's key", {"consumer.override.max.poll.records": "5"}),
    ("an admin's key", {"admin.override.retries": "5"}),
)
SINKS = (
    ("topics and regex", {"topics.regex": "a.*"}), ("no topics", {"topics": None}), ("empty topics", {"topics": ""}), ("a regex", {"topics": None, "topics.regex": "a.*"}),
    ("a wrong regex", {"topics": None, "topics.regex": "("}), ("a topic twice", {"topics": "a,a"}), ("topics with blanks", {"topics": " a , b "}),
    ("an empty topic", {"topics": "a,,b"}),
    ("a dead letter queue", {"errors.deadletterqueue.topic.name": "dlq"}), ("itself as queue", {"errors.deadletterqueue.topic.name": "lines"}),
    ("a queue that matches", {"topics": None, "topics.regex": "l.*", "errors.deadletterqueue.topic.name": "lost"}),
    ("a queue of no replicas", {"errors.deadletterqueue.topic.name": "dlq", "errors.deadletterqueue.topic.replication.factor": "x"}),
    ("a queue with headers", {"errors.deadletterqueue.topic.name": "dlq", "errors.deadletterqueue.context.headers.enable": "perhaps"}),
    ("a consumer's key", {"consumer.override.max.poll.records": "5"}), ("a consumer's key wrong", {"consumer.override.max.poll.records": "x"}),
    ("a producer's key", {"producer.override.linger.ms": "5"}),
    ("all clients' keys", {"errors.deadletterqueue.topic.name": "dlq", "producer.override.linger.ms": "5", "consumer.override.max.poll.records": "5", "admin.override.retries": "5"}),
)
SOURCES = (
    ("topic creation", {"topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "2"}),
    ("topic creation without partitions", {"topic.creation.default.replication.factor": "1"}),
    ("topic creation without replicas", {"topic.creation.default.partitions": "2"}),
    ("topic creation of no partitions", {"topic.creation.default.replication.factor": "0", "topic.creation.default.partitions": "0"}),
    ("topic creation in groups", {"topic.creation.groups": "g", "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "2",
                                  "topic.creation.g.include": "a.*", "topic.creation.g.partitions": "3", "topic.creation.g.cleanup.policy": "compact"}),
    ("topic creation in a group without include", {"topic.creation.groups": "g", "topic.creation.default.replication.factor": "1",
                                                   "topic.creation.default.partitions": "2"}),
    ("topic creation in a group twice", {"topic.creation.groups": "g,g", "topic.creation.default.replication.factor": "1",
                                         "topic.creation.default.partitions": "2"}),
    ("a wrong regex", {"topic.creation.groups": "g", "topic.creation.default.replication.factor": "1", "topic.creation.default.partitions": "2",
                       "topic.creation.g.include": "("}),
    *(("%s=%s" % pair, dict([pair])) for pair in (
        ("exactly.once.support", "requested"), ("exactly.once.support", "wanted"), ("transaction.boundary", "interval"), ("transaction.boundary", "never"),
        ("transaction.boundary.interval.ms", "-1"), ("transaction.boundary.interval.ms", "x"))),
)
