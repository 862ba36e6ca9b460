"""The calls, in their order: some change what later ones see. `FILES/` is the folder of `data.FILES`; `ID-OF-ORDERS` the topic's id.
What Kafka's tools wait a minute for before they give up (a broker that is not there, a partition that is not) is left out."""
from of_clusters import CLUSTER, CONFIGS
from of_records import GET_OFFSETS, GROUPS, RESET, TOPICS, TRANSACTIONS

WITHOUT_BROKER = ("version-mapping", "feature-dependencies", "--validate-regex", "--version")


class Call:
    """A line, under its own text; behind one that is there twice stands which it is."""

    def __init__(self, line, number):
        self.name, self.words = line if number == 1 else "%s (%d)" % (line, number), line.split()

    def arguments(self, bootstrap, words):
        """With the address where the tool takes it, and the words replaced that stand for something."""
        said = list(self.words)
        for text, meant in words.items():
            said = [word.replace(text, meant) for word in said]
        tool, *rest = said
        if not set(rest) & set(WITHOUT_BROKER):
            # Of `cluster` each command has options of its own.
            server = ["--bootstrap-server", bootstrap]
            rest = [*rest, *server] if tool == "cluster" else [*server, *rest]
        return tool, *rest


def calls():
    """All of them."""
    found, met = [], {}
    for chapter in (TOPICS, GET_OFFSETS, GROUPS, RESET, TRANSACTIONS, CONFIGS, CLUSTER):
        for line in chapter.strip().splitlines():
            met[line] = met.get(line, 0) + 1
            found.append(Call(line, met[line]))
    return found
