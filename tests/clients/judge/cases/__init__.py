"""What is asked, a module per area: a case is a function that gets a `Broker`, by itself or once per line of a table."""
import hashlib
import importlib
import inspect
import os

CASES = {}


class Case:
    """A function with its arguments, under the name `area/function/line`."""

    def __init__(self, function, arguments, line):
        area = function.__module__.rsplit(".", 1)[1].replace("_", "-")
        self.name = "/".join(filter(None, [area, function.__name__.replace("_", "-"), line]))
        self.topic = self.name.replace("/", ".")
        self.function, self.arguments = function, arguments

    def run(self, broker):
        self.function(broker, *self.arguments)

    def fingerprint(self):
        """Changes when the case does (not when what it calls does)."""
        text = inspect.getsource(self.function) + repr(self.arguments)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def case(function):
    """A case."""
    _add(Case(function, (), ""))
    return function


def cases(table):
    """A case per entry: its name -> the arguments behind the broker (one that is no tuple is the only one)."""
    def mark(function):
        for line, arguments in table.items():
            _add(Case(function, arguments if isinstance(arguments, tuple) else (arguments,), str(line)))
        return function
    return mark


def _add(it):
    if it.name in CASES:
        raise ValueError("two cases are named " + it.name)
    CASES[it.name] = it


def load():
    """Every case, by name."""
    for file in sorted(os.listdir(os.path.dirname(os.path.abspath(__file__)))):
        if file.endswith(".py") and not file.startswith("_"):
            importlib.import_module("cases." + file[:-3])
    return CASES
