-- Creates a group that was lost.
--
-- ARGV  6 group
--       7 at       entries after this id will be delivered
--       8 stream   '1' if the stream is missing, too, and is made; else '0'
-- Guarantees: CHANGED where there is a group of that name, or the stream came or went since; an id that
-- the stream never gave would pass over entries to come.
local refusal = fence()
if refusal then return refusal end
local group, at = ARGV[6], ARGV[7]
local stream, reply = stream_facts()
if ARGV[8] == '1' then
  if stream then return CHANGED end
  if reply ~= CHANGED then return reply end
  redis.call('XGROUP', 'CREATE', KEYS[1], group, at, 'MKSTREAM')
  return APPLIED
end
if not stream then return reply end
local own, _, none = group_facts(group)
if own then return CHANGED end
if none ~= CHANGED then return none end
if compare_ids(at, stream['last-generated-id']) > 0 then return CHANGED end
redis.call('XGROUP', 'CREATE', KEYS[1], group, at)
return APPLIED
