-- Index and constraint names that differ from those that PostgreSQL would choose, or collide.
CREATE TABLE named (id int CONSTRAINT named_key_of_mine PRIMARY KEY, a int, b int);
CREATE INDEX named_b_idx ON named (a);
CREATE INDEX named_a_idx ON named (b);
CREATE INDEX "Mixed Case Index" ON named (a, b);
CREATE INDEX "semi;colon -- and ""quotes""" ON named (b, a);
CREATE INDEX "sixty-three bytes are the longest name that PostgreSQL can keep" ON named (a);
CREATE UNIQUE INDEX named_pkey ON named (a);
CREATE TABLE sequence_like (id int);
CREATE INDEX sequence_like_id_seq ON sequence_like (id);
CREATE TABLE other (id serial PRIMARY KEY);
ALTER INDEX other_pkey RENAME TO "key of the other";
ALTER SEQUENCE other_id_seq RENAME TO "numbers of the other";
CREATE TABLE renamed_before (id serial PRIMARY KEY, code text UNIQUE CHECK (code <> ''));
ALTER TABLE renamed_before RENAME TO renamed_after;
CREATE TABLE renamed_before (id serial PRIMARY KEY, code text UNIQUE CHECK (code <> ''));
INSERT INTO named VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO renamed_after (code) VALUES ('x');
-- then: INSERT INTO named VALUES (3, 2, 2)
-- then: INSERT INTO renamed_after (code) VALUES ('x')
-- then: INSERT INTO renamed_before (code) VALUES ('x') RETURNING id
