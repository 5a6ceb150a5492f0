-- Tables whose own columns come before those of the parent that they were attached to.
CREATE TABLE parents (a int, b int CHECK (b > 0));
CREATE TABLE others (c text DEFAULT 'c');
CREATE TABLE attached (own int, b int CHECK (b > 0), a int);
ALTER TABLE attached DROP CONSTRAINT attached_b_check, ADD CONSTRAINT parents_b_check CHECK (b > 0);
ALTER TABLE attached INHERIT parents;
CREATE TABLE attached_twice (c text DEFAULT 'own', b int CONSTRAINT parents_b_check CHECK (b > 0), own int DEFAULT 7, a int);
ALTER TABLE attached_twice INHERIT parents;
ALTER TABLE attached_twice INHERIT others;
INSERT INTO attached VALUES (1, 2, 3);
INSERT INTO attached_twice VALUES ('x', 1, 2, 3);
-- then: INSERT INTO attached VALUES (5, 6, 7) RETURNING own, b, a
-- then: SELECT * FROM attached_twice
-- then: INSERT INTO attached_twice (b) VALUES (8) RETURNING c, own
