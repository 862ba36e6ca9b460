"""One line per check, a summary at the end; and waiting."""
import contextlib
import sys
import time
import traceback

PATIENCE_S = 60
LOOK_INTERVAL_S = 0.1


class Wrong(Exception):
    """Something is not as it must be; the text says what."""


def expect(holds, why):
    if not holds:
        raise Wrong(why)


def equal(found, expected, what):
    """Both are shortened to where they differ."""
    if found == expected:
        return
    if isinstance(found, (list, tuple)) and isinstance(expected, (list, tuple)):
        at = next((n for n, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), min(len(found), len(expected)))
        raise Wrong("%s: %d instead of %d, and number %d is %s instead of %s" % (
            what, len(found), len(expected), at, brief(found[at:at + 1]), brief(expected[at:at + 1])))
    raise Wrong("%s is %s instead of %s" % (what, brief(found), brief(expected)))


def brief(value):
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "…"


def eventually(what, condition, patience=PATIENCE_S):
    """Looks until `condition` gives something true; a `Wrong` in it counts as not yet."""
    deadline, why = time.monotonic() + patience, ""
    while True:
        try:
            found = condition()
            if found:
                return found
        except Wrong as wrong:
            why = " (%s)" % wrong
        if time.monotonic() > deadline:
            raise Wrong("not within %d s: %s%s" % (patience, what, why))
        time.sleep(LOOK_INTERVAL_S)


class Checks:
    """Counts what held and what did not."""

    def __init__(self):
        self.held = self.failed = 0
        self.began = time.monotonic()
        self.place = ""

    def section(self, title):
        self.place = title
        print("-- %s" % title, flush=True)

    @contextlib.contextmanager
    def check(self, what):
        """Runs a block as one check; what it appends to the list that it is given stands behind the line."""
        notes = []
        try:
            yield notes
        except Exception as error:
            self.failed += 1
            why = str(error).strip() or type(error).__name__
            print("FAILED %s: %s" % (what, why.replace("\n", "\n       ")), flush=True)
            if not isinstance(error, Wrong):
                traceback.print_exc(file=sys.stderr)
        else:
            self.held += 1
            print("ok     %s%s" % (what, " (%s)" % ", ".join(notes) if notes else ""), flush=True)

    def summary(self):
        """Prints it, and gives the exit status."""
        took = time.monotonic() - self.began
        print("%d checks, %d failed, in %d s" % (self.held + self.failed, self.failed, took), flush=True)
        return 1 if self.failed else 0


def skipped(name, why):
    print("%s: skipped: %s" % (name, why))
    sys.exit(0)
