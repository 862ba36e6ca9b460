"""Connectors: made, changed, paused, stopped, restarted, their offsets and topics, deleted."""
import json
import time

from asked import JSON, SINK, SOURCE

NONE = (("GET", ""), ("GET", "/config"), ("GET", "/status"), ("GET", "/tasks"), ("GET", "/tasks-config"), ("GET", "/tasks/0/status"), ("GET", "/topics"),
        ("GET", "/offsets"), ("PUT", "/pause"), ("PUT", "/resume"), ("PUT", "/stop"), ("PUT", "/topics/reset"), ("POST", "/restart"),
        ("POST", "/restart?includeTasks=true"), ("POST", "/restart?onlyFailed=true&includeTasks=false"), ("POST", "/tasks/0/restart"), ("DELETE", "/offsets"), ("DELETE", ""))
LOOKS = ("", "/config", "/status", "/tasks", "/tasks-config", "/tasks/0/status", "/tasks/7/status", "/topics", "/offsets", "/", "/config/", "/status/")


def ask(worker):
    nothing(worker)
    refused(worker)
    made(worker)
    steered(worker)
    restarted(worker)
    changed(worker)
    states(worker)
    failing(worker)
    of_sources(worker)
    of_sinks(worker)
    names(worker)


def nothing(worker):
    for query in ("", "/", "?expand=status", "?expand=info&expand=status", "?expand=nothing", "?expand="):
        worker("GET", "/connectors" + query)
    for method, path in NONE:
        worker(method, "/connectors/none" + path)
    worker("PATCH", "/connectors/none/config", {"a": "b"})
    worker("PATCH", "/connectors/none/offsets", {"offsets": [{"partition": {"filename": "x"}, "offset": {"position": 1}}]})
    worker("PATCH", "/connectors/none/offsets", {"offsets": []}, label="empty")
    worker("GET", "/connectors/none?expand=status")


def refused(worker):
    source = worker.source()
    for label, body in (
            ("no body", ""), ("no JSON", "{"), ("half", '{"name":"x",'), ("a list", "[]"), ("null", "null"), ("a string", '"x"'), ("a number", "7"),
            ("nothing in it", {}), ("no config", {"name": "x"}), ("a config that is null", {"name": "x", "config": None}),
            ("a config that is a list", {"name": "x", "config": []}), ("a config that is text", {"name": "x", "config": "y"}),
            ("no name", {"config": source}), ("a name that is null", {"name": None, "config": source}), ("an empty name", {"name": "", "config": source}),
            ("a name of blanks", {"name": "   ", "config": source}), ("a name that is an object", {"name": {}, "config": source}),
            ("another name inside", {"name": "x", "config": {**source, "name": "y"}}), ("an empty name inside", {"name": "x", "config": {**source, "name": ""}}),
            ("an unknown field", {"name": "x", "config": source, "more": 1}), ("a value that is null", {"name": "x", "config": {**source, "topic": None}}),
            ("a nested value", {"name": "x", "config": {**source, "topic": {"a": 1}}}), ("no class", {"name": "x", "config": {"topic": "t"}}),
            ("an unknown class", {"name": "x", "config": {**source, "connector.class": "Nothing"}}),
            ("an empty config", {"name": "x", "config": {}}),
            ("one error", {"name": "x", "config": {**source, "tasks.max": "0"}}),
            ("three errors", {"name": "x", "config": {**source, "tasks.max": "0", "topic": None, "errors.tolerance": "some"}}),
            ("an unknown state", {"name": "x", "config": source, "initial_state": "RUN"}), ("an empty state", {"name": "x", "config": source, "initial_state": ""}),
            ("a state that is a number", {"name": "x", "config": source, "initial_state": 1}),
            ("a state that no user sets", {"name": "x", "config": source, "initial_state": "FAILED"}),
            ("initialState", {"name": "x", "config": source, "initialState": "PAUSED"})):
        worker("POST", "/connectors", body, label=label)
        worker.without("x")
    worker("POST", "/connectors", {"name": "x", "config": source}, headers={}, label="without a type")
    worker.without("x")
    worker("POST", "/connectors", {"name": "x", "config": source}, headers={"Content-Type": "text/plain"}, label="as text")
    worker("POST", "/connectors", {"name": "x", "config": source}, headers={"Content-Type": "application/x-www-form-urlencoded"}, label="as a form")
    worker("POST", "/connectors", {"name": "x", "config": source}, headers={"Content-Type": "application/xml"}, label="as XML")
    worker("POST", "/connectors", '{"name":"x","config":{"a":"b"},}', label="a comma too many")
    worker("POST", "/connectors", '{"name":"x","config":{"a":"b"}} more', label="with more behind it")
    for label, body in (("no body", ""), ("no JSON", "{"), ("a list", "[]"), ("null", "null"), ("nothing in it", {}), ("a name and a config", {"name": "x", "config": source}),
                        ("another name", {**source, "name": "y"}), ("errors", {**source, "tasks.max": "many"})):
        worker("PUT", "/connectors/x/config", body, label=label)
        worker.without("x")
    worker("GET", "/connectors", label="after all that")


