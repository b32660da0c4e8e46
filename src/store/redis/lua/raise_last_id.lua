-- Lifts a stream's last id, so that none of the ids below is given again.
--
-- ARGV  6 to     the id
--       7 skew   how many milliseconds it may lie after this server's TIME
-- Guarantees: CHANGED where the last id is not below it; refused where it lies in the future, because
-- no entry could be added before that time but with higher and higher sequence numbers.
local refusal = fence()
if refusal then return refusal end
local to = ARGV[6]
local now = redis.call('TIME')
local limit = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + tonumber(ARGV[7])
if compare_digits(to:match('^%d+'), string.format('%.0f', limit)) > 0 then
  return redis.error_reply('REFUSED the id lies in the future of the server\'s clock')
end
local stream, reply = stream_facts()
if not stream then return reply end
if compare_ids(stream['last-generated-id'], to) >= 0 then return CHANGED end
redis.call('XSETID', KEYS[1], to)
return APPLIED
