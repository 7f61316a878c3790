-- Everything that the store does: one call, one moment. Revisions and times are whole numbers below 2^53.
local meta, index, entries = KEYS[1], KEYS[2], KEYS[3]
local op, history, run, seen, floor = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local FORMAT, RUNS, JUMP = '1', 16, 1048576

-- The replication id changes whenever a server starts and whenever a replica is promoted: a new one begins a new run.
local info = redis.call('INFO', 'replication')
local present = string.match(info, 'master_replid:(%w+)')
if not present or not string.find(info, 'role:master', 1, true) then
  return redis.error_reply('READONLY this server is no master')
end

local m = redis.call('HMGET', meta, 'format', 'history', 'revision', 'time', 'run', 'since', 'count')
if m[1] and m[1] ~= FORMAT then return { 'format', m[1] } end
if m[1] and history ~= '' and m[2] ~= history then return { 'lost', 'it holds another history' } end
if not m[1] and op ~= 'open' then return { 'lost', 'it is empty' } end
local count = tonumber(m[7] or 0)
if m[1] and (redis.call('ZCARD', index) ~= count or redis.call('HLEN', entries) ~= count) then
  if op ~= 'open' then return { 'lost', 'somebody else, or an eviction, has removed a part of it' } end
  m[1] = false
end

-- One look at the clock, and never back.
local clock = redis.call('TIME')
local now = math.max(clock[1] * 1000 + math.floor(clock[2] / 1000), floor, tonumber(m[4] or 0))

if not m[1] then
  -- Without all of its parts nothing of it is of use.
  redis.call('UNLINK', meta, entries, index)
  m, count = { FORMAT, ARGV[6], 0, now, present, 0 }, 0
  redis.call('HSET', meta, 'format', FORMAT, 'history', m[2], 'revision', 0, 'count', 0, 'time', now, 'run', present, 'since', 0)
  redis.call('HSET', meta, 'runs', present .. ' 0\n')
end
local revision, since = tonumber(m[3]), tonumber(m[6])

if m[5] ~= present then
  -- The numbers jump, past all that may have been given and lost. Not further: tokens are made of them and of the time, and must stay
  -- below those of a later history.
  local runs = redis.call('HGET', meta, 'runs') .. string.format('%s %.0f\n', present, revision)
  local _, known = string.gsub(runs, '\n', '')
  if known > RUNS then runs = string.sub(runs, string.find(runs, '\n', 1, true) + 1) end
  -- Later than the last one, also for who has heard of that.
  now = math.max(now, since + 1)
  revision, since = revision + JUMP, now
  redis.call('HSET', meta, 'revision', revision, 'time', now, 'run', present, 'since', since, 'runs', runs)
end
if run ~= '' and run ~= present then return { 'run', redis.call('HGET', meta, 'runs') } end
if revision < seen then return { 'lost', string.format('it is at revision %.0f', revision) } end

local function answer(status, more) return { status, revision, now, since, more } end

if op == 'get' then
  return answer('ok', redis.call('HGET', entries, ARGV[6]))
end

if op == 'list' then
  local prefix, found = ARGV[6], {}
  local keys, from = {}, '(' .. ARGV[7]
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', index, from, '+inf')) do
    if string.sub(key, 1, #prefix) == prefix then keys[#keys + 1] = key end
  end
  -- As many as fit on Lua's stack at once.
  for first = 1, #keys, 1000 do
    local last = math.min(first + 999, #keys)
    for at, entry in ipairs(redis.call('HMGET', entries, unpack(keys, first, last))) do
      found[#found + 1] = keys[first + at - 1]
      found[#found + 1] = entry
    end
  end
  return answer('ok', found)
end

if op == 'put' or op == 'delete' then
  local key, expected, heard = ARGV[6], ARGV[7], ARGV[9]
  -- What is to be written may rest on what was lost.
  if heard and tonumber(heard) < since then return { 'unheard' } end
  local there = redis.call('ZSCORE', index, key)
  -- No number is equal to the absence of one.
  local holds = expected == 'any' or (expected == 'absent' and not there) or (there and tonumber(there) == tonumber(expected))
  if not holds then
    return answer('conflict', there and redis.call('HGET', entries, key))
  end
  revision = revision + 1
  count = count + (op == 'put' and 1 or 0) - (there and 1 or 0)
  redis.call('HSET', meta, 'revision', revision, 'count', count, 'time', now)
  if op == 'put' then
    redis.call('ZADD', index, revision, key)
    redis.call('HSET', entries, key, struct.pack('>BI8I8', 1, revision, now) .. ARGV[8])
  else
    redis.call('ZREM', index, key)
    redis.call('HDEL', entries, key)
  end
  return answer('ok')
end

if op == 'open' then
  -- Changes nothing but the clock; whoever may not do one of these learns it now and not in the middle of a write.
  redis.call('HSET', meta, 'time', now)
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
