"""Workers with other settings, and workers that are not as one would like them: one that starts, one whose group rebalances and does not come
to an end."""
import concurrent.futures
import time

import stalled
from checks import Wrong, eventually

# Kafka's worker lets requests wait for 90 s.
WAIT_S = 120
SETTLE_S = 5  # by then the worker joins, and waits


def ask(workers):
    """call -> what was answered"""
    return {**topics(workers, "tracking off", {"topic.tracking.enable": "false"}),
            **topics(workers, "no reset", {"topic.tracking.allow.reset": "false"}), **following(workers),
            **rebalancing(workers), **starting(workers)}


def topics(workers, label, settings):
    """KIP-558."""
    with workers.worker(label, settings) as worker:
        worker.file("input.txt", "one\n")
        worker("PUT", "/connectors/a/config", worker.source(topic="tracked"), label=label)
        worker.until_states("a", "RUNNING", "RUNNING")
        worker.until("/connectors/a/offsets", lambda it: it["offsets"])
        if "topic.tracking.enable" not in settings:
            worker.until("/connectors/a/topics", lambda it: it["a"]["topics"] == ["tracked"])
        for name in ("a", "none"):
            worker("GET", "/connectors/%s/topics" % name, label=label)
            worker("PUT", "/connectors/%s/topics/reset" % name, label=label)
            worker("GET", "/connectors/%s/topics" % name, label=label + ", again")
        return worker.answers


def following(workers):
    """A worker that knows who leads, and is asked not to ask that one: what both say where two workers each take the other for the leader."""
    with stalled.member(workers.bootstrap(), workers.group("following")) as leader, workers.worker("following", {}) as worker:
        leader.lead()
        for method, path, body in (("PUT", "/connectors/a/config", worker.source()), ("POST", "/connectors", {"name": "a", "config": worker.source()}),
                                   ("DELETE", "/connectors/a", None), ("POST", "/connectors/a/restart", None), ("GET", "/connectors/a/config", None)):
            status, headers, text = worker.send(method, path + "?forward=false", body, patience=WAIT_S)
            worker.keep("%s %s?forward=false of a follower" % (method, path), status, headers, text)
        return worker.answers


def rebalancing(workers):
    with workers.worker("rebalancing", {}) as worker:
        eventually("it leads its group", lambda: worker.send("DELETE", "/connectors/none")[0] == 404)
        with stalled.member(workers.bootstrap(), workers.group("rebalancing")):
            # A change, for which all have to join again; the worker answers before it does.
            worker.send("PUT", "/connectors/a/config", worker.source(), patience=WAIT_S)
            time.sleep(SETTLE_S)
            during(worker)
        return worker.answers


def during(worker):
    calls = [("PUT", "/connectors/b/config", worker.source()), ("GET", "/connectors", None), ("GET", "/connectors/a/status", None),
             ("PUT", "/connectors/a/pause", None), ("POST", "/connectors/a/restart", None), ("DELETE", "/connectors/a", None),
             ("GET", "/connectors/a/offsets", None), ("GET", "/health", None), ("GET", "/", None)]
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        answers = list(pool.map(lambda call: worker.send(*call, patience=WAIT_S), calls))
    for (method, path, _), answer in zip(calls, answers):
        worker.keep("%s %s during a rebalance" % (method, path), *answer)


def starting(workers):
    """KIP-1017."""
    for attempt in range(5):
        with workers.starting("starting %d" % attempt) as worker:
            status, headers, text = worker.send("GET", "/health", patience=WAIT_S)
        if status == 503:
            worker.keep("GET /health while it starts", status, headers, text)
            return worker.answers
    raise Wrong("no worker was caught while it started; the last one said %d %s" % (status, text))
