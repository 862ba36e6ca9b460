"""JSON over HTTP."""
import json
import urllib.error
import urllib.request

from checks import PATIENCE_S, Wrong, brief


def call(hub, role, method, path, body=None, kind="application/json", accept=None, status=(200, 201, 202, 204)):
    """Calls a service of the hub and gives the answer: JSON, or text where it is none."""
    url = "http://127.0.0.1:%d%s" % (hub.ports[role], path)
    headers = {"Content-Type": kind} if body is not None else {}
    if accept:
        headers["Accept"] = accept
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            found, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        found, text = error.code, error.read().decode()
    except OSError as error:
        raise Wrong("%s %s: %s" % (method, url, error)) from error
    if found not in status:
        raise Wrong("%s %s answers %d: %s" % (method, url, found, brief(text)))
    try:
        return json.loads(text)
    except ValueError:
        return text


def create_connector(hub, name, config):
    call(hub, "connect", "POST", "/connectors", {"name": name, "config": config})


def failures(hub):
    """What connectors and tasks say of themselves where they do not run."""
    said = []
    for name, it in call(hub, "connect", "GET", "/connectors?expand=status").items():
        for part in [it["status"]["connector"], *it["status"]["tasks"]]:
            if part["state"] != "RUNNING":
                said.append("%s is %s %s" % (name, part["state"], brief(part.get("trace", ""))))
    return said
