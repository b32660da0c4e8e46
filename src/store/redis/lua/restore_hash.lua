-- Puts a whole hash back that was deleted.
--
-- ARGV  6 expiry   milliseconds since the epoch, or 'never'
--       7 …        field and value in turn
-- Guarantees: nothing that is there is touched; a hash whose expiry has passed is CHANGED. Two
-- commands: the user's right to the second is checked before the first, and nothing else can refuse it.
local refusal = fence()
if refusal then return refusal end
if redis.call('EXISTS', KEYS[1]) == 1 then return CHANGED end
if ARGV[6] ~= 'never' then
  if not is_to_come(ARGV[6]) then return CHANGED end
  local denied = is_denied('PEXPIREAT', KEYS[1], ARGV[6])
  if denied then return denied end
end
for first = 7, #ARGV, PART do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + PART - 1, #ARGV)))
end
if ARGV[6] ~= 'never' then
  redis.call('PEXPIREAT', KEYS[1], ARGV[6])
end
return APPLIED