def made(worker):
    worker.file("input.txt", "one\ntwo\n")
    worker("POST", "/connectors", {"name": "a", "config": worker.source()})
    worker.until_states("a", "RUNNING", "RUNNING")
    worker.until("/connectors/a/topics", lambda it: it["a"]["topics"] == ["lines"])
    worker.until("/connectors/a/offsets", lambda it: it["offsets"] and it["offsets"][0]["offset"]["position"] == 8)
    for path in LOOKS:
        worker("GET", "/connectors/a" + path)
    worker("GET", "/connectors/a/tasks/x/status")
    worker("POST", "/connectors", {"name": "a", "config": worker.source()}, label="again")
    worker("POST", "/connectors", {"name": "a", "config": {**worker.source(), "tasks.max": "0"}}, label="again, with an error")
    worker("POST", "/connectors", {"name": " a ", "config": worker.source()}, label="again, with blanks")
    worker("PUT", "/connectors/b/config", worker.sink())
    worker.until_states("b", "RUNNING", "RUNNING")
    worker.until("/connectors/b/topics", lambda it: it["b"]["topics"] == ["lines"])
    worker.until("/connectors/b/offsets", lambda it: it["offsets"] and it["offsets"][0]["offset"]["kafka_offset"] == 2)
    for path in LOOKS:
        worker("GET", "/connectors/b" + path)
    for query in ("", "/", "?expand=status", "?expand=info", "?expand=info&expand=status", "?expand=status&expand=nothing", "?expand=nothing", "?expand=",
                  "?expand=status,info", "?expand=STATUS"):
        worker("GET", "/connectors" + query, label="of two")
    worker("POST", "/connectors/", {"name": "c", "config": {**worker.source(), "name": "c"}, "initial_state": "STOPPED"}, label="behind a slash")
    worker("DELETE", "/connectors/c")
    worker.until_gone("c")


def steered(worker):
    for verb, states in (("pause", ("PAUSED", "PAUSED")), ("resume", ("RUNNING", "RUNNING")), ("stop", ("STOPPED",)), ("pause", ("PAUSED",)),
                         ("stop", ("STOPPED",)), ("resume", ("RUNNING", "RUNNING"))):
        for _ in range(2):
            worker("PUT", "/connectors/a/" + verb)
            worker.until_states("a", *states)
        for path in ("/status", "", "/tasks", "/tasks/0/status"):
            worker("GET", "/connectors/a" + path, label="after " + verb)
    worker("PUT", "/connectors/a/pause/")
    worker("PUT", "/connectors/a/resume", {}, label="with a body")
    worker("PUT", "/connectors/a/resume", "x", headers={"Content-Type": "text/plain"}, label="with text")
    worker.until_states("a", "RUNNING", "RUNNING")
    worker("PUT", "/connectors/a/pause?forward=false")
    worker("PUT", "/connectors/a/resume?forward=true")
    worker.until_states("a", "RUNNING", "RUNNING")
    worker("POST", "/connectors/a/pause")
    worker("GET", "/connectors/a/pause")


