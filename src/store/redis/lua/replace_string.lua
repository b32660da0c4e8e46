-- Replaces a string, keeping its expiry.
--
-- ARGV  6 judged   the bytes that were judged
--       7 new      the bytes to store
-- Guarantees: a missing key is not created, and another type is not overwritten (GET refuses it,
-- where SET alone would not).
local refusal = fence()
if refusal then return refusal end
if redis.call('GET', KEYS[1]) ~= ARGV[6] then return CHANGED end
redis.call('SET', KEYS[1], ARGV[7], 'KEEPTTL')
return APPLIED
