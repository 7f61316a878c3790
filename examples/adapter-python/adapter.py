"""A coordinator adapter for the key-value server beside it (`server.py`). The pattern for one of your own.

The contract, with every promise, is `wit/deps/coordinator.wit`. This file translates it into requests; `web.py` makes
them. One instance of the component is one lane: it is opened once, makes one call at a time, and when its connection is
gone the host opens another one.
"""

import base64
import json
import re
from urllib.parse import urlencode

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import bus, lifecycle, store

from web import Lost, NoTls, NotGranted, Server, Unsent

OPTIONS = {"url": str, "token": str, "timeout-ms": int}

# What this lane was opened with; set once, by `open`.
lane = None


class Lane:
    """A connection to one namespace, and the history that everything belongs to."""

    def __init__(self, config, namespace):
        self.server = Server(config["url"].rstrip("/"), config.get("token", ""))
        self.timeout = config.get("timeout-ms", 5000)
        self.namespace = namespace
        self.history = ""

    def ask(self, method, what="", body=b"", patience=0, **query):
        """One request about the namespace. With a history, the server only answers if it is the present one."""
        query = urlencode({**query, "history": self.history}, doseq=True)
        return self.server.ask(method, f"/v1/{self.namespace}{what}?{query}", body, self.timeout + patience)


def check(config):
    """The configuration, or `ValueError` with one sentence."""
    try:
        config = json.loads(config)
    except ValueError as error:
        raise ValueError(f"the configuration is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError("the configuration is not an object")
    for name, value in config.items():
        if name not in OPTIONS:
            raise ValueError(f"there is no option {name!r}; there are: {', '.join(OPTIONS)}")
        if type(value) is not OPTIONS[name]:
            raise ValueError(f"the option {name!r} must be of type {OPTIONS[name].__name__}")
    if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}/?", config.get("url", "")):
        raise ValueError("the option 'url' must be http://HOST:PORT or https://HOST:PORT")
    if not 100 <= config.get("timeout-ms", 5000) <= 60_000:
        raise ValueError("the option 'timeout-ms' must be from 100 to 60000")
    return config


class Lifecycle(exports.Lifecycle):
    def describe(self):
        return lifecycle.Description(
            name="example-http",
            version="0.1.0",
            summary="The key-value server of the examples, over HTTP.",
            options=[
                "url: http://HOST:PORT or https://HOST:PORT",
                "token: what the server was started with, if anything",
                "timeout-ms: how long it may take to answer [5000]",
            ],
        )

    def requires(self, config):
        try:
            return [check(config)["url"].rstrip("/")]
        except ValueError as error:
            raise Err(str(error)) from None

    def open(self, context):
        global lane
        try:
            opening = Lane(check(context.config), context.namespace)
            opening.history = context.history or ""
            # What should be there is not made again: its loss would go unnoticed.
            status, answer = opening.ask("GET" if context.history else "POST")
        except ValueError as error:
            raise Err(lifecycle.OpenError_InvalidConfig(str(error))) from None
        except NotGranted as error:
            raise Err(lifecycle.OpenError_Denied(str(error))) from None
        except NoTls as error:
            raise Err(lifecycle.OpenError_Tls(str(error))) from None
        except (Unsent, Lost) as error:
            raise Err(lifecycle.OpenError_Unreachable(str(error))) from None
        if status == 401:
            raise Err(lifecycle.OpenError_Denied(said(answer)))
        if status in (404, 410):
            raise Err(lifecycle.OpenError_HistoryLost(said(answer)))
        if status >= 500:
            raise Err(lifecycle.OpenError_Unreachable(said(answer)))
        if status != 200:
            raise Err(lifecycle.OpenError_Other(said(answer)))
        opening.history = answer["history"]
        lane = opening
        return lifecycle.Opened(location=lane.server.url, history=lane.history, memo="")

    def examine(self):
        status, answer = lane.server.ask("GET", "/v1/about", b"", lane.timeout)
        if status != 200:
            return [finding("server", "bad", said(answer), "Look at the server's output.")]
        kept = answer["kept"]
        return [
            finding("version", "good", answer["name"]),
            finding("durability", "good", "every write is on the disk before it is acknowledged")
            if kept
            else finding(
                "durability",
                "warning",
                "everything is in memory, and a restart loses it",
                "Start the server with --data FILE.",
            ),
        ]

    def erase(self):
        write("DELETE")


