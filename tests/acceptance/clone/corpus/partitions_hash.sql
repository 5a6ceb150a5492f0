-- Hash partitions over numbers, text and several columns, with keys.
CREATE TABLE users (id bigint PRIMARY KEY, name text) PARTITION BY HASH (id);
CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE users_3 PARTITION OF users FOR VALUES WITH (MODULUS 4, REMAINDER 3);
CREATE TABLE words (word text COLLATE "C", n int, UNIQUE (word, n)) PARTITION BY HASH (word, n);
CREATE TABLE words_0 PARTITION OF words FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO users SELECT n, 'u' || n FROM generate_series(1, 40) n;
INSERT INTO words SELECT 'w' || n, n FROM generate_series(1, 10) n;
-- then: INSERT INTO users VALUES (41, 'next') RETURNING tableoid::regclass::text
-- then: INSERT INTO users VALUES (40, 'twice')
