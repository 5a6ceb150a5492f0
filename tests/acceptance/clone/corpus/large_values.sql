-- Values of a megabyte: text, bytea, jsonb, arrays, which do and do not compress.
CREATE TABLE big (id int PRIMARY KEY, t text, b bytea, j jsonb, a int[]);
INSERT INTO big VALUES (1, repeat('0123456789abcdef', 65536), decode(repeat('00ff10', 349526), 'hex'),
    jsonb_build_object('key', repeat('é"\', 262144)), array_fill(7, ARRAY[100000]));
INSERT INTO big SELECT 2, string_agg(md5(n::text), ''), decode(string_agg(md5((n + 1)::text), ''), 'hex'), jsonb_agg(n), array_agg(n)
FROM generate_series(1, 20000) n;
CREATE TABLE many_rows (id int PRIMARY KEY, note text);
INSERT INTO many_rows SELECT n, 'row ' || n FROM generate_series(1, 3000) n;
CREATE TABLE wide (id int);
DO $$
BEGIN
    EXECUTE 'ALTER TABLE wide ' || (SELECT string_agg(format('ADD COLUMN c%s int DEFAULT %s', n, n), ', ') FROM generate_series(1, 300) n);
END $$;
INSERT INTO wide (id) VALUES (1), (2);
-- then: SELECT id, length(t), length(b), cardinality(a) FROM big ORDER BY id
