-- Adds a member to a set, or removes it.
--
-- ARGV  6 member
--       7 '1' to add, '0' to remove
-- Guarantees: CHANGED where it already is so, because then somebody else did it.
local refusal = fence()
if refusal then return refusal end
local count
if ARGV[7] == '1' then
  count = redis.call('SADD', KEYS[1], ARGV[6])
else
  count = redis.call('SREM', KEYS[1], ARGV[6])
end
return count == 1 and APPLIED or CHANGED
