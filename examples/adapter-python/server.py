"""A key-value server over HTTP, for the adapter beside it: revisions, compare-and-set, one clock, messages.

It needs Python's standard library and nothing else. Everything is in memory; with `--data FILE` each write is on the
disk before it is acknowledged, so that a restart loses nothing. Whoever starts it with a file that was restored from a
copy adds `--new-history`, for then acknowledged writes may be missing, and those who rely on them must hear of it.

    GET    /v1/about                                               name, version, whether writes are kept
    GET    /v1/NAMESPACE                                           its history
    POST   /v1/NAMESPACE                                           the same; makes it if it is missing
    DELETE /v1/NAMESPACE                                           removes it
    GET    /v1/NAMESPACE/entry?key=K                               one entry, or null
    PUT    /v1/NAMESPACE/entry?key=K&expected=absent|any|REVISION  stores the body
    DELETE /v1/NAMESPACE/entry?key=K&expected=absent|any|REVISION
    GET    /v1/NAMESPACE/entries?prefix=P&since=REVISION           sorted, one consistent state
    POST   /v1/NAMESPACE/messages?topic=T                          publishes the body
    GET    /v1/NAMESPACE/messages?after=POSITION&topic=T&max=N&wait=MILLISECONDS

Requests with `history=H` are only answered if that is the namespace's. Answers are JSON, with values and payloads in
base64.

400 makes no sense, 401 the token is wrong, 404 no such namespace, 409 the expectation does not hold, 410 another
history, 413 too large.
"""

import argparse
import base64
import collections
import http.server
import json
import os
import secrets
import threading
import time
import urllib.parse

MAX_BODY = 2 << 20
MAX_MESSAGES = 10_000
MAX_MESSAGE_BYTES = 32 << 20
MAX_ANSWER = 4 << 20


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status, error, **more):
        super().__init__(error)
        self.status, self.answer = status, {"error": error, **more}


class Space:
    """One namespace."""

    def __init__(self, history):
        self.history = history
        self.entries = {}  # key: (revision, written, value in base64)
        self.messages = collections.deque()  # (number, topic, payload in base64)
        self.sent = 0  # the number of the newest message
        self.bytes = 0

    def entry(self, key):
        found = self.entries.get(key)
        return found and {"revision": found[0], "written": found[1], "value": found[2]}


