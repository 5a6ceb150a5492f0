-- Tables of a composite type, with own defaults, keys and constraints, and altered with it.
CREATE TYPE person AS (id int, name text, born date);
CREATE TABLE people OF person;
CREATE TABLE strict_people OF person (PRIMARY KEY (id), name WITH OPTIONS NOT NULL DEFAULT 'nobody', CHECK (born > '1900-01-01'));
ALTER TYPE person ADD ATTRIBUTE height numeric CASCADE;
ALTER TYPE person DROP ATTRIBUTE born CASCADE;
CREATE TABLE made_typed (id int, name text, height numeric);
ALTER TABLE made_typed OF person;
CREATE TABLE no_more_typed OF person;
ALTER TABLE no_more_typed NOT OF;
INSERT INTO people VALUES (1, 'Ann', 1.7);
INSERT INTO strict_people (id) VALUES (2);
INSERT INTO made_typed VALUES (3, 'Cid', NULL);
-- then: INSERT INTO strict_people (id) VALUES (4) RETURNING name
-- then: ALTER TYPE person ADD ATTRIBUTE extra int CASCADE
-- then: SELECT extra FROM made_typed
