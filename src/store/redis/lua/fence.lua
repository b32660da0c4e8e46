-- Stands before every script of this folder, as one chunk with it.
--
-- KEYS  1 the key that is written
--       2 only for a dead letter: the stream that takes it
-- ARGV  1 replication id   the history that was judged
--       2 replicas         how many must be online and fresh
--       3 lag              in whole seconds, at most, to count as fresh
--       4 deadline         seconds since the epoch, by this server's TIME
--       5 deadline         microseconds within that second
--       6 …                each script's own
-- Returns
--       1   APPLIED  written
--       0   CHANGED  what was judged is no longer there; nothing was written
--      -1   LATE     past the deadline; nothing was written
--      'FENCED …'    another master, history, or too few replicas; nothing was written
--      an error      nothing was written, because what may fail comes before what writes
--
-- The checks and the write are one atomic step, so no write of the application can come between. The
-- replication id changes with every promotion, but an isolated old master keeps its own: only
-- the replicas' lag tells that one. Values are strings from end to end; the only numbers made
-- here are counts, seconds and the clock, all far below 2^53.

local APPLIED, CHANGED, LATE = 1, 0, -1

-- Lua's stack holds some thousand arguments; larger calls are cut.
local PART = 1000

local function fence()
  local info = redis.call('INFO', 'replication')
  if not info:find('role:master', 1, true) then
    return 'FENCED this node is no master'
  end
  if not info:find('master_replid:' .. ARGV[1], 1, true) then
    return 'FENCED the replication id is another one'
  end
  local wanted, fresh = tonumber(ARGV[2]), 0
  if wanted > 0 then
    for line in info:gmatch('slave%d+:([^\r\n]*)') do
      local lag = tonumber(line:match('lag=(%d+)'))
      if line:find('state=online', 1, true) and lag and lag <= tonumber(ARGV[3]) then
        fresh = fresh + 1
      end
    end
    if fresh < wanted then
      return 'FENCED ' .. fresh .. ' of ' .. wanted .. ' replicas are online and fresh'
    end
  end
  local now, deadline = redis.call('TIME'), tonumber(ARGV[4])
  local seconds, micros = tonumber(now[1]), tonumber(now[2])
  if seconds > deadline or (seconds == deadline and micros > tonumber(ARGV[5])) then
    return LATE
  end
  return nil
end

-- Whether an absolute expiry in milliseconds lies in the future of this server.
local function is_to_come(millis)
  local now = redis.call('TIME')
  return tonumber(millis) > tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000
end

-- Reads `count` triples of ARGV from `first` on: field, '1' or '0', value. Whether every field of the
-- hash is as they say: that very value, or absent. A missing key has no fields.
local function is_hash_as_judged(first, count)
  for at = first, first + (count - 1) * 3, 3 do
    local value = redis.call('HGET', KEYS[1], ARGV[at])
    if ARGV[at + 1] == '1' then
      if value ~= ARGV[at + 2] then return false end
    elseif value then
      return false
    end
  end
  return true
end

-- An error that says NOPERM, if this user may not run the command. Asked before the first of two
-- writes, so that the second cannot be what fails. Servers before 7.0 cannot be asked.
local function is_denied(...)
  if redis.acl_check_cmd and not redis.acl_check_cmd(...) then
    return redis.error_reply('NOPERM this user may not run ' .. (...))
  end
  return nil
end
