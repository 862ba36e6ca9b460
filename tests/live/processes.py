"""Everything that is started: commands that end by themselves, a hub, a real Kafka. Whatever happens, they end with the script."""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

from checks import PATIENCE_S, Wrong, expect

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
PEER = os.path.join(REPOSITORY, "tests", "peers", "kafka")
JAVA_MIN = 17
COMMAND_S = 120
BROKER_HEAP = "384m"
CONTROLLER_DISTANCE = 500
SAID_MAX = 1500


def run(argv, stdin=None, patience=COMMAND_S, status=0, cwd=None):
    """Runs a command to its end and gives its standard output, with standard error behind it where it is to fail; `status` is what
    it must end with (None: anything)."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=patience, cwd=cwd, encoding="utf-8",
                              stdin=subprocess.DEVNULL if stdin is None else None, check=False)
    except subprocess.TimeoutExpired as error:
        raise Wrong("%s did not end within %d s" % (name_of(argv), patience)) from error
    if status is not None and done.returncode != status:
        raise Wrong("%s ended with %d: %s" % (name_of(argv), done.returncode, (done.stderr + done.stdout)[-SAID_MAX:]))
    return done.stdout + done.stderr if status else done.stdout


def name_of(argv):
    return " ".join([os.path.basename(argv[0]), *argv[1:8]])


def leave_on_signals():
    """SIGTERM and SIGHUP end the script as Ctrl-C does: through every `finally`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def build(cargo_arguments):
    """Builds with cargo, which prints what it does, and gives the folder of the binaries."""
    is_release = "--release" in cargo_arguments
    if not shutil.which("cargo"):
        sys.exit("needs cargo on the PATH")
    what = ["-p", "forebay", "--bin", "forebay", "-p", "forebay-client", "--example", "roundtrip", "--example", "transactions"]
    if subprocess.run(["cargo", "build", *cargo_arguments, *what], cwd=REPOSITORY, check=False).returncode:
        sys.exit("cargo could not build what is to be checked")
    metadata = run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=REPOSITORY)
    return os.path.join(json.loads(metadata)["target_directory"], "release" if is_release else "debug")


def missing(version):
    """Why Apache Kafka `version` cannot be run here, or None."""
    java = os.environ.get("JAVA", "java")
    if not shutil.which(java):
        return "needs Java %d" % JAVA_MIN
    said = subprocess.run([java, "-version"], capture_output=True, encoding="utf-8", check=False).stderr
    try:
        major = int(said.split('"')[1].split(".")[0])
    except (IndexError, ValueError):
        major = 0
    if major < JAVA_MIN:
        return "needs Java %d, and %s is %s" % (JAVA_MIN, java, said.splitlines()[0] if said else "silent")
    found = subprocess.run([PEER, "jars", "--version", version], capture_output=True, encoding="utf-8", check=False)
    if found.returncode:
        why = re.sub(r"\x1b\[[0-9;]*m", "", found.stderr).strip().splitlines() or ["no reason"]
        return "the jars of Apache Kafka %s are not there and cannot be fetched (%s)" % (version, why[-1])
    return None


def free_port(*others):
    """A port that is free, and those at the distances `others` too; below the range from which the system gives out ports."""
    for _ in range(1000):
        port = random.randrange(20_000, 32_000)
        try:
            for distance in (0, *others):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port + distance))
            return port
        except OSError:
            continue
    raise Wrong("no free port")


class Kafka:
    """A real Apache Kafka of one version, in a folder of its own; its tools, which work without it too."""

    def __init__(self, version, directory):
        self.version = version
        self.directory = os.path.join(directory, "kafka")
        self.bootstrap = ""

    def peer(self, verb, *arguments, **how):
        return run([PEER, verb, "--version", self.version, "--dir", self.directory, *arguments], **how)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer("down", "--wipe", status=None)

    def start(self, settings=()):
        """Starts a broker, with settings beside those of the peer."""
        settings = [word for key in settings for word in ("--set", "%s=%s" % (key, settings[key]))]
        said = self.peer("up", "--port", str(free_port(CONTROLLER_DISTANCE)), "--heap", BROKER_HEAP, *settings)
        self.bootstrap = said.strip()

    def tool(self, name, bootstrap, *arguments, **how):
        """One of Kafka's own tools."""
        bootstrap = ["--bootstrap-server", bootstrap] if bootstrap else []
        return self.peer("tool", name, *bootstrap, *arguments, **how)


class Hub:
    """`forebay start`: the ports that it found the first time are its ports from then on."""

    def __init__(self, forebay, directory, roles, overrides=()):
        self.forebay, self.directory, self.roles, self.overrides = forebay, directory, roles, overrides
        self.ports, self.process, self.ready = {}, None, ""
        os.makedirs(directory, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def data_dir(self):
        return os.path.join(self.directory, "data")

    def start(self):
        argv = [self.forebay, "start", "--data-dir", self.data_dir(), "--roles", self.roles]
        for role, flag in (("broker", "kafka"), ("registry",) * 2, ("rest",) * 2, ("connect",) * 2, ("console",) * 2):
            argv += ["--%s-port" % flag, str(self.ports.get(role, 0))]
        for override in self.overrides:
            argv += ["--override", override]
        with open(os.path.join(self.directory, "stderr"), "ab") as stderr:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8")
        too_late = threading.Timer(PATIENCE_S, self.process.kill)
        too_late.start()
        for line in self.process.stdout:
            if line.startswith("ready in "):
                too_late.cancel()
                self.ready = line.strip()
                return
            words = line.split()
            self.ports[words[0]] = int(words[1].rsplit(":", 1)[1])
        too_late.cancel()
        self.kill()
        raise Wrong("forebay start did not get ready: %s" % self.said())

    def said(self):
        with open(os.path.join(self.directory, "stderr"), encoding="utf-8", errors="replace") as f:
            return f.read()[-SAID_MAX:]

    def bootstrap(self):
        return "127.0.0.1:%d" % self.ports["broker"]

    def kill(self):
        """SIGKILL."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def stop(self):
        """SIGTERM, and the end that it asks for."""
        if self.process.poll() is not None:
            said = self.process.stdout.read()
            raise Wrong("it had ended before, with %d: %s%s" % (self.process.returncode, said, self.said()))
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise Wrong("it did not end on SIGTERM: %s" % self.said()) from error
        expect(status == 0, "it ended with %d on SIGTERM: %s" % (status, self.said()))
        self.kill()
