-- Serial columns of each width; the next values follow the last ones.
CREATE TABLE small_ones (id smallserial PRIMARY KEY, note text);
CREATE TABLE ones (id serial PRIMARY KEY, note text);
CREATE TABLE big_ones (id bigserial PRIMARY KEY, second bigserial, note text);
CREATE TABLE never_filled (id bigserial, note text);
INSERT INTO small_ones (note) SELECT 'n' || n FROM generate_series(1, 3) n;
INSERT INTO ones (note) SELECT 'n' || n FROM generate_series(1, 10) n;
INSERT INTO big_ones (note) SELECT 'n' || n FROM generate_series(1, 5) n;
DELETE FROM ones WHERE id > 7;
SELECT setval('big_ones_second_seq', 9000000000);
ALTER TABLE ones RENAME COLUMN id TO number;
ALTER TABLE ones RENAME TO renamed_ones;
-- then: INSERT INTO small_ones (note) VALUES ('next') RETURNING id
-- then: INSERT INTO renamed_ones (note) VALUES ('next') RETURNING number
-- then: INSERT INTO big_ones (note) VALUES ('next') RETURNING id, second
-- then: INSERT INTO never_filled (note) VALUES ('first') RETURNING id
-- then: SELECT pg_get_serial_sequence('renamed_ones', 'number') IS NOT NULL
