"""What a worker says of itself: `/`, `/health`, `/connector-plugins`, `/admin/loggers`; methods and paths that are not there."""
import json

from asked import SINK, SOURCE

APACHE = "org.apache.kafka.connect.transforms."

TRANSFORMS = ("Cast$Key", "Cast$Value", "DropHeaders", "ExtractField$Value", "Filter", "Flatten$Value", "HeaderFrom$Value", "HoistField$Value",
              "InsertField$Value", "InsertHeader", "MaskField$Value", "RegexRouter", "ReplaceField$Value", "SetSchemaMetadata$Value",
              "TimestampConverter$Value", "TimestampRouter", "ValueToKey")
PREDICATES = ("HasHeaderKey", "RecordIsTombstone", "TopicNameMatches")
CONVERTERS = ("org.apache.kafka.connect.json.JsonConverter", "org.apache.kafka.connect.storage.StringConverter",
              "org.apache.kafka.connect.storage.SimpleHeaderConverter", "org.apache.kafka.connect.converters.ByteArrayConverter",
              "org.apache.kafka.connect.converters.BooleanConverter", "org.apache.kafka.connect.converters.DoubleConverter",
              "org.apache.kafka.connect.converters.FloatConverter", "org.apache.kafka.connect.converters.IntegerConverter",
              "org.apache.kafka.connect.converters.LongConverter", "org.apache.kafka.connect.converters.ShortConverter")
PATHS = ("/", "/health", "/connectors", "/connectors/none", "/connectors/none/config", "/connectors/none/status", "/connectors/none/tasks",
         "/connectors/none/tasks/0/status", "/connectors/none/tasks/0/restart", "/connectors/none/restart", "/connectors/none/pause",
         "/connectors/none/resume", "/connectors/none/stop", "/connectors/none/topics", "/connectors/none/topics/reset",
         "/connectors/none/offsets", "/connector-plugins", "/connector-plugins/none/config", "/connector-plugins/none/config/validate",
         "/admin/loggers", "/admin/loggers/root")
LOGGER = "/admin/loggers/org.apache.kafka.connect"


def ask(worker):
    of_itself(worker)
    methods(worker)
    plugins(worker)
    loggers(worker)


def of_itself(worker):
    for path in ("/", "/health", "/?x=y", "//", "/nowhere", "/connectors/none/nowhere", "/connectors/none/tasks/0/nowhere", "/connectors/none/tasks/x/status",
                 "/connectors/none/tasks/-1/status", "/favicon.ico", "/admin", "/health/"):
        worker("GET", path)
    worker("GET", "/", headers={"Accept": "text/plain"}, label="that accepts text")
    worker("GET", "/", headers={"Accept": "*/*"}, label="that accepts anything")
    worker("GET", "/connectors", headers={"Accept": "application/xml"}, label="that accepts XML")
    worker("GET", "/connectors", headers={"Accept": "application/json;q=0.5, text/html"}, label="that accepts JSON too")


def methods(worker):
    for path in PATHS:
        worker("HEAD", path)
        worker("OPTIONS", path)
        worker("TRACE", path)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            status, found, text = worker.send(method, path, "{}" if method in ("POST", "PUT", "PATCH") else None)
            if status == 405:
                worker(method, path, "{}" if method in ("POST", "PUT", "PATCH") else None)


def plugins(worker):
    for query in ("", "?connectorsOnly=true", "?connectorsOnly=false", "?connectorsOnly=FALSE", "?connectorsOnly=no", "?connectorsOnly="):
        listed(worker, "/connector-plugins" + query)
    listed(worker, "/connector-plugins/")
    for plugin in (SOURCE, SINK, "FileStreamSource", "FileStreamSinkConnector", "FileStreamSink", *CONVERTERS, "JsonConverter", "StringConverter"):
        worker("GET", "/connector-plugins/%s/config" % plugin)
    for name in TRANSFORMS:
        worker("GET", "/connector-plugins/%s%s/config" % (APACHE, name))
    for name in PREDICATES:
        worker("GET", "/connector-plugins/%spredicates.%s/config" % (APACHE, name))
    for plugin in ("none", "Cast", "Cast$Value", "HasHeaderKey", "RegexRouter", "org.apache.kafka.connect.transforms.Cast", "java.lang.String"):
        worker("GET", "/connector-plugins/%s/config" % plugin)
    worker("GET", "/connector-plugins/FileStreamSource/config/")
    worker("GET", "/connector-plugins/FileStreamSource")
    for version in ("latest", "1.0", "x"):
        worker("GET", "/connector-plugins/FileStreamSource/config?version=%s" % version)
    path = "/connector-plugins/FileStreamSource/config?version="
    worker.keep("GET %s of its own" % path, *worker.send("GET", path + "[%s]" % worker.normal.version))


def listed(worker, path):
    """The plugins, as far as either worker has to have them."""
    both = {SOURCE, SINK, *CONVERTERS, *(APACHE + name for name in TRANSFORMS), *(APACHE + "predicates." + name for name in PREDICATES)}
    status, headers, text = worker.send("GET", path)
    if status == 200:
        text = json.dumps([it for it in json.loads(text) if it["class"] in both])
    worker.keep("GET %s" % path, status, headers, text)


def loggers(worker):
    worker("GET", "/admin/loggers/root")
    worker("GET", "/admin/loggers/Root")
    worker("GET", "/admin/loggers/no.such.logger")
    worker("GET", "/admin/loggers/")
    for number, body in enumerate(({}, {"level": None}, {"level": "loud"}, {"level": ""}, {"level": 5}, {"levels": "INFO"}, [], "", "{", "null")):
        worker("PUT", LOGGER, body, label="wrong %d" % number)
    for level in ("DEBUG", "debug", "Warn", "OFF", "ALL", "FATAL", "TRACE", "ERROR"):
        worker("PUT", "/admin/loggers/test.some.logger", {"level": level}, label=level)
        worker("GET", "/admin/loggers/test.some.logger", label=level)
    worker("PUT", "/admin/loggers/test.some.logger", {"level": "ERROR", "more": "x"}, label="with more")
    worker("PUT", "/admin/loggers/test.some", {"level": "INFO"})
    worker("GET", "/admin/loggers/test.some.logger", label="of the parent's level")
    for scope in ("worker", "WORKER", "cluster", "Cluster", "none", ""):
        worker("PUT", "/admin/loggers/test.scoped?scope=%s" % scope, {"level": "WARN"})
    worker("POST", "/admin/loggers/root", {"level": "WARN"})
