-- Acknowledges a pending message.
--
-- ARGV  6 group
--       7 id
--       8 …         owner, deliveries, idle, owner's idle (see not_held)
--      12 trimmed   '1' if the entry must be gone, else '0'
-- Guarantees: nobody else's message, and none that was delivered since, leaves the list.
local refusal = fence()
if refusal then return refusal end
local group, id = ARGV[6], ARGV[7]
local reply = not_held(group, id, 8)
if reply then return reply end
if ARGV[12] == '1' and #redis.call('XRANGE', KEYS[1], id, id) > 0 then return CHANGED end
return redis.call('XACK', KEYS[1], group, id) == 1 and APPLIED or CHANGED
