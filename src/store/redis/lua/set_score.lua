-- Gives a member of a sorted set a score.
--
-- ARGV  6 member
--       7 judged   '1' if the member was there, else '0'
--       8 score    as ZSCORE prints it, if it was
--       9 new      the score to store, as text
-- Guarantees: scores are compared as the text this server prints, which is exact both ways.
local refusal = fence()
if refusal then return refusal end
local score = redis.call('ZSCORE', KEYS[1], ARGV[6])
if ARGV[7] == '1' then
  if score ~= ARGV[8] then return CHANGED end
elseif score then
  return CHANGED
end
redis.call('ZADD', KEYS[1], ARGV[9], ARGV[6])
return APPLIED
