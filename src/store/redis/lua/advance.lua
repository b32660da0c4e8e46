-- Moves a group's cursor forward.
--
-- ARGV  6 group
--       7 from     where the cursor was judged to be
--       8 to       where it shall be
--       9 passed   how many entries lie in between, the last one included
-- Guarantees: only from the judged position, never back, never past the stream's last id.
local refusal = fence()
if refusal then return refusal end
local group, from, to = ARGV[6], ARGV[7], ARGV[8]
local own, _, gone = group_facts(group)
if gone then return gone end
if own['last-delivered-id'] ~= from or compare_ids(from, to) >= 0 then return CHANGED end
local stream, reply = stream_facts()
if not stream then return reply end
if compare_ids(to, stream['last-generated-id']) > 0 then return CHANGED end
local read = own['entries-read']
-- A server that does not know how many were read must not be told.
if read then
  local sum = string.format('%.0f', read + tonumber(ARGV[9]))
  redis.call('XGROUP', 'SETID', KEYS[1], group, to, 'ENTRIESREAD', sum)
else
  redis.call('XGROUP', 'SETID', KEYS[1], group, to)
end
return APPLIED
