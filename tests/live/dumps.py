"""dump-log, Forebay's and Kafka's, over the same files: the same lines on standard output, the same status."""
import os
import subprocess

from checks import equal, expect
from processes import PEER

DECODERS = {
    "__consumer_offsets": "--offsets-decoder",
    "__transaction_state": "--transaction-log-decoder",
    "__cluster_metadata": "--cluster-metadata-decoder",
}
SEGMENTS = (".log", ".checkpoint")
BESIDE = (".index", ".timeindex", ".snapshot", ".txnindex")
PATIENCE_S = 120


def compare(checks, kafka, forebay, directory):
    """Every folder of a log directory, of a broker that has stopped."""
    for folder in sorted(os.listdir(directory)):
        path = os.path.join(directory, folder)
        if os.path.isdir(path):
            compare_folder(checks, kafka, forebay, path)


def compare_folder(checks, kafka, forebay, path):
    topic = os.path.basename(path).rpartition("-")[0]
    segments, beside = files(path, SEGMENTS), files(path, BESIDE)
    # Of fifty partitions of an internal topic most are empty.
    if not any(os.path.getsize(file) for file in segments):
        return
    ways = [[], ["--print-data-log"]]
    if topic in DECODERS:
        ways += [[DECODERS[topic]], [DECODERS[topic], "--skip-record-metadata"]]
    with checks.check("dump-log of %s: Kafka's and Forebay's say the same" % os.path.basename(path)) as notes:
        lines = 0
        for way in ways:
            lines += both(kafka, forebay, segments, way)
        for way in [], ["--index-sanity-check"], ["--verify-index-only"]:
            lines += both(kafka, forebay, beside, way) if beside else 0
        notes.append("%d lines" % lines)


def files(path, suffixes):
    return [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(suffixes)]


def both(kafka, forebay, names, way):
    arguments = ["--files", ",".join(names), *way]
    theirs = said([PEER, "tool", "--version", kafka.version, "--dir", kafka.directory, "dump-log", *arguments])
    ours = said([forebay, "dump-log", *arguments])
    equal(ours[1].splitlines(), theirs[1].splitlines(), "dump-log %s" % " ".join(way))
    # Of what is wrong with a file Kafka's tool tells beside a stack trace, ours alone.
    expect((ours[0] == 0) == (theirs[0] == 0), "status %d instead of %d: %s" % (ours[0], theirs[0], ours[2]))
    if theirs[0] == 0:
        equal(ours[2].splitlines(), theirs[2].splitlines(), "dump-log %s, standard error" % " ".join(way))
    return len(ours[1].splitlines())


def said(argv):
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", errors="replace", timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout, done.stderr
