-- Columns that refer to what a copy makes last: indexes, keys, views over them.
CREATE TABLE targets (id int PRIMARY KEY, n int);
CREATE INDEX by_n ON targets (n);
CREATE VIEW sums AS SELECT id, n FROM targets GROUP BY id;
CREATE TABLE a_refs (id int PRIMARY KEY, class regclass, classes regclass[], row_type regtype);
INSERT INTO a_refs VALUES (1, 'by_n', '{targets_pkey,a_refs_pkey}', 'sums'), (2, 'sums', '{}', 'sums[]');
-- then: SELECT id, class = 'by_n'::regclass, class = 'sums'::regclass, row_type = 'sums'::regtype FROM a_refs ORDER BY id
