-- Identity columns of partitioned tables.
-- from: 17
CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY (START 100), k int) PARTITION BY LIST (k);
CREATE TABLE counted_1 PARTITION OF counted FOR VALUES IN (1);
CREATE TABLE counted_2 PARTITION OF counted FOR VALUES IN (2);
INSERT INTO counted (k) VALUES (1), (2), (1);
INSERT INTO counted_2 (k) VALUES (2);
-- then: INSERT INTO counted (k) VALUES (2) RETURNING id
-- then: INSERT INTO counted_1 (k) VALUES (1) RETURNING id
