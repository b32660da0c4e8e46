-- Creates a string that is absent.
--
-- ARGV  6 new    the bytes to store
--       7 ttl    milliseconds, or '' for no expiry
-- Guarantees: NX leaves whatever is there alone, of any type; value and expiry are one command.
local refusal = fence()
if refusal then return refusal end
local set
if ARGV[7] == '' then
  set = redis.call('SET', KEYS[1], ARGV[6], 'NX')
else
  set = redis.call('SET', KEYS[1], ARGV[6], 'NX', 'PX', ARGV[7])
end
return set and APPLIED or CHANGED
