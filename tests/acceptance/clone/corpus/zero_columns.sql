-- Tables and types without columns, with rows all the same.
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE emptied (a int, b text);
INSERT INTO emptied VALUES (1, 'x'), (2, 'y');
ALTER TABLE emptied DROP COLUMN a, DROP COLUMN b;
CREATE TABLE no_rows ();
CREATE TABLE heir () INHERITS (nothing);
INSERT INTO heir DEFAULT VALUES;
CREATE VIEW counted AS SELECT count(*) AS n FROM nothing;
-- then: INSERT INTO emptied DEFAULT VALUES
-- then: SELECT n FROM counted
