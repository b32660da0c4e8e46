-- Whether an entry is still delivered as it was judged. Writes nothing: asked on the writer's own connection, right
-- before rows go into the source, because an isolated master would still say that its messages are orphans.
--
-- ARGV  6 group
--       7 id
--       8 delivery   'pending', 'settled' (at or below the cursor, not pending) or 'undelivered' (above it)
--       9 …          owner, deliveries, idle, owner's idle (see not_held); '' where not pending
-- Guarantees: APPLIED says that it is, and nothing was written.
local refusal = fence()
if refusal then return refusal end
local group, id, delivery = ARGV[6], ARGV[7], ARGV[8]
if delivery == 'pending' then return not_held(group, id, 9) or APPLIED end
local own, _, gone = group_facts(group)
if gone then return gone end
if #redis.call('XPENDING', KEYS[1], group, id, id, 1) > 0 then return CHANGED end
local is_delivered = compare_ids(id, own['last-delivered-id']) <= 0
return is_delivered == (delivery == 'settled') and APPLIED or CHANGED
