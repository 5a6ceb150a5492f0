-- List partitions: several values, NULL, an enum as the key, a default partition, own indexes.
CREATE TYPE region AS ENUM ('north', 'south', 'east', 'west');
CREATE TABLE sales (id int, region region, code text, amount numeric DEFAULT 1, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE sales_cold PARTITION OF sales FOR VALUES IN ('north', 'east');
CREATE TABLE sales_south PARTITION OF sales (amount DEFAULT 5, CONSTRAINT rich CHECK (amount > 1)) FOR VALUES IN ('south') WITH (fillfactor = 60);
CREATE TABLE sales_rest PARTITION OF sales DEFAULT;
CREATE INDEX by_code ON sales (code);
CREATE INDEX only_south ON sales_south (amount);
CREATE TABLE texts (t text, n int) PARTITION BY LIST (lower(t));
CREATE TABLE texts_odd PARTITION OF texts FOR VALUES IN ('it''s', 'a"b', NULL, 'back\slash');
CREATE TABLE texts_rest PARTITION OF texts DEFAULT;
INSERT INTO sales VALUES (1, 'north', 'a', 1), (2, 'south', 'b', 2), (3, 'west', 'c', 3);
INSERT INTO texts VALUES ('IT''S', 1), (NULL, 2), ('other', 3);
COMMENT ON TABLE sales_south IS 'a partition';
-- then: INSERT INTO sales (id, region, code) VALUES (4, 'south', 'd') RETURNING tableoid::regclass::text, amount
-- then: INSERT INTO sales_south (id, region) VALUES (5, 'south') RETURNING amount
-- then: INSERT INTO texts VALUES ('A"B', 4) RETURNING tableoid::regclass::text
