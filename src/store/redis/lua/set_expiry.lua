-- Gives a key an expiry that has none.
--
-- ARGV  6 ttl      milliseconds
--       7 judged   '1' if the key is a string that must still be as judged, else '0'
--       8 value    the bytes that were judged, if so
-- Guarantees: an expiry somebody else set stays. PTTL says -1 for a key without one, -2 for no key.
local refusal = fence()
if refusal then return refusal end
if redis.call('PTTL', KEYS[1]) ~= -1 then return CHANGED end
if ARGV[7] == '1' and redis.call('GET', KEYS[1]) ~= ARGV[8] then return CHANGED end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return APPLIED
