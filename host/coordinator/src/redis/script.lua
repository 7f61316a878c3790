-- Everything that the store does: one call, one moment. Revisions and times are whole numbers below 2^53.
--
-- Redis takes nothing back when a later command of a script is denied. So each command that changes something is
-- first run in a way that changes nothing, or the clock alone, or is the one that decides: `entries` is the truth,
-- and `index` and `meta` follow it. Permissions do not change while a script runs, nor does a script that has written
-- run out of memory or of replicas.
local meta, index, entries = KEYS[1], KEYS[2], KEYS[3]
local op, history, run, seen, floor = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local FORMAT, RUNS, JUMP, CHUNK = '1', 16, 1048576, 1000

-- The replication id changes whenever a server starts and whenever a replica is promoted: a new one begins a new run.
local info = redis.call('INFO', 'replication')
local present = string.match(info, 'master_replid:(%w+)')
if not present or not string.find(info, 'role:master', 1, true) then
  return redis.error_reply('READONLY this server is no master')
end

local m = redis.call('HMGET', meta, 'format', 'history', 'revision', 'time', 'run', 'since', 'count', 'shift')
if m[1] and m[1] ~= FORMAT then return { 'format', m[1] } end
if m[1] and history ~= '' and m[2] ~= history then return { 'lost', 'it holds another history' } end
if not m[1] and op ~= 'open' then return { 'lost', 'it is empty' } end
local revision, time, since = tonumber(m[3] or 0), tonumber(m[4] or 0), tonumber(m[6] or 0)
local count, shift = tonumber(m[7] or 0), tonumber(m[8] or 0)
local indexed, held = redis.call('ZCARD', index), redis.call('HLEN', entries)
if op ~= 'open' and (indexed ~= count or held ~= count) then
  return { 'lost', 'somebody else, or an eviction, has removed a part of it' }
end

