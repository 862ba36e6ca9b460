"""What a worker of ours answers otherwise than Kafka's, and why. A line that explains nothing is an error. Patterns are those of
`fnmatch`, where a bracket is written `?`."""
from expected import ANY, of

WHOLE = ("- *", "+ *")
OWN_KEYS = "keys of our own, behind Kafka's"
CLASSES = "other words for a class that is not there or of another kind; what was given is shown"
FORMS = "the words of another library, or in another order"
PATHS = "what no name can be leads nowhere; Kafka's server refuses it as a page of HTML"
NULLS = "a null is no value: one error says so"
VERSIONS = "there is one version of each plugin; it is taken whatever a configuration says, as that may be of another worker"
CONTENT = "schema.content (KIP-1054) is not there yet, and the converter says its keys in another order"


def is_fault(theirs, ours):
    """A mistake of the client is no error of the server: Kafka's worker answers 500 in the words of its JSON library, of a null pointer or of
    a task; ours 400, and the message names the place."""
    return theirs[0] == "status 500" and ours[0] == "status 400" and " has error_code, message" in ours


LINES = [
    *of(ANY, "what an error says is JSON, and so is said to be", "*", "+ Content-Type: application/json"),
    *of(ANY, "HTTP wants it (RFC 9110, 15.5.6)", "*", "+ Allow: *"),
    *of(ANY, PATHS, "GET //", *WHOLE), *of(ANY, PATHS, "GET /connectors//config", *WHOLE), *of(ANY, PATHS, "GET /connectors/?2*", *WHOLE),
    *of(ANY, PATHS, "GET /connectors/?00", *WHOLE), *of(ANY, PATHS, "GET /connectors/?zz", *WHOLE),
    *of(ANY, PATHS, "GET /connectors/a?2Fb", *WHOLE), *of(ANY, PATHS, "POST /connectors/a/tasks/0//restart", *WHOLE),
    *of(ANY, "a name with a percent sign is one, and a semicolon is part of a name", "* /connectors/a?25b*", *WHOLE),
    *of(ANY, "a name with a percent sign is one, and a semicolon is part of a name", "GET /connectors/a;b=c", *WHOLE),
    *of(ANY, OWN_KEYS, "*/config*", "+ errors.restart.*", "+ * comes after errors.restart.reset.ms", "- * comes after offsets.storage.topic",
        "- * comes after errors.deadletterqueue.context.headers.enable", "+ file.complete*", "+ invalid.utf8*", "+ max.line.bytes*", "+ on.truncation*",
        "+ * comes after on.truncation", "- * comes after batch.size"),
    *of(ANY, "sources have dead letter queues, too", "*Source*", "+ errors.deadletterqueue.*"),
    *of(ANY, "it comes with Connect here", "*validate*", '+ *.converter value.recommended_values?? = "io.confluent.connect.avro.AvroConverter"'),
    *of(ANY, "topic.creation.* is judged here; Kafka's looks at it when a task starts, and fails it", "*source, topic creation*", *WHOLE),
    *of(ANY, "topic.creation.* is judged here; Kafka's looks at it when a task starts, and fails it", "*source, a wrong regex", *WHOLE),
    *of(ANY, "files are known by their content, too", "*/offsets*", "- *.offset has 1 keys", "+ *.offset has 3 keys", "+ *.offset.checksum = *",
        "+ *.offset.fingerprint = *"),
    *of(ANY, "an offset of nothing is a mistake", "PATCH /connectors/a/offsets an empty offset", *WHOLE),
    *of(ANY, "the reason is told, too", "PATCH /connectors/b/offsets a topic *", "- .message = *", "+ .message = *"),
    *of(ANY, "removed in 4.0 and served on (KIP-970)", "* /connectors/*/tasks-config", *WHOLE),
    *of(ANY, "found by its simple name too", "GET /connector-plugins/Cast$Value/config", *WHOLE),
    *of(ANY, "there is no class that is no plugin", "GET /connector-plugins/java.lang.String/config", *WHOLE),
    *of(ANY, "there is no class that is no plugin", "GET /connector-plugins/org.apache.kafka.connect.transforms.Cast/config", *WHOLE),
    *of(ANY, "a range of versions is told as it was given", "GET *?version=*", "- .message = *", "+ .message = *"),
    *of(ANY, VERSIONS, "*validate source, connector.plugin.version=*", *WHOLE), *of(ANY, VERSIONS, "*validate source, versions", *WHOLE),
    *of(ANY, VERSIONS, "*validate source, a version", *WHOLE),
    *of(ANY, CONTENT, "GET *JsonConverter/config", *WHOLE), *of(ANY, CONTENT, "*validate source, a JSON *", *WHOLE),
    *of(ANY, "strings are UTF-8", "*validate source, string converters", *WHOLE),
    *of(ANY, "the process logs warnings unless asked", "GET /admin/loggers/*oot", '- .level = "ERROR"', '+ .level = "WARN"'),
    *of(ANY, "the process logs warnings unless asked", "GET /admin/loggers/", *WHOLE),
    *of(ANY, "an empty name is no level", "PUT /admin/loggers/* wrong 3", *WHOLE),
    *of(ANY, "the guard against pages of other sites says so", "* as text", "- .message = *", "+ .message = *"),
    *of(ANY, "the guard against pages of other sites says so", "* as a form", "- .message = *", "+ .message = *"),
    *of(ANY, "the guard against pages of other sites says so", "* with text", "- .message = *", "+ .message = *"),
    *of(ANY, "no values in a message: they may be secrets", "*", "- .message = *contains no connector type\"", "+ .message = *contains no connector type\""),
    *of(ANY, NULLS, "*validate source, a name that is null", *WHOLE), *of(ANY, NULLS, "*validate source, tasks.max=null", *WHOLE),
    *of(ANY, NULLS, "POST /connectors a value that is null", *WHOLE), *of(ANY, NULLS, "POST /connectors three errors", *WHOLE),
    *of(ANY, NULLS, "PUT /connectors/a/config with null", *WHOLE),
    *of(ANY, "unknown keys are told, with the one that was meant", "*validate source, *", "- name comes after the beginning", "+ name comes after *",
        "+ * comes after the beginning", "+ * is not defined", "+ no.such.key *", "+ topci *", "+ transforms.route.regx *"),
    *of(ANY, "unknown keys are told, with the one that was meant", "*validate source, options without alias", "+ transforms.cast.*"),
    *of(ANY, "a predicate that nobody defines is told before a task fails of it", "*validate source, a predicate that is not there", *WHOLE),
    *of(ANY, CLASSES, "*validate source, an unknown converter", *WHOLE), *of(ANY, CLASSES, "*validate source, a converter that is none", *WHOLE),
    *of(ANY, CLASSES, "*validate source, no converter", *WHOLE), *of(ANY, CLASSES, "*validate source, a header converter that is none", *WHOLE),
    *of(ANY, CLASSES, "*validate source, *", "- *.type value.value = null", "+ *.type value.value = *", "- *.converter value.value = *", "+ *.converter value.value = *",
        "- *value.errors?? = *Class class * does not implement *", "+ *value.errors?? = *could not be found.*"),
    *of(ANY, "a transformation is found by its simple name, too", "*validate source, its simple name", *WHOLE),
    *of(ANY, FORMS, "*", "- *value.errors?? = *Invalid regex: *", "+ *value.errors?? = *regex parse error*", "- *Invalid type found in casting spec*",
        "+ *Invalid type found in casting spec*", "- *value.errors?? = *String must be one of (case insensitive)*",
        "+ *value.errors?? = *String must be one of (case insensitive)*"),
    *of(ANY, "a key that is not given is not judged", "*validate source, its option missing", *WHOLE),
    *of(ANY, "what is wrong with a client's key is told as what is wrong with any other", "*'s key wrong", *WHOLE),
    *of(ANY, "the connectors by their names, and the one that is nearest", "POST /connectors an unknown class", "- .message = *", "+ .message = *"),
]
