// A coordinator adapter for the key-value server beside it (`server.py`). Replace what talks to that server by what
// talks to yours.
//
// The contract, with every promise, is `wit/deps/coordinator.wit`. One instance of the component is one lane: it is
// opened once, makes one call at a time, and when its connection is gone the host opens another one.

// Numbers of 64 bits are BigInt here; those of the server stay far below 2^53.

import { Lost, NoTls, NotGranted, Server, Unsent } from './web.js';

const NOTHING = new Uint8Array(0);

const OPTIONS = { url: 'string', token: 'string', 'timeout-ms': 'number' };

// What this lane was opened with; set once, by `open`.
let lane;

/** A connection to one namespace, and the history that everything belongs to. */
class Lane {
  constructor(config, namespace, history) {
    this.server = new Server(config.url.replace(/\/$/, ''), config.token);
    this.timeout = config['timeout-ms'] ?? 5000;
    this.namespace = namespace;
    this.history = history;
  }

  /** One request: its status and JSON. With a history, the server only answers if it is the namespace's present one. */
  ask(method, what = '', query = {}, body = NOTHING, patience = 0) {
    const values = Object.entries({ ...query, history: this.history });
    const pairs = values.flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
    const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    return this.server.ask(method, `/v1/${this.namespace}${what}?${text}`, body, this.timeout + patience);
  }
}

/** The configuration, or an error with one sentence. */
function check(text) {
  let config;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`the configuration is not JSON: ${error.message}`);
  }
  if (config === null || typeof config !== 'object' || Array.isArray(config)) {
    throw new TypeError('the configuration is not an object');
  }
  for (const [name, value] of Object.entries(config)) {
    if (!Object.hasOwn(OPTIONS, name)) {
      throw new TypeError(`there is no option "${name}"; there are: ${Object.keys(OPTIONS).join(', ')}`);
    }
    if (typeof value !== OPTIONS[name]) {
      throw new TypeError(`the option "${name}" must be a ${OPTIONS[name]}`);
    }
  }
  if (!/^https?:\/\/[A-Za-z0-9.\-[\]:]+:[0-9]{1,5}\/?$/.test(config.url ?? '')) {
    throw new TypeError('the option "url" must be http://HOST:PORT or https://HOST:PORT');
  }
  const timeout = config['timeout-ms'] ?? 5000;
  if (!Number.isInteger(timeout) || timeout < 100 || timeout > 60_000) {
    throw new TypeError('the option "timeout-ms" must be a whole number from 100 to 60000');
  }
  return config;
}

export const lifecycle = {
  describe() {
    return {
      name: '@name@',
      version: '0.1.0',
      summary: 'The key-value server of the examples, over HTTP.',
      options: [
        'url: http://HOST:PORT or https://HOST:PORT',
        'token: what the server was started with, if anything',
        'timeout-ms: how long it may take to answer [5000]',
      ],
    };
  },

  requires(config) {
    try {
      return [check(config).url.replace(/\/$/, '')];
    } catch (error) {
      throw error.message;
    }
  },

  open(context) {
    let opening, status, answer;
    try {
      opening = new Lane(check(context.config), context.namespace, context.history ?? '');
      // What should be there is not made again: its loss would go unnoticed.
      ({ status, answer } = opening.ask(context.history ? 'GET' : 'POST'));
    } catch (error) {
      throw { tag: opened(error), val: error.message };
    }
    if (status === 401) throw { tag: 'denied', val: said(answer) };
    if (status === 404 || status === 410) throw { tag: 'history-lost', val: said(answer) };
    if (status >= 500) throw { tag: 'unreachable', val: said(answer) };
    if (status !== 200) throw { tag: 'other', val: said(answer) };
    opening.history = answer.history;
    lane = opening;
    return { location: lane.server.url, history: lane.history, memo: '' };
  },

  examine() {
    try {
      const { status, answer } = lane.server.ask('GET', '/v1/about', NOTHING, lane.timeout);
      if (status !== 200) return [finding('server', 'bad', said(answer), "Look at the server's output.")];
      return [
        finding('version', 'good', answer.name),
        answer.kept
          ? finding('durability', 'good', 'every write is on the disk before it is acknowledged')
          : finding(
              'durability',
              'warning',
              'everything is in memory, and a restart loses it',
              'Start the server with --data FILE.',
            ),
      ];
    } catch (error) {
      return [finding('server', 'bad', error.message, 'Start it, or put its address right.')];
    }
  },

  erase() {
    write('DELETE');
  },
};

