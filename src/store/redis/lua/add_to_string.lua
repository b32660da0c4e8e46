-- Adds to an integer string, keeping its expiry.
--
-- ARGV  6 judged   the text that was judged
--       7 gap      a decimal 64-bit integer, never a Lua number (those end at 2^53)
-- Guarantees: the sum is exact; an overflow is the server's error and changes nothing.
local refusal = fence()
if refusal then return refusal end
if redis.call('GET', KEYS[1]) ~= ARGV[6] then return CHANGED end
redis.call('INCRBY', KEYS[1], ARGV[7])
return APPLIED
