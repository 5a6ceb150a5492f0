-- Multiple inheritance: merged columns and constraints, tables attached later.
CREATE TABLE named (name text NOT NULL, note text DEFAULT 'n');
CREATE TABLE aged (age int CONSTRAINT grown CHECK (age > 0), note text DEFAULT 'a');
CREATE TABLE both_of_them (note text DEFAULT 'own', extra int) INHERITS (named, aged);
CREATE TABLE attached_later (age int, note text, name text NOT NULL, extra int, CONSTRAINT grown CHECK (age > 0));
ALTER TABLE attached_later INHERIT aged;
ALTER TABLE attached_later INHERIT named;
CREATE TABLE tagged (tag text);
CREATE TABLE grandchild (deep int) INHERITS (both_of_them, tagged);
ALTER TABLE named RENAME COLUMN name TO full_name;
INSERT INTO named VALUES ('n');
INSERT INTO aged VALUES (1, 'a');
INSERT INTO both_of_them (full_name, age, extra) VALUES ('b', 2, 3);
INSERT INTO attached_later VALUES (8, 'x', 'y', 9);
INSERT INTO grandchild (full_name, age, tag, deep) VALUES ('g', 5, 't', 6);
-- then: INSERT INTO grandchild (full_name, age) VALUES ('h', 0)
-- then: INSERT INTO grandchild (full_name, age) VALUES ('h', 1) RETURNING note
-- then: SELECT full_name FROM named ORDER BY full_name
