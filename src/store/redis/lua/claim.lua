-- Hands a pending message to another consumer; how often it was delivered stays.
--
-- ARGV  6 group
--       7 id
--       8 …          owner, deliveries, idle, owner's idle (see not_held)
--      12 consumer   the new owner
-- Guarantees: CHANGED where it is that consumer's already. XCLAIM would drop a message whose entry is gone, so the
-- entry must be there.
local refusal = fence()
if refusal then return refusal end
local group, id = ARGV[6], ARGV[7]
local reply = not_held(group, id, 8)
if reply then return reply end
if ARGV[8] == ARGV[12] then return CHANGED end
if #redis.call('XRANGE', KEYS[1], id, id) == 0 then return CHANGED end
local claimed = redis.call('XCLAIM', KEYS[1], group, ARGV[12], '0', id, 'JUSTID')
return claimed[1] == id and APPLIED or CHANGED
