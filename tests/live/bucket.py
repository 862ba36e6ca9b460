"""A bucket of an S3 server in this process: objects are files of a directory, and a put is held on its way where a check wants that.
Knows what an object-store sink asks: conditional puts, heads, and lists; whoever asks is let in."""
import http.server
import os
import threading
import time
import urllib.parse
import xml.sax.saxutils

NAME = "lake"
HELD_MAX_S = 300


class Bucket:
    """Served from the moment that it is made until `close`."""

    def __init__(self, directory):
        self.directory, self.notes, self.changed = directory, {}, threading.Condition()
        self.armed, self.holds = set(), {}
        bucket = self

        class Handler(Requests):
            served = bucket
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        with self.changed:
            self.armed.clear()
            self.holds.clear()
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def keys(self):
        """The sink's."""
        return {"store.url": "http://127.0.0.1:%d" % self.server.server_address[1], "s3.bucket.name": NAME,
                "aws.access.key.id": "key", "aws.secret.access.key": "secret"}

    def path(self, key):
        return os.path.join(self.directory, key)

    def arm(self, folder):
        """The next object whose key begins so is held before it is made. Others after it are not."""
        with self.changed:
            self.armed.add(folder)

    def held(self, folder):
        """The object that is held."""
        with self.changed:
            return self.holds.get(folder)

    def release(self, folder):
        with self.changed:
            del self.holds[folder]
            self.changed.notify_all()

    def put(self, key, content, notes, is_new):
        """Whether it was made: not if there is one and it was to be new."""
        with self.changed:
            folder = next((folder for folder in self.armed if key.startswith(folder)), None)
            if folder:
                self.armed.remove(folder)
                self.holds[folder] = key
                self.changed.wait_for(lambda: self.holds.get(folder) != key, HELD_MAX_S)
            path = self.path(key)
            if is_new and os.path.exists(path):
                return False
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + "~", "wb") as f:
                f.write(content)
            os.replace(path + "~", path)
            self.notes[key] = notes
            return True

    def list(self, prefix):
        """Key and size of what is there."""
        found = []
        for folder, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(folder, name)
                key = os.path.relpath(path, self.directory)
                if key.startswith(prefix) and not key.endswith("~"):
                    found.append((key, os.path.getsize(path)))
        return sorted(found)


class Requests(http.server.BaseHTTPRequestHandler):
    """One connection."""
    protocol_version = "HTTP/1.1"
    served = None

    def log_message(self, *_):
        pass

    def key(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        return path.removeprefix("/%s" % NAME).removeprefix("/")

    def answer(self, status, content=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        notes = {name.replace("-", "_"): value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}
        made = self.served.put(self.key(), content, notes, self.headers["If-None-Match"] == "*")
        try:
            self.answer(200 if made else 412, ETag='"%d"' % len(content))
        except OSError:
            self.close_connection = True  # Whoever asked was killed.

    def do_HEAD(self):
        path = self.served.path(self.key())
        if not os.path.isfile(path):
            return self.answer(404)
        size = os.path.getsize(path)
        return self.answer(200, Content_Length=str(size), ETag='"%d"' % size, Last_Modified=self.date_time_string(int(os.path.getmtime(path))),
                           **self.served.notes[self.key()])

    def do_GET(self):
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        if asked.get("list-type") != "2":
            return self.answer(501)
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter")
        objects, folders = [], set()
        for key, size in self.served.list(prefix):
            rest = key[len(prefix):]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter, 1)[0] + delimiter)
                continue
            objects.append("<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>\"%d\"</ETag><Size>%d</Size></Contents>" % (
                xml.sax.saxutils.escape(key), time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()), size, size))
        folders = ["<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % xml.sax.saxutils.escape(one) for one in sorted(folders)]
        text = "<ListBucketResult><Name>%s</Name><Prefix>%s</Prefix><KeyCount>%d</KeyCount><IsTruncated>false</IsTruncated>%s</ListBucketResult>" % (
            NAME, xml.sax.saxutils.escape(prefix), len(objects), "".join(objects + folders))
        return self.answer(200, text.encode(), Content_Type="application/xml")
