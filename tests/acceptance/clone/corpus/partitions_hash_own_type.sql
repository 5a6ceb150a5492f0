-- Hash partitions over an enum, whose hash depends on OIDs: rows change their partition in a copy.
CREATE TYPE animal AS ENUM ('cat', 'dog', 'cow', 'hen', 'fox', 'owl', 'bee', 'ant');
CREATE TABLE zoo (animal animal, n int) PARTITION BY HASH (animal);
CREATE TABLE zoo_0 PARTITION OF zoo FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE zoo_1 PARTITION OF zoo FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE zoo_2 PARTITION OF zoo FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE zoo_3 PARTITION OF zoo FOR VALUES WITH (MODULUS 4, REMAINDER 3);
INSERT INTO zoo SELECT a, n FROM unnest(enum_range(NULL::animal)) a, generate_series(1, 5) n;
-- then: INSERT INTO zoo VALUES ('owl', 6) RETURNING n
-- then: SELECT animal::text, count(*) FROM zoo GROUP BY animal ORDER BY animal