-- Calls `visit` with each of `keys` and its entry; as many at once as fit on Lua's stack.
local function each(keys, visit)
  for first = 1, #keys, CHUNK do
    local last = math.min(first + CHUNK - 1, #keys)
    for at, entry in ipairs(redis.call('HMGET', entries, unpack(keys, first, last))) do
      visit(keys[first + at - 1], entry)
    end
  end
end

-- Each key of the index by its revision there, and those keys in a list.
local function scores()
  local found, of, keys = redis.call('ZRANGEBYSCORE', index, '-inf', '+inf', 'WITHSCORES'), {}, {}
  for at = 1, #found, 2 do
    of[found[at]] = tonumber(found[at + 1])
    keys[#keys + 1] = found[at]
  end
  return of, keys
end

-- Has the index say what the entries say. Nothing of them is changed, and a mending that is cut short is begun anew
-- by whoever opens next. What is no entry ends it before it changes anything.
local function mend()
  local of, stale = scores()
  local whole, wrong = indexed == held, {}
  local function judge(key, entry)
    if not entry then
      whole = false
      return
    end
    local numbers = #entry >= 17 and string.byte(entry) == 1 and { struct.unpack('>BI8I8', entry) }
    if not numbers then error('an entry that is not in format 1: ' .. key, 0) end
    if of[key] ~= numbers[2] then wrong[#wrong + 1] = { numbers[2], key } end
    of[key] = nil
    revision, time = math.max(revision, numbers[2]), math.max(time, numbers[3])
  end
  each(stale, judge)
  if not whole then
    wrong, of = {}, scores()
    each(redis.call('HKEYS', entries), judge)
    for key in pairs(of) do redis.call('ZREM', index, key) end
  end
  for _, pair in ipairs(wrong) do redis.call('ZADD', index, pair[1], pair[2]) end
end

-- What is there is kept. If something may be missing, whoever knew it must hear of that: by the new name.
local known, stated = m[1] or held > 0 or indexed > 0, revision
if op == 'open' then mend() end
local broken = not m[1] or held ~= count or revision > stated

-- One look at the clock. It is the server's, and shifted, so that it neither jumps nor goes back when another server
-- takes over or the clock of one is put back: it stands still while nobody serves, except that whoever knows how long
-- that was may say so. Entries never look older than they are.
local clock = redis.call('TIME')
local server = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now = math.max(server + shift, time)
if m[5] ~= present and time > 0 then
  now = math.max(time, run == m[5] and floor or 0)
end
if broken or m[5] ~= present then
  local runs = ''
  if broken then
    m[2], count = ARGV[6], held
  else
    runs = redis.call('HGET', meta, 'runs')
    local _, lines = string.gsub(runs, '\n', '')
    if lines >= RUNS then runs = string.sub(runs, string.find(runs, '\n', 1, true) + 1) end
  end
  runs = runs .. string.format('%s %.0f\n', present, revision)
  if known then
    -- The numbers jump, past all that may have been given and lost. Not further: tokens are made of them and of the
    -- time, and must stay below those of a later history. Later than all that was written, and than the last one,
    -- also for who has heard of that.
    now = math.max(now, time + 1, since + 1)
    revision, since = revision + JUMP, now
  end
  time, shift = now, now - server
  redis.call('HSET', meta, 'format', FORMAT, 'history', m[2], 'run', present, 'since', since, 'runs', runs,
    'revision', revision, 'count', count, 'time', time, 'shift', shift)
end
if run ~= '' and run ~= present then return { 'run', redis.call('HGET', meta, 'runs') } end
if revision < seen then return { 'lost', string.format('it is at revision %.0f', revision) } end

local function answer(status, more) return { status, revision, now, since, more } end

-- Moves the store's clock, and nothing else.
local function tick() redis.call('HSET', meta, 'time', now, 'shift', now - server) end

if op == 'get' then
  return answer('ok', redis.call('HGET', entries, ARGV[6]))
end

if op == 'list' then
  local prefix, keys, found = ARGV[6], {}, {}
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. ARGV[7], '+inf')) do
    if string.sub(key, 1, #prefix) == prefix then keys[#keys + 1] = key end
  end
  each(keys, function(key, entry)
    found[#found + 1] = key
    found[#found + 1] = entry
  end)
  return answer('ok', found)
end

if op == 'put' or op == 'delete' then
  local key, expected, heard = ARGV[6], ARGV[7], ARGV[9]
  -- What is to be written may rest on what was lost.
  if heard and tonumber(heard) < since then return { 'unheard' } end
  local there = redis.call('ZSCORE', index, key)
  -- No number is equal to the absence of one.
  local holds = expected == 'any' or (expected == 'absent' and not there)
    or (there and tonumber(there) == tonumber(expected))
  if not holds then
    return answer('conflict', there and redis.call('HGET', entries, key))
  end
  revision = revision + 1
  if op == 'put' then
    redis.call('ZADD', index, 'XX', 0, '')
    tick()
    redis.call('HSET', entries, key, struct.pack('>BI8I8', 1, revision, now) .. ARGV[8])
    redis.call('ZADD', index, revision, key)
  else
    redis.call('ZREM', index, '')
    tick()
    redis.call('HDEL', entries, key)
    redis.call('ZREM', index, key)
  end
  count = count + (op == 'put' and 1 or 0) - (there and 1 or 0)
  redis.call('HSET', meta, 'revision', revision, 'count', count)
  return answer('ok')
end

if op == 'open' then
  -- Changes nothing but the clock; whoever may not do one of these learns it now and not when it is needed.
  tick()
  redis.call('ZADD', index, 'XX', 0, '')
  redis.call('ZREM', index, '')
  redis.call('HDEL', entries, '')
  redis.call('HMGET', entries, '')
  redis.call('HGET', entries, '')
  redis.call('ZSCORE', index, '')
  redis.call('ZRANGEBYSCORE', index, 1, 0)
  return answer('ok', { m[2], present })
end

if op == 'erase' then
  redis.call('UNLINK', meta, index, entries)
  return answer('ok')
end
return redis.error_reply('ERR unknown operation')
