-- Takes a key's expiry off.
--
-- ARGV  6 not before   milliseconds since the epoch
--       7 not after    milliseconds since the epoch
-- Guarantees: CHANGED where there is no key, none with an expiry, or one with another expiry than the
-- one that was set. PTTL and TIME instead of PEXPIRETIME, which servers before 7.0 do not have.
local refusal = fence()
if refusal then return refusal end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then return CHANGED end
local now = redis.call('TIME')
local expires = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + left
if expires < tonumber(ARGV[6]) or expires > tonumber(ARGV[7]) then return CHANGED end
redis.call('PERSIST', KEYS[1])
return APPLIED
