"""Kafka's own tools in one virtual machine (`peers/Tools.java`): status, standard output and standard error of each call."""
import importlib.machinery
import importlib.util
import os
import queue
import subprocess
import threading

from checks import Wrong
from processes import PEER, REPOSITORY

SOURCE = os.path.join(REPOSITORY, "tests", "peers", "Tools.java")
UNIT, RECORD = "\x1f", "\x1e"
CALL_S = 120


def classes():
    """The table of the peer: a tool's name -> the classes that may be it."""
    loader = importlib.machinery.SourceFileLoader("peer", PEER)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("peer", loader))
    loader.exec_module(module)
    return module.TOOLS


class InOne:
    """The tools of one Kafka version; the machine starts with the first call, and again behind one that has ended it."""

    def __init__(self, kafka):
        self.kafka, self.classes = kafka, classes()
        self.process, self.streams = None, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self._end()

    def __call__(self, name, *arguments):
        """(status, standard output, standard error)"""
        if not self.process:
            self._start()
        self.process.stdin.write(UNIT.join([",".join(self.classes[name]), *arguments]) + "\n")
        self.process.stdin.flush()
        out, err = [], []
        statuses = [self._read(stream, lines) for stream, lines in zip(self.streams, (out, err))]
        status = statuses[0] if None not in statuses else self._end()
        return status, "".join(out), "".join(err)

    def _start(self):
        jars = os.path.join(self.kafka.peer("jars").strip(), "*")
        argv = [os.environ.get("JAVA", "java"), "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", jars, SOURCE]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                                        errors="replace")
        self.streams = [queue.Queue(), queue.Queue()]
        for pipe, stream in zip((self.process.stdout, self.process.stderr), self.streams):
            threading.Thread(target=_listen, args=(pipe, stream), daemon=True).start()

    def _read(self, stream, lines):
        """The lines of this call; its status, or None where the machine has ended."""
        while True:
            try:
                line = stream.get(timeout=CALL_S)
            except queue.Empty as error:
                raise Wrong("a tool of Kafka's has not ended after %d s" % CALL_S) from error
            if line is None:
                return None
            if line.startswith(RECORD):
                return int(line[1:])
            lines.append(line)

    def _end(self):
        status = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        self.process = None
        return status


def _listen(pipe, stream):
    try:
        for line in pipe:
            stream.put(line)
    except ValueError:
        pass  # closed while it was read
    stream.put(None)
