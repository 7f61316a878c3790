"""Requests over `wasi:http`, each with a deadline. The host keeps the connection open in between, and does TLS.

What matters to an adapter is not which of a hundred errors it was, but whether the server can have seen the request:
see `Unsent` and `Lost`.
"""

import json

from componentize_py_types import Err
from wit_world.imports import monotonic_clock, outgoing_handler, poll, streams, types

CHUNK = 64 * 1024

METHODS = {
    "GET": types.Method_Get,
    "POST": types.Method_Post,
    "PUT": types.Method_Put,
    "DELETE": types.Method_Delete,
}

# The host's words for failures that come before the request is sent.
NOT_GRANTED = types.ErrorCode_HttpRequestDenied
NO_TLS = (types.ErrorCode_TlsProtocolError, types.ErrorCode_TlsCertificateError, types.ErrorCode_TlsAlertReceived)
NOT_THERE = (
    types.ErrorCode_DnsTimeout,
    types.ErrorCode_DnsError,
    types.ErrorCode_DestinationNotFound,
    types.ErrorCode_DestinationUnavailable,
    types.ErrorCode_ConnectionRefused,
    types.ErrorCode_ConnectionTimeout,
    types.ErrorCode_ConnectionLimitReached,
)


class Unsent(Exception):
    """The server has not seen the request."""


class NotGranted(Unsent):
    """The operator has not allowed this address."""


class NoTls(Unsent):
    """There is no secure connection."""


class Lost(Exception):
    """The server may have seen the request, and may still act on it."""


class Deadline:
    """A moment by which something must be done."""

    def __init__(self, milliseconds):
        self.at = monotonic_clock.now() + milliseconds * 1_000_000

    def wait(self, pollable):
        """Waits for `pollable`; false if the deadline comes first."""
        with pollable, monotonic_clock.subscribe_instant(self.at) as alarm:
            return 0 in poll.poll([pollable, alarm])


class Server:
    """The one that this lane talks to."""

    def __init__(self, url, token):
        self.url = url
        scheme, _, self.authority = url.partition("://")
        self.scheme = types.Scheme_Https() if scheme == "https" else types.Scheme_Http()
        self.headers = [("authorization", f"Bearer {token}".encode())] if token else []

    def ask(self, method, path, body, milliseconds):
        """Sends a request and waits for the answer: its status and JSON. Raises `Unsent` or `Lost`."""
        deadline = Deadline(milliseconds)
        try:
            with self.send(method, path, body, milliseconds, deadline) as future:
                if not deadline.wait(future.subscribe()):
                    raise Lost(f"{self.url} has not answered within {milliseconds} ms")
                answer = future.get()
            if answer is None or not hasattr(answer.value, "value"):
                raise Lost(f"{self.url}: the host has lost the answer")
            if isinstance(answer.value, Err):
                raise self.explain(answer.value.value)
            with answer.value.value as response:
                return response.status(), json.loads(self.read(response, deadline))
        except Err as error:
            raise self.explain(error.value) from None
        except ValueError as error:
            raise Lost(f"{self.url} answers something that is no JSON: {error}") from None

    def send(self, method, path, body, milliseconds, deadline):
        length = ("content-length", str(len(body)).encode())
        request = types.OutgoingRequest(types.Fields.from_list([length, *self.headers]))
        request.set_method(METHODS[method]())
        request.set_scheme(self.scheme)
        request.set_authority(self.authority)
        request.set_path_with_query(path)
        options = types.RequestOptions()
        options.set_connect_timeout(milliseconds * 1_000_000)
        options.set_first_byte_timeout(milliseconds * 1_000_000)
        outgoing = request.body()
        future = outgoing_handler.handle(request, options)
        try:
            with outgoing.write() as stream:
                while body:
                    room = stream.check_write()
                    if room:
                        stream.write(body[:room])
                        body = body[room:]
                    elif not deadline.wait(stream.subscribe()):
                        raise Lost(f"{self.url} takes no more of a request")
            types.OutgoingBody.finish(outgoing, None)
        except Err:
            # The connection broke while the body was written: what the future says is the reason.
            pass
        return future

    def read(self, response, deadline):
        parts = []
        with response.consume() as incoming, incoming.stream() as stream:
            while True:
                try:
                    part = stream.read(CHUNK)
                except Err as error:
                    if isinstance(error.value, streams.StreamError_Closed):
                        return b"".join(parts)
                    with error.value.value as cause:
                        raise Lost(f"{self.url}: the answer broke off: {cause.to_debug_string()}") from None
                if part:
                    parts.append(part)
                elif not deadline.wait(stream.subscribe()):
                    raise Lost(f"{self.url} has not answered in time")

    def explain(self, code):
        word = type(code).__name__.removeprefix("ErrorCode_")
        if isinstance(code, NOT_GRANTED):
            return NotGranted(f'{self.url} is not granted: add "{self.url}" to `allow` of the store\'s section')
        if isinstance(code, NO_TLS):
            return NoTls(f"no TLS connection to {self.url} ({word})")
        if isinstance(code, NOT_THERE):
            return Unsent(f"{self.url} does not answer ({word}): is the server running there?")
        return Lost(f"{self.url}: the connection is lost ({word})")
