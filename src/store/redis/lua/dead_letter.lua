-- Puts a pending entry into the stream of dead letters, and acknowledges it.
--
-- KEYS  1 the stream
--       2 where dead letters lie
-- ARGV  6 group
--       7 id
--       8 …   owner, deliveries, idle, owner's idle (see not_held)
--      12 …   field and value in turn, as judged
-- Guarantees: once, because what is not pending any more is CHANGED. The right to acknowledge is asked
-- before the letter is written.
local refusal = fence()
if refusal then return refusal end
local group, id = ARGV[6], ARGV[7]
local reply = not_held(group, id, 8)
  or not_as_judged(id, 12)
  or is_denied('XACK', KEYS[1], group, id)
if reply then return reply end
add_marked(KEYS[2], 12, 'original_stream', KEYS[1], 'original_id', id)
redis.call('XACK', KEYS[1], group, id)
return APPLIED
