"""Clients that are fetched by their language's own tool, at pinned versions, into a directory that goes away."""
import os
import shutil
import sys

import processes
from checks import Wrong

PROGRAMS = os.path.join(processes.REPOSITORY, "tests", "clients", "programs")
FETCH_S = 300


class Missing(Exception):
    """A client cannot be fetched; the text says why."""


def fetch(argv, directory):
    """Runs a tool that fetches something; whatever it says, what it cannot fetch is missing."""
    if not shutil.which(argv[0]):
        raise Missing("needs %s" % argv[0])
    try:
        processes.run(argv, cwd=directory, patience=FETCH_S)
    except Wrong as wrong:
        raise Missing("cannot be fetched (%s)" % str(wrong).strip().splitlines()[-1]) from wrong


def python(directory, name):
    """An interpreter that has the package; its programs are run with `-B`."""
    environment = os.path.join(directory, name)
    interpreter = os.path.join(environment, "bin", "python")
    fetch([sys.executable, "-m", "venv", environment], directory)
    fetch([interpreter, "-m", "pip", "install", "-q", "-c", os.path.join(PROGRAMS, "python", "constraints.txt"), name], directory)
    return interpreter
