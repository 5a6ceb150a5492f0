-- Views over tables whose columns were renamed, added, retyped and dropped afterwards.
CREATE TABLE first_table (id int, name text, extra int);
CREATE TABLE second_table (id int, name text, more int);
CREATE VIEW joined AS SELECT * FROM first_table JOIN second_table USING (id, name);
CREATE VIEW natural_one AS SELECT * FROM first_table NATURAL JOIN second_table;
CREATE VIEW starred AS SELECT f.* FROM first_table f;
ALTER TABLE first_table RENAME COLUMN name TO "Full Name";
ALTER TABLE second_table RENAME COLUMN id TO number;
ALTER TABLE first_table ADD COLUMN added int DEFAULT 3;
ALTER TABLE second_table ADD COLUMN extra int;
ALTER TABLE first_table RENAME TO "First";
CREATE FUNCTION pairs() RETURNS TABLE (a int, b int) LANGUAGE sql BEGIN ATOMIC SELECT 1, 2; END;
CREATE VIEW of_function AS SELECT * FROM pairs() WITH ORDINALITY AS p (x, y, z);
ALTER VIEW starred RENAME COLUMN extra TO surplus;
INSERT INTO "First" VALUES (1, 'a', 2), (2, 'b', 3);
INSERT INTO second_table VALUES (1, 'a', 9, 8);
