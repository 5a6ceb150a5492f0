-- Indexes of every method and option: expressions, partial, include, order, classes, parameters.
CREATE FUNCTION initial(words text) RETURNS text LANGUAGE sql IMMUTABLE RETURN left(words, 1);
CREATE TABLE indexed (
    id int, name text, tags text[], doc jsonb, place point, during int4range, big bigint,
    amount numeric, made timestamptz, ip inet
);
CREATE INDEX ON indexed (name);
CREATE INDEX descending ON indexed (id DESC NULLS LAST, name ASC NULLS FIRST);
CREATE INDEX expressions ON indexed (lower(name), (id + 1), initial(name));
CREATE INDEX partial_one ON indexed (name) WHERE amount > 10 AND name IS NOT NULL;
CREATE UNIQUE INDEX unique_partial ON indexed (id) WHERE name LIKE 'only%';
CREATE UNIQUE INDEX unique_nulls ON indexed (id, name) NULLS NOT DISTINCT;
CREATE INDEX covering ON indexed (id) INCLUDE (name, amount);
CREATE INDEX patterns ON indexed (name text_pattern_ops, lower(name) varchar_pattern_ops);
CREATE INDEX collated ON indexed (name COLLATE "C" DESC, (name || 'x') COLLATE "POSIX");
CREATE INDEX hashed ON indexed USING hash (name) WITH (fillfactor = 60);
CREATE INDEX inverted ON indexed USING gin (tags) WITH (fastupdate = off, gin_pending_list_limit = 128);
CREATE INDEX inverted_paths ON indexed USING gin (doc jsonb_path_ops, (doc -> 'tags'));
CREATE INDEX tree ON indexed USING gist (place, during) WITH (buffering = on, fillfactor = 77);
CREATE INDEX network ON indexed USING gist (ip inet_ops);
CREATE INDEX spatial ON indexed USING spgist (place kd_point_ops);
CREATE INDEX block_range ON indexed USING brin (made timestamptz_minmax_multi_ops (values_per_range = 16), big int8_bloom_ops (n_distinct_per_range = 50)) WITH (pages_per_range = 8, autosummarize = on);
CREATE INDEX undeduplicated ON indexed (big) WITH (deduplicate_items = off, fillfactor = 50);
CREATE INDEX with_statistics ON indexed ((id * 2), (amount / 3));
ALTER INDEX with_statistics ALTER COLUMN 1 SET STATISTICS 500;
ALTER INDEX with_statistics ALTER COLUMN 2 SET STATISTICS 0;
COMMENT ON INDEX covering IS 'covers name and amount';
INSERT INTO indexed
SELECT n, 'name ' || n, ARRAY['t' || n % 3], jsonb_build_object('n', n), point(n, n),
    int4range(n, n + 5), n, n, timestamptz '2024-01-01 00:00+00' + n * interval '1 hour', '10.0.0.1'
FROM generate_series(1, 50) n;
-- then: INSERT INTO indexed (id, name) VALUES (1, 'name 1')
-- then: INSERT INTO indexed (id, name) VALUES (1, 'only 1') RETURNING id
-- then: INSERT INTO indexed (id, name) VALUES (1, 'only 2')
