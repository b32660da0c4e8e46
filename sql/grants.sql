-- What the auditor asks of MySQL or MariaDB. Replace the names, the host and the passwords.

-- scan, repair --dry-run, and sweeps on a replica: SELECT on the audited tables, nothing else.
CREATE USER 'auditor_scan'@'%' IDENTIFIED BY 'change me';
GRANT SELECT ON `auction`.* TO 'auditor_scan'@'%';

-- repair and run: the same, and share locks on the rows being repaired (SELECT … FOR SHARE NOWAIT). MySQL
-- asks for LOCK TABLES besides SELECT before 8.0.22, MariaDB and later versions of MySQL for SELECT alone.
-- The advisory lock that keeps two repairs apart (GET_LOCK) needs no privilege. Only a [[stream]] check with on_unpersisted or
-- on_skipped = "insert" ever writes: it needs INSERT on its table, and on nothing else.
CREATE USER 'auditor_repair'@'%' IDENTIFIED BY 'change me';
GRANT SELECT, LOCK TABLES ON `auction`.* TO 'auditor_repair'@'%';
-- Where a job says `insert`, on the table of that check:
-- GRANT INSERT ON `auction`.`bid` TO 'auditor_repair'@'%';

-- What the auditor asks of Redis. Keys (~*) can be narrowed to those that the job names, dead letters included.
-- scan, repair --dry-run:
--   ACL SETUSER auditor_scan on >change-me resetkeys %R~* -@all +@read +@connection +info +time +role
-- In a Cluster each of these users needs besides: +cluster|info +cluster|shards +cluster|slots +cluster|nodes
-- repair of streams: scripts, WAIT, and the steps of a settlement (group cursors by XGROUP SETID, a lost group by
-- XGROUP CREATE, moves by XADD and XDEL, ids by XSETID). Nothing trims, and nothing destroys a group or a consumer.
--   ACL SETUSER auditor_repair on >change-me resetkeys ~* -@all +@read +@connection +info +time +role +eval +evalsha +script|load +wait +xack +xadd +xdel +xclaim +xgroup|create +xgroup|setid +xsetid
-- repair of caches: the same with +set +del +hset +hdel +hincrby +incrby +zadd +zrem +sadd +srem +persist +pexpire
-- +pexpireat, and on servers that know field expiries +hsetex.
-- checkpoint: nothing but the keys of [checkpoint] prefix, by default auditor:<job name>; no MySQL user at all.
--   ACL SETUSER auditor_checkpoint on >change-me resetkeys ~auditor:* -@all +@connection +info +time +role +eval +evalsha +get +set +xadd +xrevrange