def restarted(worker):
    for query in ("", "?includeTasks=false", "?includeTasks=true", "?includeTasks=true&onlyFailed=true", "?onlyFailed=true", "?onlyFailed=false",
                  "?includeTasks=yes", "?includeTasks=", "?includeTasks=TRUE&onlyFailed=False"):
        worker("POST", "/connectors/a/restart" + query)
        worker.until_states("a", "RUNNING", "RUNNING")
        time.sleep(0.3)  # a restart that is asked for may begin late
        worker.until_states("a", "RUNNING", "RUNNING")
    for task in ("0", "1", "-1", "x", "99999999999", "0/"):
        worker("POST", "/connectors/a/tasks/%s/restart" % task)
        worker.until_states("a", "RUNNING", "RUNNING")
    worker("POST", "/connectors/a/restart", {}, label="with a body")
    worker.until_states("a", "RUNNING", "RUNNING")


def changed(worker):
    config = worker.source()
    worker("PUT", "/connectors/a/config", {**config, "batch.size": "10"})
    worker("PUT", "/connectors/a/config", {**config, "batch.size": "10"}, label="the same")
    worker("PUT", "/connectors/a/config", {**config, "name": "a"}, label="with its name")
    worker("PUT", "/connectors/a/config", {**config, "name": "b"}, label="with another name")
    worker("PUT", "/connectors/a/config", {**config, "tasks.max": "0"}, label="with an error")
    worker("PUT", "/connectors/a/config", {**config, "tasks.max": None}, label="with null")
    worker("PUT", "/connectors/a/config", {**config, "tasks.max": 1, "batch.size": 30}, label="with numbers")
    worker("PUT", "/connectors/a/config", {**config, "connector.class": SINK}, label="as a sink without topics")
    worker("PUT", "/connectors/a/config", {**config, "unknown.key": "kept"}, label="with an unknown key")
    for label, patch in (("adds", {"batch.size": "40"}), ("removes", {"batch.size": None}), ("removes what is not there", {"no.such": None}), ("nothing", {}),
                         ("with an error", {"tasks.max": "none"}), ("its class removed", {"connector.class": None}), ("its name again", {"name": "a"}),
                         ("numbers", {"batch.size": 50, "tasks.max.enforce": True}), ("a nested value", {"batch.size": {"a": 1}})):
        worker("PATCH", "/connectors/a/config", patch, label=label)
    for label, body in (("no body", ""), ("no JSON", "{"), ("a list", "[]"), ("null", "null"), ("text", '"x"')):
        worker("PATCH", "/connectors/a/config", body, label=label)
    worker("PATCH", "/connectors/a/config", {"batch.size": "60"}, headers={"Content-Type": "application/merge-patch+json"}, label="as a merge patch")
    worker("GET", "/connectors/a/config", label="after patches")
    worker.until_states("a", "RUNNING", "RUNNING")


def states(worker):
    for state in ("RUNNING", "PAUSED", "STOPPED", "paused", "Stopped"):
        name = "in-" + state
        worker("POST", "/connectors", {"name": name, "config": worker.source(), "initial_state": state}, label=state)
        # One that is paused from the beginning has no tasks yet.
        worker.until_states(name, state.upper(), *(["RUNNING"] if state == "RUNNING" else []))
        worker("GET", "/connectors/%s/status" % name)
        worker("DELETE", "/connectors/" + name)
        worker.until_gone(name)
    worker("POST", "/connectors", {"initial_state": "STOPPED", "config": worker.source(), "name": " trimmed "}, label="in another order, with blanks")
    worker("GET", "/connectors/trimmed/config")
    worker("DELETE", "/connectors/trimmed")
    worker("DELETE", "/connectors/trimmed", label="twice")


def failing(worker):
    """A task that fails."""
    worker("PUT", "/connectors/failing/config", {**worker.sink(topics="numbers"), "file": worker.files})
    worker.until_states("failing", "RUNNING", "FAILED")
    worker("GET", "/connectors/failing/tasks")
    for path in ("/status", "/tasks/0/status"):
        status, headers, text = worker.send("GET", "/connectors/failing" + path)
        worker.keep("GET /connectors/failing%s of a task that failed" % path, status, headers, without_trace(text))
    for query in ("?includeTasks=true&onlyFailed=true", "?onlyFailed=true", "?includeTasks=false&onlyFailed=true"):
        status, headers, text = worker.send("POST", "/connectors/failing/restart" + query)
        worker.keep("POST /connectors/failing/restart" + query, status, headers, without_trace(text))
        time.sleep(0.5)  # a restart that is asked for may begin late
        worker.until_states("failing", "RUNNING", "FAILED")
    worker("PUT", "/connectors/failing/pause")
    worker("PUT", "/connectors/failing/stop")
    worker.until_states("failing", "STOPPED")
    worker("DELETE", "/connectors/failing")
    worker.until_gone("failing")