export const store = {
  get(key) {
    const { entry, revision, now } = read('/entry', { key });
    return { entry: present(entry), revision: BigInt(revision), now: BigInt(now), unsureBefore: 0n };
  },

  list(prefix, since) {
    const { entries, revision, now } = read('/entries', { prefix, since });
    const listed = entries.map((found) => ({ key: found.key, ...present(found) }));
    return { entries: listed, revision: BigInt(revision), now: BigInt(now), unsureBefore: 0n };
  },

  put(key, value, expected) {
    return written(write('PUT', '/entry', { key, expected: expectation(expected) }, value));
  },

  delete(key, expected) {
    return written(write('DELETE', '/entry', { key, expected: expectation(expected) }));
  },
};

/** Where this subscriber is in the server's queue. The server says what was lost since then, also over a restart. */
class Subscription {
  constructor(topic, position) {
    this.topic = topic;
    this.position = position;
  }

  next(max, timeout) {
    const answer = tell('GET', { after: this.position, topic: this.topic, max, wait: timeout }, NOTHING, timeout);
    this.position = answer.position;
    if (answer.lost) return [{ tag: 'gap', val: 0n }];
    return answer.messages.map(({ topic, payload }) => ({ tag: 'message', val: { topic, payload: decode(payload) } }));
  }
}

export const bus = {
  publish(topic, payload) {
    tell('POST', { topic }, payload);
  },

  subscribe(topics) {
    return new Subscription(topics, (tell('GET')).position);
  },

  Subscription,
};

// Between the contract's words and those of the server.

/** What `ask` answers; if it fails, an error of the kind that `tag` says. */
function attempt(ask, tag) {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof Unsent || error instanceof Lost)) throw error;
    throw { tag: tag(error), val: error.message };
  }
}

/** Why a lane could not be opened. */
function opened(error) {
  if (error instanceof NotGranted) return 'denied';
  if (error instanceof NoTls) return 'tls';
  return error instanceof Unsent || error instanceof Lost ? 'unreachable' : 'invalid-config';
}

/** Asks without changing anything: whatever goes wrong on the way, nothing has happened. */
function read(what, query) {
  const { status, answer } = attempt(() => lane.ask('GET', what, query), () => 'unavailable');
  if (status >= 500) throw { tag: 'unavailable', val: said(answer) };
  if (status !== 200) throw refusal(status, answer);
  return answer;
}

/** Asks for a change: when the answer is lost, it may have happened and may still happen. */
function write(method, what, query, value) {
  const unknown = (error) => (error instanceof Unsent ? 'unavailable' : 'indeterminate');
  const { status, answer } = attempt(() => lane.ask(method, what, query, value), unknown);
  if (status >= 500) throw { tag: 'indeterminate', val: said(answer) };
  if (status === 409) throw { tag: 'conflict', val: present(answer.entry) };
  if (status === 413) throw tooLarge(value, answer);
  if (status !== 200) throw refusal(status, answer);
  return answer;
}

/** What reads and writes are refused with. */
function refusal(status, answer) {
  const tag = { 400: 'invalid', 401: 'denied', 404: 'history-lost', 410: 'history-lost' }[status] ?? 'other';
  return { tag, val: said(answer) };
}

/** Asks the bus. */
function tell(method, query, payload, patience) {
  const asked = () => lane.ask(method, '/messages', query, payload, patience);
  const { status, answer } = attempt(asked, () => 'unavailable');
  if (status === 413) throw tooLarge(payload, answer);
  if (status !== 200) throw { tag: { 400: 'invalid', 401: 'denied' }[status] ?? 'unavailable', val: said(answer) };
  return answer;
}

const expectation = (expected) => (expected.tag === 'revision' ? expected.val : expected.tag);

const written = ({ revision, now }) => ({ revision: BigInt(revision), now: BigInt(now) });

const present = (entry) =>
  entry ? { revision: BigInt(entry.revision), written: BigInt(entry.written), value: decode(entry.value) } : undefined;

const tooLarge = (bytes, answer) => ({
  tag: 'too-large',
  val: { size: BigInt(bytes.length), limit: BigInt(answer.limit) },
});

const finding = (name, verdict, detail, remedy = '') => ({ name, verdict, detail, remedy });

const said = (answer) => `the server says: ${answer.error}`;

function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
