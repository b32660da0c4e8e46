-- Replaces the copy of the state by a newer one.
--
-- KEYS  1 the copy
-- ARGV  1 the copy as it was read, '' for none
--       2 the new one
-- Returns
--       1   written
--       0   somebody wrote it meanwhile; nothing was written
--      'FENCED …'    no master; nothing was written

if not redis.call('INFO', 'replication'):find('role:master', 1, true) then
  return 'FENCED this node is no master'
end
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
