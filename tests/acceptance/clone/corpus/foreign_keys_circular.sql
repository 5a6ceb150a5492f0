-- Foreign keys to the table itself and in a circle, with rows that need each other.
CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE, name text);
CREATE TABLE departments (id int PRIMARY KEY, head int NOT NULL);
CREATE TABLE employees (id int PRIMARY KEY, department int NOT NULL REFERENCES departments, boss int REFERENCES employees);
ALTER TABLE departments ADD CONSTRAINT has_head FOREIGN KEY (head) REFERENCES employees DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE ring_a (id int PRIMARY KEY, b int);
CREATE TABLE ring_b (id int PRIMARY KEY, c int);
CREATE TABLE ring_c (id int PRIMARY KEY, a int REFERENCES ring_a);
ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b;
ALTER TABLE ring_b ADD FOREIGN KEY (c) REFERENCES ring_c;
INSERT INTO tree VALUES (1, 1, 'its own parent'), (3, NULL, 'root'), (2, 3, 'child'), (4, 2, 'grandchild');
INSERT INTO departments VALUES (1, 10), (2, 20);
INSERT INTO employees VALUES (20, 2, NULL), (10, 1, 20);
INSERT INTO ring_a VALUES (1, NULL);
INSERT INTO ring_c VALUES (1, 1);
INSERT INTO ring_b VALUES (1, 1);
UPDATE ring_a SET b = 1;
-- then: INSERT INTO tree VALUES (5, 99, 'orphan')
-- then: INSERT INTO departments VALUES (3, 99)
-- then: DELETE FROM tree WHERE id = 3
-- then: SELECT id FROM tree ORDER BY id
-- then: UPDATE ring_b SET c = 2
