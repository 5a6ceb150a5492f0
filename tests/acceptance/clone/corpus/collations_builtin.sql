-- Collations of the built-in provider.
-- from: 17
CREATE COLLATION utf (PROVIDER = builtin, LOCALE = 'C.UTF-8');
CREATE TABLE words (w text COLLATE utf PRIMARY KEY);
CREATE INDEX ON words (lower(w));
INSERT INTO words VALUES ('Ä'), ('a');
