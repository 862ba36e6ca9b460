"""What the suites have in common: a test is a function; its name, underscores as hyphens, stands in the line that says how it went."""
import sys
import time
import traceback

PATIENCE_S = 25


def equal(found, expected, what=""):
    assert found == expected, "%s: %r instead of %r" % (what, found, expected)


def until(what, condition, patience=PATIENCE_S):
    """Asks again and again until the condition holds, and gives what it said."""
    give_up = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < give_up, "waited in vain for " + what
        time.sleep(0.05)


def run(tests):
    """Runs the tests that the command line names behind the first two words, all without; one that fails does not end the others."""
    wanted = sys.argv[3:]
    for test in tests:
        name = test.__name__.replace("_", "-")
        if wanted and name not in wanted:
            continue
        began = time.monotonic()
        try:
            note = test()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            print("failed: %s: %s %s" % (name, type(error).__name__, str(error).replace("\n", " ")[:500]), flush=True)
            traceback.print_exc(file=sys.stderr)
        else:
            print("ok: %s: %.1f s%s" % (name, time.monotonic() - began, ", " + note if note else ""), flush=True)