def without_trace(text):
    """The trace is there; what it says is the language's."""
    status = json.loads(text)
    for part in (status, *status.get("tasks", ())):
        if "trace" in part:
            part["trace"] = "TRACE" if part["trace"] else ""
    return json.dumps(status)


def of_sources(worker):
    path = "/connectors/a/offsets"
    partition = {"filename": worker.file("input.txt")}
    right = {"offsets": [{"partition": partition, "offset": {"position": 4}}]}
    worker("PATCH", path, right, label="while it runs")
    worker("DELETE", path, label="while it runs")
    worker("PUT", "/connectors/a/pause")
    worker.until_states("a", "PAUSED", "PAUSED")
    worker("PATCH", path, right, label="while it is paused")
    worker("DELETE", path, label="while it is paused")
    worker("PUT", "/connectors/a/stop")
    worker.until_states("a", "STOPPED")
    for label, body in (
            ("no body", ""), ("no JSON", "{"), ("a list", "[]"), ("null", "null"), ("nothing in it", {}), ("no offsets", {"offsets": []}), ("offsets that are null", {"offsets": None}),
            ("offsets that are an object", {"offsets": {}}), ("an unknown field", {"offsets": [], "more": 1}), ("an empty offset", {"offsets": [{}]}),
            ("an offset that is null", {"offsets": [None]}),
            ("no partition", {"offsets": [{"offset": {"position": 1}}]}), ("a partition that is null", {"offsets": [{"partition": None, "offset": {"position": 1}}]}),
            ("an empty partition", {"offsets": [{"partition": {}, "offset": {"position": 1}}]}),
            ("a partition of another kind", {"offsets": [{"partition": {"file": "x"}, "offset": {"position": 1}}]}),
            ("a partition that is text", {"offsets": [{"partition": "x", "offset": {"position": 1}}]}),
            ("an offset of another kind", {"offsets": [{"partition": partition, "offset": {"place": 1}}]}),
            ("an offset that is text", {"offsets": [{"partition": partition, "offset": "x"}]}),
            ("a position that is text", {"offsets": [{"partition": partition, "offset": {"position": "x"}}]}),
            ("a position below 0", {"offsets": [{"partition": partition, "offset": {"position": -1}}]}),
            ("a position with a fraction", {"offsets": [{"partition": partition, "offset": {"position": 1.5}}]}),
            ("an unknown member", {"offsets": [{"partition": partition, "offset": {"position": 1}, "more": 2}]}),
            ("right", right), ("twice the same", {"offsets": right["offsets"] * 2}), ("another file", {"offsets": [{"partition": {"filename": "/nowhere"}, "offset": {"position": 9}}]}),
            ("forgotten", {"offsets": [{"partition": {"filename": "/nowhere"}, "offset": None}]}), ("no offset", {"offsets": [{"partition": partition}]})):
        worker("PATCH", path, body, label=label)
        worker("GET", path, label="after " + label)
    worker("PATCH", path, right)
    worker("DELETE", path)
    worker("GET", path, label="after the reset")
    worker("DELETE", path, label="twice")
    worker("GET", "/connectors/a/topics", label="while it is stopped")
    worker("PUT", "/connectors/a/topics/reset")
    worker.until("/connectors/a/topics", lambda it: it["a"]["topics"] == [])
    worker("GET", "/connectors/a/topics", label="after the reset")
    worker("PUT", "/connectors/a/topics/reset", label="twice")


