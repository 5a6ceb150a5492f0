-- Range partitions: several columns, unbounded, expressions, collation, defaults, nested ones.
CREATE TABLE logs (at timestamptz NOT NULL, level int, line text) PARTITION BY RANGE (at, level);
CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2024-01-01 00:00+00', MINVALUE);
CREATE TABLE logs_2024 PARTITION OF logs FOR VALUES FROM ('2024-01-01 00:00+00', MINVALUE) TO ('2025-01-01 00:00+00', 5) PARTITION BY LIST (level);
CREATE TABLE logs_2024_low PARTITION OF logs_2024 FOR VALUES IN (1, 2, NULL);
CREATE TABLE logs_2024_rest PARTITION OF logs_2024 DEFAULT PARTITION BY RANGE (line COLLATE "C");
CREATE TABLE logs_2024_a_to_m PARTITION OF logs_2024_rest FOR VALUES FROM (MINVALUE) TO ('m');
CREATE TABLE logs_2024_m_to_z PARTITION OF logs_2024_rest FOR VALUES FROM ('m') TO (MAXVALUE);
CREATE TABLE logs_default PARTITION OF logs DEFAULT;
CREATE INDEX by_line ON logs (line);
CREATE UNIQUE INDEX unique_in_leaf ON logs_2024_low (line);
CREATE TABLE by_expression (id int, d date) PARTITION BY RANGE ((extract(year FROM d)), (id % 10));
CREATE TABLE by_expression_1 PARTITION OF by_expression FOR VALUES FROM (2000, 0) TO (2100, 10);
CREATE TABLE without_leaves (id int) PARTITION BY RANGE (id);
CREATE TABLE empty_branch PARTITION OF logs FOR VALUES FROM ('2030-01-01 00:00+00', 0) TO ('2031-01-01 00:00+00', 0) PARTITION BY RANGE (level);
INSERT INTO logs VALUES ('2020-01-01 00:00+00', 1, 'old'), ('2024-05-05 00:00+00', 1, 'low'), ('2024-05-05 00:00+00', 9, 'abc'),
    ('2024-05-05 00:00+00', 9, 'xyz'), ('2027-01-01 00:00+00', 0, 'default');
INSERT INTO by_expression VALUES (3, '2024-01-01');
-- then: INSERT INTO logs VALUES ('2024-06-06 00:00+00', 7, 'next') RETURNING tableoid::regclass::text
-- then: INSERT INTO logs VALUES ('2024-06-06 00:00+00', 1, 'low') RETURNING tableoid::regclass::text
-- then: INSERT INTO without_leaves VALUES (1)
-- then: INSERT INTO by_expression VALUES (1, '1999-01-01')
