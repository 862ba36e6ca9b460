"""Members of a group of workers that are none: one that joins and then says no more, for which whoever rebalances waits, and one that leads and
cannot be reached."""
import contextlib
import socket
import struct

from checks import Wrong, eventually

JOIN_GROUP, SYNC_GROUP = (11, 2), (14, 0)
TIMEOUT_MS = 300_000
PROTOCOL, VERSION = "sessioned", 2
URL = "http://127.0.0.1:1/"


class Member:
    """A connection as a member."""

    def __init__(self, connection, group):
        self.connection, self.group, self.id = connection, group, ""

    def join(self):
        """Waits for the others; gives the generation, and what each tells of itself if this one leads."""
        # What a worker tells that has read nothing and has nothing: version, URL, config offset, assignment.
        metadata = struct.pack(">h", VERSION) + text(URL) + struct.pack(">qi", -1, -1)
        body = text(self.group) + struct.pack(">ii", TIMEOUT_MS, TIMEOUT_MS) + text(self.id) + text("connect")
        answer = self.ask(JOIN_GROUP, body + struct.pack(">i", 1) + text(PROTOCOL) + sized(metadata))
        answer.number(">i")  # throttle time
        self.check(answer.number(">h"))
        generation = answer.number(">i")
        answer.bytes(">h")  # protocol
        answer.bytes(">h")  # leader
        self.id = answer.bytes(">h").decode()
        members = {}
        for _ in range(answer.number(">i")):
            member = answer.bytes(">h").decode()
            members[member] = answer.bytes(">i")
        return generation, members

    def lead(self):
        """Shares out nothing, once there is another member."""
        def both():
            generation, members = self.join()
            return (generation, members) if len(members) > 1 else None
        generation, members = eventually("a worker joins %s" % self.group, both)
        body = text(self.group) + struct.pack(">i", generation) + text(self.id) + struct.pack(">i", len(members))
        for member, metadata in members.items():
            told = Answer(metadata)
            told.number(">h")  # version
            told.bytes(">h")  # URL
            # Version, no error, leader, its URL, config offset, assigned, revoked, delay.
            body += text(member) + sized(struct.pack(">hh", VERSION, 0) + text(self.id) + text(URL) + struct.pack(">qiii", told.number(">q"), 0, 0, 0))
        self.check(self.ask(SYNC_GROUP, body).number(">h"))

    def ask(self, api, body):
        request = struct.pack(">hhi", *api, 1) + text("stalled") + body
        self.connection.sendall(sized(request))
        answer = Answer(read(self.connection, struct.unpack(">i", read(self.connection, 4))[0]))
        answer.number(">i")  # correlation id
        return answer

    def check(self, error):
        if error:
            raise Wrong("%s: error %d" % (self.group, error))


class Answer:
    def __init__(self, content):
        self.content, self.place = content, 0

    def number(self, form):
        found = struct.unpack_from(form, self.content, self.place)[0]
        self.place += struct.calcsize(form)
        return found

    def bytes(self, form):
        length = self.number(form)
        self.place += length
        return self.content[self.place - length:self.place]


@contextlib.contextmanager
def member(bootstrap, group):
    """It has joined, and is in the group while the block runs."""
    host, port = bootstrap.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        found = Member(connection, group)
        found.join()
        yield found


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def sized(content):
    return struct.pack(">i", len(content)) + content


def read(connection, count):
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            raise Wrong("the broker has closed the connection")
        found += more
    return found
