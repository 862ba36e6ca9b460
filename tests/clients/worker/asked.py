"""Asks a worker, and keeps what it answered under the name of the call."""
import http.client
import json
import os

from checks import eventually
from normal import Normal

PATIENCE_S = 60
JSON = {"Content-Type": "application/json"}
HEADERS = ("Content-Type", "Location", "Allow")
STRING = "org.apache.kafka.connect.storage.StringConverter"
SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"


class Asked:
    """A worker on a port of this machine, and the answers of it so far."""

    def __init__(self, port, files):
        self.port, self.files, self.answers = port, files, {}
        self.normal = Normal(port, files)

    def file(self, name, text=None):
        """The path of a file that the worker's connectors may use, written anew if a text is given."""
        path = os.path.join(self.files, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        return path

    def source(self, topic="lines", **more):
        return self.of(SOURCE, topic=topic, file=self.file("input.txt"), **more)

    def sink(self, topics="lines", **more):
        return self.of(SINK, topics=topics, file=self.file("output.txt"), **more)

    @staticmethod
    def of(connector, **more):
        """A configuration; `__` stands for the dot, and what is None is left out."""
        config = {"connector.class": connector, "tasks.max": "1", "key.converter": STRING, "value.converter": STRING}
        config.update({key.replace("__", "."): value for key, value in more.items()})
        return {key: value for key, value in config.items() if value is not None}

    def __call__(self, method, path, body=None, label="", headers=None):
        """Asks, and keeps the answer; `body` is text, or what is written as JSON."""
        status, found, text = self.send(method, path, body, headers)
        self.keep(" ".join(word for word in (method, path, label) if word), status, found, text)
        return text

    def learn_version(self):
        """By which plugins say that they are."""
        self.normal.version = json.loads(self.send("GET", "/connector-plugins")[2])[0]["version"]
        return self

    def keep(self, name, status, headers, text):
        """Keeps an answer under a name, with a number behind it where there is one of that name."""
        name, number = self.normal.text(name), 2
        wanted = name
        while wanted in self.answers:
            wanted, number = "%s #%d" % (name, number), number + 1
        self.answers[wanted] = self.normal.answer(status, headers, text)

    def send(self, method, path, body=None, headers=None, patience=PATIENCE_S):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if headers is None:
            headers = JSON if body is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            connection.request(method, path, body.encode() if isinstance(body, str) else body, headers)
            answer = connection.getresponse()
            found = {name: answer.getheader(name) for name in HEADERS if answer.getheader(name) is not None}
            return answer.status, found, answer.read().decode()
        finally:
            connection.close()

    def until(self, path, is_so):
        """Waits for an answer of which `is_so` is true."""
        def ask():
            status, _, text = self.send("GET", path)
            return status < 400 and is_so(json.loads(text))
        eventually("%s is as wanted" % path, ask)

    def until_states(self, name, connector, *tasks):
        self.until("/connectors/%s/status" % name, lambda it: (it["connector"]["state"], *(task["state"] for task in it["tasks"]))
                   == (connector, *tasks))

    def without(self, name):
        """Deletes a connector that was not to be made."""
        if self.send("DELETE", "/connectors/" + name)[0] == 204:
            self.until_gone(name)

    def until_gone(self, name):
        def ask():
            return self.send("GET", "/connectors/%s/status" % name)[0] == 404
        eventually("%s is gone" % name, ask)
