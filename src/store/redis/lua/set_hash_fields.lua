-- Sets and removes fields of a hash, keeping the key's expiry and, where the server has them, the
-- fields' own.
--
-- ARGV  6 judged   how many fields were judged; as many triples follow (see is_hash_as_judged)
--       …          then triples of what to write: field, '1' and the value, or '0' and '' to remove
-- Guarantees: all of it or nothing. Setting comes before removing, so that a hash that would be
-- empty in between does not vanish together with its expiry.
local refusal = fence()
if refusal then return refusal end
local judged = tonumber(ARGV[6])
if not is_hash_as_judged(7, judged) then return CHANGED end
local set, removed = {}, {}
for at = 7 + judged * 3, #ARGV, 3 do
  if ARGV[at + 1] == '1' then
    set[#set + 1] = ARGV[at]
    set[#set + 1] = ARGV[at + 2]
  else
    removed[#removed + 1] = ARGV[at]
  end
end
local denied = #removed > 0 and is_denied('HDEL', KEYS[1], removed[1])
if denied then return denied end
-- HSET clears a field's expiry. Who has HSETEX has field expiries, and is asked to keep them;
-- acl_check_cmd raises an error for a command the server does not know.
local known, allowed = false, false
if #set > 0 and redis.acl_check_cmd then
  known, allowed = pcall(
    redis.acl_check_cmd, 'HSETEX', KEYS[1], 'KEEPTTL', 'FIELDS', '1', set[1], set[2])
end
if known and not allowed then
  return redis.error_reply('NOPERM this user may not run HSETEX, which keeps the fields\' expiries')
end
for first = 1, #set, PART do
  local last = math.min(first + PART - 1, #set)
  if known then
    local pairs_of_part = tostring((last - first + 1) / 2)
    redis.call('HSETEX', KEYS[1], 'KEEPTTL', 'FIELDS', pairs_of_part, unpack(set, first, last))
  else
    redis.call('HSET', KEYS[1], unpack(set, first, last))
  end
end
for first = 1, #removed, PART do
  redis.call('HDEL', KEYS[1], unpack(removed, first, math.min(first + PART - 1, #removed)))
end
return APPLIED