def of_sinks(worker):
    path = "/connectors/b/offsets"
    partition = {"kafka_topic": "lines", "kafka_partition": 0}
    worker("PATCH", path, {"offsets": [{"partition": partition, "offset": {"kafka_offset": 1}}]}, label="while it runs")
    worker("DELETE", path, label="while it runs")
    worker("PUT", "/connectors/b/stop")
    worker.until_states("b", "STOPPED")
    for label, offsets in (
            ("no partition", [{"offset": {"kafka_offset": 1}}]), ("a partition that is null", [{"partition": None, "offset": {"kafka_offset": 1}}]),
            ("an empty partition", [{"partition": {}, "offset": {"kafka_offset": 1}}]), ("no topic", [{"partition": {"kafka_partition": 0}, "offset": {"kafka_offset": 1}}]),
            ("no number", [{"partition": {"kafka_topic": "lines"}, "offset": {"kafka_offset": 1}}]),
            ("a topic that is null", [{"partition": {"kafka_topic": None, "kafka_partition": 0}, "offset": {"kafka_offset": 1}}]),
            ("a number that is null", [{"partition": {"kafka_topic": "lines", "kafka_partition": None}, "offset": {"kafka_offset": 1}}]),
            ("a number that is text", [{"partition": {"kafka_topic": "lines", "kafka_partition": "x"}, "offset": {"kafka_offset": 1}}]),
            ("a number with a fraction", [{"partition": {"kafka_topic": "lines", "kafka_partition": 0.5}, "offset": {"kafka_offset": 1}}]),
            ("a topic that is a number", [{"partition": {"kafka_topic": 5, "kafka_partition": 0}, "offset": {"kafka_offset": 1}}]),
            ("another key", [{"partition": {**partition, "more": 1}, "offset": {"kafka_offset": 1}}]),
            ("an offset of another kind", [{"partition": partition, "offset": {"position": 1}}]), ("an empty offset", [{"partition": partition, "offset": {}}]),
            ("an offset that is null inside", [{"partition": partition, "offset": {"kafka_offset": None}}]),
            ("an offset that is text", [{"partition": partition, "offset": {"kafka_offset": "x"}}]), ("an offset below 0", [{"partition": partition, "offset": {"kafka_offset": -1}}]),
            ("an offset with a fraction", [{"partition": partition, "offset": {"kafka_offset": 1.5}}]),
            ("numbers that are text", [{"partition": {"kafka_topic": "lines", "kafka_partition": "0"}, "offset": {"kafka_offset": "1"}}]),
            ("a topic that it does not read", [{"partition": {"kafka_topic": "others", "kafka_partition": 0}, "offset": {"kafka_offset": 3}}]),
            ("beyond the end", [{"partition": partition, "offset": {"kafka_offset": 1000}}]),
            ("forgotten", [{"partition": partition, "offset": None}]), ("forgotten again", [{"partition": partition, "offset": None}]),
            ("right", [{"partition": partition, "offset": {"kafka_offset": 1}}])):
        worker("PATCH", path, {"offsets": offsets}, label=label)
        worker.keep("GET %s after %s" % (path, label), *in_order(*worker.send("GET", path)))
    worker("DELETE", path)
    worker("GET", path, label="after the reset")
    worker("DELETE", path, label="twice")
    worker("PUT", "/connectors/b/resume")
    worker.until_states("b", "RUNNING", "RUNNING")
    for name in ("a", "b"):
        worker("DELETE", "/connectors/" + name)
        worker.until_gone(name)
    worker("GET", "/connectors", label="in the end")


def in_order(status, headers, text):
    """Offsets in the order of their partitions."""
    found = json.loads(text)
    found.get("offsets", []).sort(key=str)
    return status, headers, json.dumps(found)


def names(worker):
    """Names that a URL has to spell."""
    for name, spelt in (("a b", "a%20b"), ("ü", "%C3%BC"), ("a+b", "a%2Bb"), ("a%b", "a%25b"), ("a?b", "a%3Fb"), ("a.b_c-d", "a.b_c-d"), ("a;b", "a%3Bb"), ("a&b=c", "a%26b%3Dc")):
        worker("POST", "/connectors", {"name": name, "config": worker.source(), "initial_state": "STOPPED"}, label="named " + name)
        worker.until("/connectors?expand=status", lambda it, name=name: it.get(name, {}).get("status", {}).get("connector", {}).get("state") == "STOPPED")
        worker("GET", "/connectors/%s/status" % spelt)
        worker("DELETE", "/connectors/%s" % spelt)
    for path in ("/connectors/a%2Fb", "/connectors/..", "/connectors/%2e%2e/config", "/connectors/../connectors", "/connectors//config", "/connectors/a;b=c", "/connectors/%00",
                 "/connectors/%zz", "/connectors/" + "n" * 300):
        worker("GET", path)
