-- Values that refer to objects from inside composites, domains and ranges' neighbours.
CREATE TABLE target (id int);
CREATE TYPE pointer AS (class regclass, note text);
CREATE DOMAIN a_class AS regclass CHECK (VALUE IS NOT NULL);
CREATE TABLE holders (id int PRIMARY KEY, p pointer, ps pointer[], d a_class, ds a_class[]);
INSERT INTO holders VALUES (1, ROW('target', 'x'), ARRAY[ROW('target', 'a'), ROW('holders', 'b')]::pointer[], 'target', '{target,holders}');
INSERT INTO holders VALUES (2, NULL, '{}', 'pg_class', NULL);
-- then: SELECT id, (p).class = 'target'::regclass, d = 'target'::regclass FROM holders ORDER BY id
CREATE DOMAIN a_role AS regrole;
CREATE DOMAIN a_text AS text;
CREATE TABLE role_holders (id int PRIMARY KEY, r a_role, t a_text);
INSERT INTO role_holders VALUES (1, '{role}', 'a'), (2, 0, NULL);
