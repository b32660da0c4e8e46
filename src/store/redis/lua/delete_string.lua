-- Deletes a string.
--
-- ARGV  6 judged   the bytes that were judged
-- Guarantees: only those bytes are deleted; another type is refused by GET.
local refusal = fence()
if refusal then return refusal end
if redis.call('GET', KEYS[1]) ~= ARGV[6] then return CHANGED end
redis.call('DEL', KEYS[1])
return APPLIED