class Store(exports.Store):
    def get(self, key):
        answer = read("/entry", key=key)
        return store.Reading(entry(answer["entry"]), answer["revision"], answer["now"], 0)

    def list(self, prefix, since):
        answer = read("/entries", prefix=prefix, since=since)
        entries = [
            store.Listed(e["key"], e["revision"], e["written"], base64.b64decode(e["value"]))
            for e in answer["entries"]
        ]
        return store.Listing(entries, answer["revision"], answer["now"], 0)

    def put(self, key, value, expected):
        answer = write("PUT", "/entry", value, key=key, expected=expectation(expected))
        return store.Written(answer["revision"], answer["now"])

    def delete(self, key, expected):
        answer = write("DELETE", "/entry", key=key, expected=expectation(expected))
        return store.Written(answer["revision"], answer["now"])


class Bus(exports.Bus):
    def publish(self, topic, payload):
        tell("POST", payload, topic=topic)

    def subscribe(self, topics):
        return Subscription(topics, tell("GET")["position"])


class Subscription(bus.Subscription):
    """Where this subscriber is in the server's queue. The server says what was lost since then, also over a restart."""

    def __init__(self, topics, position):
        self.topics, self.position = topics, position

    def next(self, max, timeout):
        answer = tell("GET", patience=timeout, wait=timeout, after=self.position, max=max, topic=self.topics)
        self.position = answer["position"]
        if answer["lost"]:
            return [bus.Delivery_Gap(0)]
        return [
            bus.Delivery_Message(bus.Message(m["topic"], base64.b64decode(m["payload"])))
            for m in answer["messages"]
        ]


# Between the contract's words and those of the server.


def read(what, **query):
    """Asks without changing anything: whatever goes wrong on the way, nothing has happened."""
    try:
        status, answer = lane.ask("GET", what, **query)
    except (Unsent, Lost) as error:
        raise Err(store.StoreError_Unavailable(str(error))) from None
    if status >= 500:
        raise Err(store.StoreError_Unavailable(said(answer)))
    if status != 200:
        raise Err(refusal(status, answer))
    return answer


def write(method, what="", value=b"", **query):
    """Asks for a change: when the answer is lost, it may have happened and may still happen."""
    try:
        status, answer = lane.ask(method, what, value, **query)
    except Unsent as error:
        raise Err(store.StoreError_Unavailable(str(error))) from None
    except Lost as error:
        raise Err(store.StoreError_Indeterminate(str(error))) from None
    if status >= 500:
        raise Err(store.StoreError_Indeterminate(said(answer)))
    if status == 409:
        raise Err(store.StoreError_Conflict(entry(answer["entry"])))
    if status == 413:
        raise Err(store.StoreError_TooLarge(store.TooLarge(len(value), answer["limit"])))
    if status != 200:
        raise Err(refusal(status, answer))
    return answer


def refusal(status, answer):
    """What reads and writes are refused with."""
    if status == 401:
        return store.StoreError_Denied(said(answer))
    if status in (404, 410):
        return store.StoreError_HistoryLost(said(answer))
    if status == 400:
        return store.StoreError_Invalid(said(answer))
    return store.StoreError_Other(said(answer))


def tell(method, payload=b"", patience=0, **query):
    """Asks the bus."""
    try:
        status, answer = lane.ask(method, "/messages", payload, patience, **query)
    except (Unsent, Lost) as error:
        raise Err(bus.BusError_Unavailable(str(error))) from None
    if status == 401:
        raise Err(bus.BusError_Denied(said(answer)))
    if status == 400:
        raise Err(bus.BusError_Invalid(said(answer)))
    if status == 413:
        raise Err(bus.BusError_TooLarge(store.TooLarge(len(payload), answer["limit"])))
    if status != 200:
        raise Err(bus.BusError_Unavailable(said(answer)))
    return answer


def expectation(expected):
    match expected:
        case store.Expected_Absent():
            return "absent"
        case store.Expected_Revision(revision):
            return str(revision)
        case store.Expected_Any():
            return "any"


def entry(found):
    return found and store.Entry(found["revision"], found["written"], base64.b64decode(found["value"]))


def finding(name, verdict, detail, remedy=""):
    return lifecycle.Finding(name, getattr(lifecycle.Verdict, verdict.upper()), detail, remedy)


def said(answer):
    return f"the server says: {answer['error']}"
