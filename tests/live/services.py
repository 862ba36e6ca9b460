"""Schema registry, REST proxy and console over any cluster, as `curl` meets them."""
import base64
import json

from checks import equal, eventually, expect
from rest import call

SCHEMA = {"type": "record", "name": "User", "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": "long"}]}
EMBEDDED = {"json": [{"key": "k%d" % n, "value": {"n": n, "text": "naïve 北京"}} for n in range(50)],
            "binary": [{"key": "a2V5", "value": base64.b64encode(bytes([n, 0, 255])).decode()} for n in range(50)],
            "avro": [{"value": {"name": "Ada %d" % n, "age": n}} for n in range(50)]}


def check(checks, hub, tools):
    """`tools` are Kafka's own: they look at what came into the cluster."""
    registry(checks, hub, tools)
    for form in EMBEDDED:
        tools("topics", "--create", "--topic", "rest-" + form, "--partitions", "1")
        proxy(checks, hub, form)
    with checks.check("an Avro record stands in Confluent's wire format"):
        first = consume(hub, "rest-avro", "binary", len(EMBEDDED["avro"]))[0]
        value = base64.b64decode(first["value"])
        equal(value[:5], b"\0\0\0\0\x01", "magic byte and schema id")
        equal(value[5:], b"\x0aAda 0\0", "the record")
    with checks.check("console: page and health"):
        expect("<h1>Forebay</h1>" in call(hub, "console", "GET", "/"), "no page")
        equal(call(hub, "console", "GET", "/health/ready"), {"status": "ready"}, "readiness")
        call(hub, "console", "GET", "/metrics")


def registry(checks, hub, tools):
    kind = "application/vnd.schemaregistry.v1+json"
    text = json.dumps(SCHEMA, separators=(",", ":"))
    with checks.check("schema registry: register and fetch an Avro schema"):
        path = "/subjects/rest-avro-value/versions"
        equal(call(hub, "registry", "POST", path, {"schema": text}, kind)["id"], 1, "the id")
        equal(call(hub, "registry", "POST", path, {"schema": text}, kind)["id"], 1, "the id, registered again")
        equal(json.loads(call(hub, "registry", "GET", "/schemas/ids/1")["schema"]), SCHEMA, "the schema")
        equal(call(hub, "registry", "GET", path), [1], "the versions")
        narrower = dict(SCHEMA, fields=[*SCHEMA["fields"], {"name": "mail", "type": "string"}])
        call(hub, "registry", "POST", path, {"schema": json.dumps(narrower)}, kind, status=(409,))
    with checks.check("Kafka's console-consumer finds it in _schemas, which is compacted"):
        said = tools("console-consumer", "--topic", "_schemas", "--from-beginning", "--timeout-ms", "3000", tools.formatter,
                     "print.key=true")
        found = [line.split("\t", 1) for line in said.splitlines()]
        schemas = [json.loads(value) for key, value in found if json.loads(key).get("keytype") == "SCHEMA"]
        equal([(it["subject"], it["version"], it["id"]) for it in schemas], [("rest-avro-value", 1, 1)], "the schemas")
        equal(json.loads(schemas[0]["schema"]), SCHEMA, "the schema")
        expect("cleanup.policy=compact" in tools("topics", "--describe", "--topic", "_schemas"), "it is not compacted")


def proxy(checks, hub, form):
    topic, sent = "rest-" + form, EMBEDDED[form]
    with checks.check("REST proxy: produce and consume %s" % form) as notes:
        body = {"records": sent}
        if form == "avro":
            body["value_schema_id"] = 1
        answer = call(hub, "rest", "POST", "/topics/" + topic, body, "application/vnd.kafka.%s.v2+json" % form)
        equal([(it["partition"], it["offset"], it["error_code"]) for it in answer["offsets"]],
              [(0, n, None) for n in range(len(sent))], "the answer")
        found = consume(hub, topic, form, len(sent))
        equal([(it["topic"], it["partition"], it["offset"]) for it in found], [(topic, 0, n) for n in range(len(sent))], "the offsets")
        equal([(it["key"], it["value"]) for it in found], [(it.get("key"), it["value"]) for it in sent], "the records")
        notes.append("%d records" % len(found))


def consume(hub, topic, form, count):
    """The records of a topic, by a consumer instance of a group of its own."""
    v2 = "application/vnd.kafka.v2+json"
    group = "/consumers/%s-%s" % (topic, form)
    settings = {"name": "me", "format": form, "auto.offset.reset": "earliest"}
    equal(call(hub, "rest", "POST", group, settings, v2)["instance_id"], "me", "the instance")
    mine, found = group + "/instances/me", []
    try:
        call(hub, "rest", "POST", mine + "/subscription", {"topics": [topic]}, v2)

        def read():
            found.extend(call(hub, "rest", "GET", mine + "/records", accept="application/vnd.kafka.%s.v2+json" % form))
            return len(found) >= count
        eventually("%d records" % count, read)
    finally:
        call(hub, "rest", "DELETE", mine)
    return found
