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
-- Where a job says `insert`:
-- GRANT INSERT ON `auction`.`bid` TO 'auditor_repair'@'%';
