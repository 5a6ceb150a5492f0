-- The privilege to maintain tables.
-- from: 17
CREATE TABLE maintained (id int PRIMARY KEY);
CREATE MATERIALIZED VIEW kept AS SELECT * FROM maintained;
GRANT MAINTAIN ON maintained, kept TO {app};
REVOKE MAINTAIN ON kept FROM {role};
