-- Moves an entry to the end of its stream, so that the group gets it anew.
--
-- ARGV  6 group
--       7 id
--       8 delivery   'pending', 'settled' (at or below the cursor, not pending) or 'undelivered' (above it)
--       9 …          owner, deliveries, idle, owner's idle (see not_held); '' where not pending
--      13 …          field and value in turn, as judged
-- Guarantees: it is there once, before and after. Refused where another group would get it twice. The
-- user's right to the later steps is asked before the first, and nothing else can refuse them.
local refusal = fence()
if refusal then return refusal end
local group, id, delivery = ARGV[6], ARGV[7], ARGV[8]
local own, others, gone = group_facts(group)
if gone then return gone end
if others > 0 then
  return redis.error_reply('REFUSED the stream has another group, which would get the entry twice')
end
if delivery == 'pending' then
  local reply = not_held(group, id, 9)
  if reply then return reply end
else
  if #redis.call('XPENDING', KEYS[1], group, id, id, 1) > 0 then return CHANGED end
  local is_delivered = compare_ids(id, own['last-delivered-id']) <= 0
  if is_delivered ~= (delivery == 'settled') then return CHANGED end
end
local reply = not_as_judged(id, 13)
  or is_denied('XDEL', KEYS[1], id)
  or (delivery == 'pending' and is_denied('XACK', KEYS[1], group, id))
if reply then return reply end
add_marked(KEYS[1], 13, 'requeued_from', id)
redis.call('XDEL', KEYS[1], id)
if delivery == 'pending' then redis.call('XACK', KEYS[1], group, id) end
return APPLIED
