// Requests over `wasi:http`, each with a deadline. The host keeps the connection open between them, and does TLS for
// `https`.
//
// Why not `fetch`, which is there? It does not say whether the server can have seen a request that failed, which is all
// that matters to an adapter. And it keeps what the host has given it until the garbage is collected, which may be
// hundreds of requests later, more than a lane may hold.

import { now, subscribeInstant } from 'wasi:clocks/monotonic-clock@0.2.12';
import { handle } from 'wasi:http/outgoing-handler@0.2.12';
import { Fields, OutgoingBody, OutgoingRequest, RequestOptions } from 'wasi:http/types@0.2.12';
import { poll } from 'wasi:io/poll@0.2.12';

const CHUNK = 65536n;

// The host's words for failures that come before the request is sent.
const NO_TLS = ['TLS-protocol-error', 'TLS-certificate-error', 'TLS-alert-received'];
const NOT_THERE = [
  'DNS-timeout',
  'DNS-error',
  'destination-not-found',
  'destination-unavailable',
  'connection-refused',
  'connection-timeout',
  'connection-limit-reached',
];

/** The server has not seen the request. */
export class Unsent extends Error {}

/** The operator has not allowed this address. */
export class NotGranted extends Unsent {}

/** There is no secure connection. */
export class NoTls extends Unsent {}

/** The server may have seen the request, and may still act on it. */
export class Lost extends Error {}

/** What the host has given is given back at once, not when the garbage is collected. */
const done = (resource) => resource[Symbol.dispose]();

/** A moment by which something must be done. */
class Deadline {
  constructor(milliseconds) {
    this.at = now() + BigInt(milliseconds) * 1_000_000n;
  }

  /** Waits for `pollable`; false if the deadline comes first. */
  wait(pollable) {
    const alarm = subscribeInstant(this.at);
    try {
      return poll([pollable, alarm]).includes(0);
    } finally {
      done(pollable);
      done(alarm);
    }
  }
}

/** The one that this lane talks to. */
export class Server {
  constructor(url, token) {
    this.url = url;
    const [scheme, authority] = url.split('://');
    this.scheme = { tag: scheme === 'https' ? 'HTTPS' : 'HTTP' };
    this.authority = authority;
    this.headers = token ? [['authorization', new TextEncoder().encode(`Bearer ${token}`)]] : [];
  }

  /** Sends a request and waits for the answer: its status and JSON. Throws `Unsent` or `Lost`. */
  ask(method, path, body, milliseconds) {
    const deadline = new Deadline(milliseconds);
    const future = this.send(method, path, body, milliseconds, deadline);
    let response;
    try {
      if (!deadline.wait(future.subscribe())) throw new Lost(`${this.url} has not answered within ${milliseconds} ms`);
      const answer = future.get();
      if (answer?.tag !== 'ok') throw new Lost(`${this.url}: the host has lost the answer`);
      if (answer.val.tag === 'err') throw this.explain(answer.val.val);
      response = answer.val.val;
      const text = new TextDecoder().decode(this.read(response, deadline));
      return { status: response.status(), answer: this.parse(text) };
    } finally {
      if (response) done(response);
      done(future);
    }
  }

  send(method, path, body, milliseconds, deadline) {
    const length = new TextEncoder().encode(String(body.length));
    const request = new OutgoingRequest(Fields.fromList([['content-length', length], ...this.headers]));
    request.setMethod({ tag: method.toLowerCase() });
    request.setScheme(this.scheme);
    request.setAuthority(this.authority);
    request.setPathWithQuery(path);
    const options = new RequestOptions();
    options.setConnectTimeout(BigInt(milliseconds) * 1_000_000n);
    options.setFirstByteTimeout(BigInt(milliseconds) * 1_000_000n);
    const outgoing = request.body();
    let future;
    try {
      future = handle(request, options);
    } catch (error) {
      throw this.explain(error.payload ?? error);
    }
    try {
      this.write(outgoing, body, deadline);
      OutgoingBody.finish(outgoing, undefined);
    } catch (error) {
      if (error instanceof Lost) {
        done(future);
        throw error;
      }
      // The connection broke while the body was written: what the future says is the reason.
    }
    return future;
  }

  write(outgoing, body, deadline) {
    const stream = outgoing.write();
    try {
      for (let at = 0; at < body.length; ) {
        const room = Number(stream.checkWrite());
        if (room > 0) {
          const end = Math.min(at + room, body.length);
          stream.write(body.subarray(at, end));
          at = end;
        } else if (!deadline.wait(stream.subscribe())) {
          throw new Lost(`${this.url} takes no more of a request`);
        }
      }
    } finally {
      done(stream);
    }
  }

  read(response, deadline) {
    const parts = [];
    const incoming = response.consume();
    const stream = incoming.stream();
    try {
      for (;;) {
        const part = stream.read(CHUNK);
        if (part.length > 0) parts.push(part);
        else if (!deadline.wait(stream.subscribe())) throw new Lost(`${this.url} has not answered in time`);
      }
    } catch (error) {
      const why = error.payload ?? error;
      if (why.tag === 'closed') return joined(parts);
      if (why.tag !== 'last-operation-failed') throw error;
      const cause = why.val.toDebugString();
      done(why.val);
      throw new Lost(`${this.url}: the answer broke off: ${cause}`);
    } finally {
      done(stream);
      done(incoming);
    }
  }

  parse(text) {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Lost(`${this.url} answers something that is no JSON: ${error.message}`);
    }
  }

  explain(code) {
    const word = code.tag ?? String(code);
    if (word === 'HTTP-request-denied') {
      return new NotGranted(`${this.url} is not granted: add "${this.url}" to \`allow\` of the store's section`);
    }
    if (NO_TLS.includes(word)) return new NoTls(`no TLS connection to ${this.url} (${word})`);
    if (NOT_THERE.includes(word)) {
      return new Unsent(`${this.url} does not answer (${word}): is the server running there?`);
    }
    return new Lost(`${this.url}: the connection is lost (${word})`);
  }
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
