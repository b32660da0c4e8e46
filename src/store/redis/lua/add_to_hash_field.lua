-- Adds to an integer field of a hash. HINCRBY keeps the field's own expiry.
--
-- ARGV  6 field
--       7 judged   the text that was judged
--       8 gap      a decimal 64-bit integer, never a Lua number (those end at 2^53)
-- Guarantees: the sum is exact; an overflow is the server's error and changes nothing.
local refusal = fence()
if refusal then return refusal end
if redis.call('HGET', KEYS[1], ARGV[6]) ~= ARGV[7] then return CHANGED end
redis.call('HINCRBY', KEYS[1], ARGV[6], ARGV[8])
return APPLIED
