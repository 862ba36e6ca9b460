"""What a worker of ours answers otherwise than Kafka's, and why. A line that explains nothing is an error. Patterns are those of
`fnmatch`, where a bracket is written `?`."""
from expected import ANY, of

OWN_KEYS = "keys of our own, behind Kafka's"
CLASSES = "other words for a class that is not there or of another kind; what was given is shown"
SPELT = "a name with a percent sign is one, and a semicolon is part of a name"
HELD_UP = "after 30 s, not 90, a client that should try again is told so"
TIMED_OUT = ("- status 500", "- .error_code = 500", '- .message = "Request timed out. The worker is currently ensuring membership in the cluster, which began THEN."')
CONFLICT = ("+ status 409", "+ .error_code = 409", '+ .message = "Cannot complete request momentarily *"')
GOES_ON = "a rebalance holds up what changes something, and nothing else"
COUNT = "how many errors there are follows from what is one"
CREATION = "topic.creation.* is judged here; Kafka's looks at it when a task starts, and fails it"
FORMS = "the words of another library, or in another order"
PATHS = "what no name can be leads nowhere; Kafka's server refuses it as a page of HTML"
PAGE = ("- Content-Type: text/html*", "- status 400", "- text <html>*", "+ status 404", "+  has error_code, message", "+ .error_code = 404")
NULLS = "a null is no value: one error says so"
VERSIONS = "there is one version of each plugin; it is taken whatever a configuration says, as that may be of another worker"
CURE = "what may have been meant is named, too"
CONTENT = "schema.content (KIP-1054) is not there yet, and the converter says its keys in another order"


# What Kafka answers to one call, and ours to another, too: what is left to differ then are single lines.
VALIDATE = "PUT /connector-plugins/FileStream%sConnector/config/validate %s, %s"
APACHE = "GET /connector-plugins/org.apache.kafka.connect.%s/config"
INSTEAD = {
    "GET /connector-plugins/Cast$Value/config": APACHE % "transforms.Cast$Value",  # found by its simple name, too
    VALIDATE % ("Source", "source", "its simple name"): VALIDATE % ("Source", "source", "a transformation"),
    VALIDATE % ("Source", "source", "connector.plugin.version=x"): VALIDATE % ("Source", "source", "connector.plugin.version=4.3.1"),
    VALIDATE % ("Source", "source", "a producer's key wrong"): VALIDATE % ("Source", "source", "a producer's key"),
    VALIDATE % ("Sink", "sink", "a consumer's key wrong"): VALIDATE % ("Sink", "sink", "a consumer's key"),
    "POST /connectors a value that is null": "POST /connectors one error",
    "PATCH /connectors/a/offsets an empty offset": "PATCH /connectors/a/offsets no partition",
    "GET /connectors/a%25b/status": "GET /connectors/a.b_c-d/status",
}
FAULTS = ("status ", ".error_code = ", ".message = ")


def instead(call):
    """Which of Kafka's answers ours is held against."""
    return INSTEAD.get(call, call)


def without_faults(theirs, ours, differences):
    """A mistake of the client is no error of the server: Kafka's worker answers 500 in the words of its JSON library, of a null pointer or of
    a task; ours 400, and the message names the place."""
    is_fault = theirs[0] == "status 500" and ours[0] == "status 400" and " has error_code, message" in ours
    return [it for it in differences if not (is_fault and it[1].startswith(FAULTS))]