class Database:
    """All namespaces. Every change is one step under one lock, and in the file before it is visible."""

    def __init__(self, path, new_history):
        self.changed = threading.Condition()
        self.spaces, self.revision, self.time = {}, 0, 0
        # Message numbers begin anew with each start of the server: positions say which start they are of.
        self.boot = secrets.token_hex(4)
        self.file = None
        if path:
            self.load(path, new_history)

    # What is kept: one JSON object a line.

    def load(self, path, new_history):
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                for line in file:
                    # The last line may be cut off: that write was never acknowledged.
                    if line.endswith("\n"):
                        self.apply(json.loads(line))
        fresh = path + ".new"
        with open(fresh, "w", encoding="ascii") as file:
            write = lambda change: file.write(json.dumps(change) + "\n")
            write({"do": "go on", "revision": self.revision, "time": self.time})
            for name, space in self.spaces.items():
                space.history = secrets.token_hex(16) if new_history else space.history
                write({"do": "make", "space": name, "history": space.history})
                for key, (revision, written, value) in space.entries.items():
                    entry = {"key": key, "revision": revision, "time": written, "value": value}
                    write({"do": "put", "space": name, **entry})
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self.file = open(path, "a", encoding="ascii")

    def apply(self, change):
        do, name = change["do"], change.get("space")
        self.revision = max(self.revision, change.get("revision", 0))
        self.time = max(self.time, change.get("time", 0))
        if do == "make":
            self.spaces[name] = Space(change["history"])
        elif do == "put":
            self.spaces[name].entries[change["key"]] = (change["revision"], change["time"], change["value"])
        elif do == "delete":
            self.spaces[name].entries.pop(change["key"], None)
        elif do == "erase":
            del self.spaces[name]

    def commit(self, **change):
        if self.file:
            self.file.write(json.dumps(change) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())
        self.apply(change)

    # What is asked. Each is called under the lock.

    def now(self):
        self.time = max(self.time, time.time_ns() // 1_000_000)
        return self.time

    def find(self, name, history):
        space = self.spaces.get(name)
        if space is None:
            raise Refused(404, f"there is no namespace {name}")
        if history and history != space.history:
            raise Refused(410, f"the namespace {name} has the history {space.history}, not {history}")
        return space

    def make(self, name):
        if name not in self.spaces:
            self.commit(do="make", space=name, history=secrets.token_hex(16))
        return {"history": self.spaces[name].history}

    def erase(self, name):
        if name in self.spaces:
            self.commit(do="erase", space=name)
        return {}

    def read(self, space, key):
        return {"entry": space.entry(key), "revision": self.revision, "now": self.now()}

    def list(self, space, prefix, since):
        found = [
            {"key": key, **space.entry(key)}
            for key, entry in space.entries.items()
            if key.startswith(prefix) and entry[0] > since
        ]
        found.sort(key=lambda entry: entry["key"])
        return {"entries": found, "revision": self.revision, "now": self.now()}

    def write(self, name, space, key, expected, value):
        found = space.entry(key)
        holds = expected == "any" or expected == (str(found["revision"]) if found else "absent")
        if not holds:
            raise Refused(409, f"{key} is not as expected", entry=found)
        change = {"space": name, "key": key, "revision": self.revision + 1, "time": self.now()}
        if value is None:
            self.commit(do="delete", **change)
        else:
            self.commit(do="put", value=encode(value), **change)
        return {"revision": change["revision"], "now": change["time"]}

    def publish(self, space, topic, payload):
        space.sent += 1
        space.messages.append((space.sent, topic, encode(payload)))
        space.bytes += len(payload)
        while len(space.messages) > MAX_MESSAGES or space.bytes > MAX_MESSAGE_BYTES:
            space.bytes -= len(space.messages.popleft()[2]) * 3 // 4
        self.changed.notify_all()
        return {}

    def receive(self, space, after, topics, most, wait):
        """The messages after a position, waited for; or where to go on, if some after it are lost."""
        oldest = space.messages[0][0] if space.messages else space.sent + 1
        boot, _, number = after.partition("-")
        if not after:
            return {"messages": [], "position": f"{self.boot}-{space.sent}", "lost": False}
        if boot != self.boot or int(number) + 1 < oldest:
            return {"messages": [], "position": f"{self.boot}-{oldest - 1}", "lost": True}
        number = int(number)
        pick = lambda: [message for message in newer(space.messages, number) if not topics or message[1] in topics]
        self.changed.wait_for(pick, timeout=wait / 1000)
        found, size = [], 0
        for reached, topic, payload in pick():
            found.append({"topic": topic, "payload": payload})
            size += len(payload)
            if len(found) >= most or size > MAX_ANSWER:
                break
        else:
            reached = space.sent
        return {"messages": found, "position": f"{self.boot}-{reached}", "lost": False}


def newer(messages, number):
    """Those with a greater number, in order; looked for from the end, where they are."""
    found = []
    for message in reversed(messages):
        if message[0] <= number:
            break
        found.append(message)
    return found[::-1]


def encode(value):
    return base64.b64encode(value).decode("ascii")


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection, for as many requests as its client likes."""

    protocol_version = "HTTP/1.1"
    server_version = "adapter-example/1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def handle_any(self):
        # Read in any case: the next request begins behind it.
        body, status = self.body(), 200
        try:
            answer = self.answer(body)
        except Refused as refused:
            status, answer = refused.status, refused.answer
        except (KeyError, ValueError) as error:
            status, answer = 400, {"error": f"the request makes no sense: {error!r}"}
        text = json.dumps(answer).encode("ascii")
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def body(self):
        """What was sent along.

        A client that was cut off in the middle has asked for nothing: half a body must never be stored.
        """
        left, parts = int(self.headers.get("content-length") or 0), []
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                if len(parts[-1]) < size or self.rfile.readline() != b"\r\n":
                    raise ConnectionError("cut off")
            self.rfile.readline()
        while left > 0 and (part := self.rfile.read(min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
        if left > 0:
            raise ConnectionError("cut off")
        return b"".join(parts)

    def answer(self, body):
        token = self.server.token
        if token and not secrets.compare_digest(self.headers.get("authorization", ""), f"Bearer {token}"):
            raise Refused(401, "the token is missing or wrong")
        if len(body) > MAX_BODY:
            raise Refused(413, f"at most {MAX_BODY} bytes are stored", limit=MAX_BODY)
        path, _, query = self.path.partition("?")
        asked = urllib.parse.parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        get = lambda name, default="": asked.get(name, [default])[0]
        _, version, name, *rest = path.split("/")
        what = (self.command, *rest)
        database = self.server.database
        if version != "v1":
            raise Refused(400, f"{path} is not known here: addresses begin with /v1/")
        with database.changed:
            if (what, name) == (("GET",), "about"):
                return {"name": self.server_version, "kept": bool(database.file), "now": database.now()}
            if what == ("POST",):
                return database.make(name)
            space = database.find(name, get("history"))
            if what == ("GET",):
                return {"history": space.history}
            if what == ("DELETE",):
                return database.erase(name)
            if what == ("GET", "entry"):
                return database.read(space, asked["key"][0])
            if what == ("PUT", "entry"):
                return database.write(name, space, asked["key"][0], asked["expected"][0], body)
            if what == ("DELETE", "entry"):
                return database.write(name, space, asked["key"][0], asked["expected"][0], None)
            if what == ("GET", "entries"):
                return database.list(space, get("prefix"), int(get("since", "0")))
            if what == ("POST", "messages"):
                return database.publish(space, asked["topic"][0], body)
            if what == ("GET", "messages"):
                topics = set(asked.get("topic", []))
                return database.receive(space, get("after"), topics, int(get("max", "100")), int(get("wait", "0")))
        raise Refused(400, f"{self.command} {path} is not known here")

    def log_message(self, format, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that went away in the middle is no news."""


def main():
    arguments = argparse.ArgumentParser(description="A key-value server over HTTP, for the adapter beside it.")
    arguments.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    arguments.add_argument("--port", type=int, default=8700, help="port to listen on, 0 for any free one [%(default)s]")
    arguments.add_argument("--data", metavar="FILE", help="keep everything in this file")
    arguments.add_argument(
        "--new-history", action="store_true", help="the file was restored: tell everybody that writes may be lost"
    )
    arguments.add_argument("--token", help="refuse whoever does not send it")
    given = arguments.parse_args()
    server = Server((given.host, given.port), Handler)
    server.database, server.token = Database(given.data, given.new_history), given.token
    print(f"listening on http://{given.host}:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
