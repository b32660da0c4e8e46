-- Removes a member from a sorted set.
--
-- ARGV  6 member
--       7 judged   its score, as ZSCORE prints it
-- Guarantees: a member that was given another score since stays.
local refusal = fence()
if refusal then return refusal end
if redis.call('ZSCORE', KEYS[1], ARGV[6]) ~= ARGV[7] then return CHANGED end
redis.call('ZREM', KEYS[1], ARGV[6])
return APPLIED