LINES = [
    *of(ANY, CURE, "*validate source, an unknown converter", "- key.converter value.errors?? = *could not be found.*"),
    *of(ANY, CURE, "*validate source, no converter", "- key.converter value.errors?? = *could not be found.*"),
    *of(ANY, CURE, "PUT /connectors/a/config as a sink without topics", "- .message = *", "+ .message = *Unknown configurations are ignored: *did you mean*"),
    *of(ANY, CURE, "PATCH /connectors/a/config with an error", "- .message = *", "+ .message = *Unknown configurations are ignored: *"),
    *of(ANY, PATHS, "GET //", *PAGE, '+ .message = "HTTP 404 Not Found"'), *of(ANY, PATHS, "GET /connectors//config", *PAGE, '+ .message = *'),
    *of(ANY, PATHS, "POST /connectors/a/tasks/0//restart", *PAGE, '+ .message = "HTTP 404 Not Found"'),
    *of(ANY, PATHS, "GET /connectors/%*", *PAGE, '+ .message = "Connector * not found"'), *of(ANY, PATHS, "GET /connectors/a%2Fb", *PAGE, '+ .message = "Connector a/b not found"'),
    *of(ANY, SPELT, "GET /connectors/a?25b/status", '- .name = "a.b_c-d"', '+ .name = "a%b"'), *of(ANY, SPELT, "DELETE /connectors/a?25b", "- status 400", "+ status 204"),
    *of(ANY, SPELT, "GET /connectors/a;b=c", '- .message = "Connector a not found"', '+ .message = "Connector a;b=c not found"'),
    *of(ANY, CREATION, "*source, topic creation*", '+ .groups?? = "default"', '+ .groups?? = "Topic Creation: g"', "+ topic.creation.default.*", "+ topic.creation.g.*"),
    *of(ANY, CREATION, "*source, a wrong regex", '+ .groups?? = "default"', '+ .groups?? = "Topic Creation: g"', "+ topic.creation.default.*", "+ topic.creation.g.*",
        "+ file comes after topic.creation.*"),
    *of(ANY, COUNT, "*source, a wrong regex", "- .error_count = 0", "+ .error_count = 1"),
    *of(ANY, "removed in 4.0 and served on (KIP-970)", "GET /connectors/?/tasks-config", "- status 404", "-  has error_code, message", "- .error_code = 404",
        '- .message = "HTTP 404 Not Found"', "+ status 200", "+  has 1 keys", "+ .?-0*"),
    *of(ANY, "removed in 4.0 and served on (KIP-970)", "GET /connectors/none/tasks-config", '- .message = "HTTP 404 Not Found"', '+ .message = "Connector none not found"'),
    *of(ANY, "there is no class that is no plugin", "GET /connector-plugins/*/config", "- status 500", "- .error_code = 500", '- .message = "Instantiation error"',
        "+ status 404", "+ .error_code = 404", '+ .message = "Unknown plugin *"'),
    *of(ANY, VERSIONS, "*validate source, *", "- *plugin.version value.value = VERSION", '+ *plugin.version value.value = "*"'),
    *of(ANY, CONTENT, "*", "- schema.content*", "- *.converter.schema.content*", "- *decimal.format comes after *schema.content", "+ *decimal.format comes after *schemas.cache.size"),
    *of(ANY, HELD_UP, "* during a rebalance", *TIMED_OUT), *of(ANY, HELD_UP, "P* during a rebalance", *CONFLICT), *of(ANY, HELD_UP, "DELETE * during a rebalance", *CONFLICT),
    *of(ANY, GOES_ON, "GET /connectors/a/offsets during a rebalance", "-  has error_code, message", "+ status 200", "+  has offsets", "+ .offsets of 0"),
    *of(ANY, GOES_ON, "GET /health during a rebalance", '- .status = "unhealthy"', "- .message = *ensuring membership in the cluster*", "+ status 200", '+ .status = "healthy"',
        '+ .message = "Worker has completed startup and is ready to handle requests."'),
    *of(ANY, "the process logs warnings unless asked", "GET /admin/loggers/", '- .root.level = "ERROR"', '+ .root.level = "WARN"'),
    *of(ANY, "an empty name is no level", "PUT /admin/loggers/* wrong 3", "- status 500", "- .error_code = 500", '- .message = "Illegal null or empty Level name."',
        "+ status 404", "+ .error_code = 404", "+ .message = \"invalid log level ''.\""),
    *of(ANY, COUNT, "*validate source, a name that is null", "- .error_count = 1", "+ .error_count = 2"),
    *of(ANY, NULLS, "*validate source, a name that is null", '+ name value.errors?? = "Missing required configuration *"'),
    *of(ANY, COUNT, "*validate source, tasks.max=null", "- .error_count = 2", "+ .error_count = 1"),
    *of(ANY, NULLS, "*validate source, tasks.max=null", '- tasks.max value.errors?? = "Invalid value null for *"', "- tasks.max value.value = null", '+ tasks.max value.value = "1"'),
    *of(ANY, NULLS, "POST /connectors three errors", "- .message = * contains the following 2 error(s):*", "+ .message = * contains the following 4 error(s):*"),
    *of(ANY, NULLS, "POST /connectors a value that is null", "- .message = * contains the following 1 error(s):*tasks.max*", "+ .message = * contains the following 2 error(s):*topic*"),
    *of(ANY, NULLS, "PUT /connectors/a/config with null", "- .message = * contains the following 2 error(s):*", "+ .message = * contains the following 1 error(s):*Null value*"),
    *of(ANY, "the class is shown as it was given", "*validate source, its simple name", "- transforms.cast.type value.value = *", "+ transforms.cast.type value.value = *"),
    *of(ANY, COUNT, "*validate source, its option missing", "- .error_count = 2", "+ .error_count = 1"),
    *of(ANY, "a key that is not given is not judged", "*validate source, its option missing", "- transforms.route.regex value.errors?? = *null for configuration regex*"),
    *of(ANY, COUNT, "*validate source, a predicate that is not there", "- .error_count = 0", "+ .error_count = 1"),
    *of(ANY, "a predicate that nobody defines is told before a task fails of it", "*validate source, a predicate that is not there", "+ predicates.p.type *"),
    *of(ANY, COUNT, "*validate source, string converters", "- .error_count = 0", "+ .error_count = 1"),
    *of(ANY, "strings are UTF-8", "*validate source, string converters", "- key.converter.converter.encoding value.errors of 0", "+ key.converter.converter.encoding value.errors?? = *"),
    *of(ANY, CONTENT, "*validate source, a JSON *", "- *.converter.* comes after *.converter.*", "+ *.converter.* comes after *.converter.*"),
    *of(ANY, "the version of a class that is not there", "*validate source, *converter*", "- *converter.plugin.version value.recommended_values of 0",
        "- *converter.plugin.version value.value = null", "- *converter.plugin.version value.visible = false", "- *converter.plugin.version.default_value = null",
        "+ *converter.plugin.version value.recommended_values?? = VERSION", "+ *converter.plugin.version value.value = VERSION",
        "+ *converter.plugin.version value.visible = true", "+ *converter.plugin.version.default_value = VERSION"),
    *of(ANY, COUNT, "*validate source, versions", "- .error_count = 2", "+ .error_count = 0"),
    *of(ANY, VERSIONS, "*validate source, versions", "- value.converter* value.errors?? = *not found that matches the version range*", "+ value.converter* value.errors of 0",
        "+ value.converter.converter.encoding*", "+ value.converter.converter.type*"),
    *of(ANY, COUNT, "*'s key wrong", "- .error_count = 0", "+ .error_count = 2"),
    *of(ANY, "what is wrong with a client's key is told as what is wrong with any other", "*'s key wrong", "- *.override.* value.errors of 0",
        '- *.override.* value.value = "5"', "+ *.override.* value.errors?? = *", "+ *.override.* value.value = null"),
    *of(ANY, COUNT, "*source, topic creation *", "- .error_count = 0", "+ .error_count = 2"),
    *of(ANY, CREATION, "*source, topic creation*", "+ file comes after topic.creation.*"),
    *of(ANY, "what an error says is JSON, and so is said to be", "*", "+ Content-Type: application/json"),
    *of(ANY, "HTTP wants it (RFC 9110, 15.5.6)", "*", "+ Allow: *"),
    *of(ANY, OWN_KEYS, "*/config*", "+ errors.restart.*", "+ * comes after errors.restart.reset.ms", "- * comes after offsets.storage.topic",
        "- * comes after errors.deadletterqueue.context.headers.enable", "+ file.complete*", "+ invalid.utf8*", "+ max.line.bytes*", "+ on.truncation*",
        "+ * comes after on.truncation", "- * comes after batch.size"),
    *of(ANY, "sources have dead letter queues, too", "*Source*", "+ errors.deadletterqueue.*"),
    *of(ANY, "it comes with Connect here", "*validate*", '+ *.converter value.recommended_values?? = "io.confluent.connect.avro.AvroConverter"'),
    *of(ANY, "files are known by their content, too", "*/offsets*", "- *.offset has 1 keys", "+ *.offset has 3 keys", "+ *.offset.checksum = *",
        "+ *.offset.fingerprint = *"),
    *of(ANY, "the reason is told, too", "PATCH /connectors/b/offsets a topic *", "- .message = *", "+ .message = *"),
    *of(ANY, "a range of versions is told as it was given", "GET *?version=*", "- .message = *", "+ .message = *"),
    *of(ANY, "the process logs warnings unless asked", "GET /admin/loggers/*oot", '- .level = "ERROR"', '+ .level = "WARN"'),
    *of(ANY, "the guard against pages of other sites says so", "* as text", "- .message = *", "+ .message = *"),
    *of(ANY, "the guard against pages of other sites says so", "* as a form", "- .message = *", "+ .message = *"),
    *of(ANY, "the guard against pages of other sites says so", "* with text", "- .message = *", "+ .message = *"),
    *of(ANY, "no values in a message: they may be secrets", "*", "- .message = *contains no connector type\"", "+ .message = *contains no connector type\""),
    *of(ANY, "unknown keys are told, with the one that was meant", "*validate source, *", "- name comes after the beginning", "+ name comes after *",
        "+ * comes after the beginning", "+ * is not defined", "+ no.such.key *", "+ topci *", "+ transforms.route.regx *"),
    *of(ANY, "unknown keys are told, with the one that was meant", "*validate source, options without alias", "+ transforms.cast.*"),
    *of(ANY, CLASSES, "*validate source, *", "- *.type value.value = null", "+ *.type value.value = *", "- *.converter value.value = *", "+ *.converter value.value = *",
        "- *value.errors?? = *Class class * does not implement *", "+ *value.errors?? = *could not be found.*"),
    *of(ANY, FORMS, "*", "- *value.errors?? = *Invalid regex: *", "+ *value.errors?? = *regex parse error*", "- *Invalid type found in casting spec*",
        "+ *Invalid type found in casting spec*", "- *value.errors?? = *String must be one of (case insensitive)*",
        "+ *value.errors?? = *String must be one of (case insensitive)*"),
    *of(ANY, "the connectors by their names, and the one that is nearest", "POST /connectors an unknown class", "- .message = *", "+ .message = *"),
]
