"""A broker as a case sees it: requests by name and version over raw sockets, each with its answer put into the transcript."""
import socket
import struct
import time

import codec
import schema

ANSWER_S = 10
PAUSE_S = 0.02
PATIENCE_S = 20
CLIENT = "judge"
CLOSED, SILENT = {"": "the connection was closed"}, {"": "no answer"}


class Unanswered(Exception):
    """The broker closed the connection, or said nothing for long."""


class Connection:
    """A socket; requests can be written ahead of their answers."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting, self.correlation = [], 0

    def close(self):
        self.socket.close()

    def write(self, api, version, fields, client=CLIENT):
        """Sends a request; its answer is the next one that `read` does not have yet."""
        table = schema.apis()[api]
        self.correlation += 1
        flexible = schema.within(version, table.flexible)
        head = codec.encode("RequestHeader", 2 if flexible else 1, {
            "RequestApiKey": table.api_key, "RequestApiVersion": version, "CorrelationId": self.correlation, "ClientId": client})
        self.write_frame(head + codec.encode(api + "Request", version, fields))
        self.waiting.append((api, version, self.correlation, flexible))

    def write_frame(self, frame):
        try:
            self.socket.sendall(struct.pack(">i", len(frame)) + frame)
        except OSError as error:
            raise Unanswered("closed") from error

    def read(self, patience=ANSWER_S):
        """The next answer."""
        api, version, correlation, flexible = self.waiting.pop(0)
        frame = self.read_frame(patience)
        found = struct.unpack_from(">i", frame)[0]
        if found != correlation:
            raise ValueError("correlation id %d instead of %d" % (found, correlation))
        if api == "ApiVersions":
            unsupported = version > schema.message("ApiVersionsResponse").valid[1] or frame[4:6] == b"\0\x23"
            return codec.decode("ApiVersionsResponse", 0 if unsupported else version, frame[4:])
        if flexible and frame[4] != 0:
            raise ValueError("tagged fields in the header")
        return codec.decode(api + "Response", version, frame[5 if flexible else 4:])

    def read_frame(self, patience=ANSWER_S):
        size = struct.unpack(">i", self._take(4, patience))[0]
        return self._take(size, patience)

    def _take(self, count, patience):
        self.socket.settimeout(patience)
        out = bytearray()
        try:
            while len(out) < count:
                some = self.socket.recv(count - len(out))
                if not some:
                    raise Unanswered("closed")
                out += some
        except TimeoutError as error:
            raise Unanswered("silent") from error
        except OSError as error:
            raise Unanswered("closed") from error
        return bytes(out)


class Broker:
    """One of the two, for one case: what is asked through `ask` is compared, what is arranged through `quiet` is not."""

    def __init__(self, address, case):
        self.address, self.case = address, case
        self.transcript, self.connections = [], {}

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}

    def connection(self, name=""):
        """The connection of a name, opened when it is first needed or after it was closed."""
        if name not in self.connections:
            self.connections[name] = Connection(self.address)
        return self.connections[name]

    def exchange(self, api, version, fields, on="", patience=ANSWER_S, client=CLIENT):
        """Asks and waits; raises `Unanswered`."""
        connection = self.connection(on)
        try:
            connection.write(api, version, fields, client)
            return connection.read(patience)
        except (Unanswered, ValueError):
            self.connections.pop(on).close()
            raise

    def ask(self, api, version, on="", patience=ANSWER_S, client=CLIENT, keep=None, **fields):
        """Asks; the answer (or what `keep` leaves of it) stands in the transcript. Gives it whole, or what came instead."""
        try:
            found = self.exchange(api, version, fields, on, patience, client)
        except Unanswered as why:
            found = codec.Fields(CLOSED if str(why) == "closed" else SILENT)
        except (codec.Underflow, ValueError) as why:
            found = codec.Fields({"": "unreadable: %s" % why})
        self.note("%s %d" % (api, version), keep(found) if keep and "" not in found else found)
        return found

    def quiet(self, api, version, on="", patience=ANSWER_S, client=CLIENT, **fields):
        """Asks without a line in the transcript."""
        return self.exchange(api, version, fields, on, patience, client)

    def note(self, what, found):
        """Puts something into the transcript."""
        self.transcript.append((what, found))

    def until(self, what, condition, patience=PATIENCE_S):
        """Waits for a condition that becomes true by itself; its answer is not compared."""
        give_up = time.monotonic() + patience
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > give_up:
                raise Unanswered("waited in vain for %s" % what)
            time.sleep(PAUSE_S)
