-- One beat, and the only script without the fence: it needs no history to be pinned, it finds out which one it is.
--
-- KEYS  1 the heartbeat
--       2 the evidence, a stream
-- ARGV  1 how many entries the evidence keeps
--       2 …  replication ids of other masters: what they wrote came here with a slot that moved, and is no evidence
-- Returns
--       {what, found, run id, replication id, offset, second replication id, second offset, uptime, micros}
--            what    NONE     there was no heartbeat
--                    SAME     it was of this process and this history
--                    OTHER    it was of another one; it lies in the evidence now
--                    UNKNOWN  it was no heartbeat of a known form; its bytes lie in the evidence now
--                    FOREIGN  another master's, by ARGV
--            found   the heartbeat as it was, '' for none
--       'FENCED …'    no master; nothing was written
--       an error      nothing was written, because what may fail comes before what writes
--
-- Reading the old beat, keeping it and writing the new one are one atomic step, so the first beat after a failover cannot
-- destroy its own evidence; and a second one, because the answer to the first was lost, finds SAME and changes nothing
-- but the time. Offsets and microseconds are 64-bit numbers that a Lua number does not hold: they stay text.

-- Whoever wrote more under our key than any heartbeat has must not fill the evidence with it.
local FOUND_MAX = 1024

local function field(info, name)
  return info:match('\n' .. name .. ':([^\r\n]*)') or ''
end

-- Run id and replication id of a heartbeat, whatever a later version says behind it; nil for anything else.
local function history_of(text)
  local run_id, replication_id, rest = text:match('^auditor%-heartbeat 1 %-?%d+ (%x+) (%x+) %-?%d+(.?)')
  if rest == '' or rest == ' ' then return run_id, replication_id end
  return nil
end

local server, replication = redis.call('INFO', 'server'), redis.call('INFO', 'replication')
if field(replication, 'role') ~= 'master' then
  return 'FENCED this node is no master'
end
local run_id, replication_id = field(server, 'run_id'), field(replication, 'master_replid')
local second_id, second_offset = field(replication, 'master_replid2'), field(replication, 'second_repl_offset')
local offset, uptime = field(replication, 'master_repl_offset'), field(server, 'uptime_in_seconds')
if run_id == '' or replication_id == '' or offset == '' then
  return redis.error_reply('REFUSED this server does not say run_id, master_replid and master_repl_offset')
end
local now = redis.call('TIME')
local micros = now[1] .. string.format('%06d', tonumber(now[2]))

local found, what = redis.call('GET', KEYS[1]), nil
if not found then
  found, what = '', 'NONE'
else
  local found_run, found_replication = history_of(found)
  if not found_run then
    what = 'UNKNOWN'
  elseif found_run == run_id and found_replication == replication_id then
    what = 'SAME'
  else
    what = 'OTHER'
    for at = 2, #ARGV do
      if ARGV[at] == found_replication then what = 'FOREIGN' end
    end
  end
  found = found:sub(1, FOUND_MAX)
end

local beat = 'auditor-heartbeat 1 ' .. micros .. ' ' .. run_id .. ' ' .. replication_id .. ' ' .. offset
if what == 'OTHER' or what == 'UNKNOWN' then
  -- Asked before the first of two writes, so that the second cannot be what fails. Servers before 7.0 cannot be asked.
  if redis.acl_check_cmd and not redis.acl_check_cmd('SET', KEYS[1], beat) then
    return redis.error_reply('NOPERM this user may not run set on the heartbeat')
  end
  redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[1], '*', 'found', found, 'run_id', run_id, 'replication_id', replication_id,
    'offset', offset, 'replication_id2', second_id, 'second_offset', second_offset, 'uptime_seconds', uptime, 'micros', micros)
end
redis.call('SET', KEYS[1], beat)
return {what, found, run_id, replication_id, offset, second_id, second_offset, uptime, micros}
