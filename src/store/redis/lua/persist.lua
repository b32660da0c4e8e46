-- Takes a key's expiry off.
--
-- Guarantees: CHANGED where there is no key, or none with an expiry.
local refusal = fence()
if refusal then return refusal end
return redis.call('PERSIST', KEYS[1]) == 1 and APPLIED or CHANGED
