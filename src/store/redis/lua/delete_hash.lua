-- Deletes a hash.
--
-- ARGV  6 judged   how many fields were judged; as many triples follow (see is_hash_as_judged)
-- Guarantees: a key that is gone already is CHANGED, also where every judged field was absent.
local refusal = fence()
if refusal then return refusal end
if not is_hash_as_judged(7, tonumber(ARGV[6])) then return CHANGED end
return redis.call('DEL', KEYS[1]) == 1 and APPLIED or CHANGED
