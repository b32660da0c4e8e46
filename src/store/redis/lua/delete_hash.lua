-- Deletes a hash.
--
-- ARGV  6 judged   how many fields were judged; as many triples follow (see is_hash_as_judged)
-- Guarantees: every field that goes was judged: one that was added since makes it CHANGED. So is a key
-- that is gone already, also where every judged field was absent.
local refusal = fence()
if refusal then return refusal end
local count = tonumber(ARGV[6])
if not is_hash_as_judged(7, count) then return CHANGED end
local present = 0
for at = 7, 7 + (count - 1) * 3, 3 do
  if ARGV[at + 1] == '1' then present = present + 1 end
end
if redis.call('HLEN', KEYS[1]) ~= present then return CHANGED end
return redis.call('DEL', KEYS[1]) == 1 and APPLIED or CHANGED
