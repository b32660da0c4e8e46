-- Puts a string back as it was before it was repaired.
--
-- ARGV  6 judged   '1' if the repair left a string there, else '0' (it left nothing)
--       7 value    the bytes the repair left, if so
--       8 old      '1' if there was a string before, else '0' (then the key is deleted)
--       9 value    those bytes, if so
--      10 expiry   milliseconds since the epoch, 'never', or 'keep' for whatever it has now
-- Guarantees: an old value whose expiry has passed is CHANGED: it would be gone by now. Value and
-- expiry are one command.
local refusal = fence()
if refusal then return refusal end
if ARGV[6] == '1' then
  if redis.call('GET', KEYS[1]) ~= ARGV[7] then return CHANGED end
elseif redis.call('EXISTS', KEYS[1]) == 1 then
  return CHANGED
end
if ARGV[8] ~= '1' then
  return redis.call('DEL', KEYS[1]) == 1 and APPLIED or CHANGED
end
if ARGV[10] == 'keep' then
  redis.call('SET', KEYS[1], ARGV[9], 'KEEPTTL')
elseif ARGV[10] == 'never' then
  redis.call('SET', KEYS[1], ARGV[9])
elseif is_to_come(ARGV[10]) then
  redis.call('SET', KEYS[1], ARGV[9], 'PXAT', ARGV[10])
else
  return CHANGED
end
return APPLIED
