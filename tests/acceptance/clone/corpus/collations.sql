-- Own collations in columns, domains, indexes, expressions and partitions.
CREATE COLLATION plain FROM "C";
CREATE COLLATION "Other One" (PROVIDER = libc, LOCALE = 'POSIX');
CREATE COLLATION halves (PROVIDER = libc, LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
COMMENT ON COLLATION plain IS 'by bytes';
CREATE DOMAIN sorted AS text COLLATE "Other One";
CREATE TYPE pair AS (a text COLLATE plain, b text);
CREATE TYPE words AS RANGE (SUBTYPE = text, COLLATION = plain);
CREATE TABLE collated (a text COLLATE plain PRIMARY KEY, b sorted, c varchar(10) COLLATE "Other One" DEFAULT 'x', d text[] COLLATE plain, p pair, w words);
CREATE INDEX by_other ON collated (a COLLATE "Other One", (b || 'x') COLLATE plain DESC);
CREATE TABLE parts (t text COLLATE plain) PARTITION BY RANGE (t COLLATE "Other One");
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('a') TO ('z');
CREATE VIEW sorted_ones AS SELECT a FROM collated WHERE a COLLATE halves < 'zz' ORDER BY a COLLATE plain;
CREATE FUNCTION lower_than(t text) RETURNS boolean LANGUAGE sql RETURN t COLLATE plain < 'b';
INSERT INTO collated VALUES ('a', 'B', 'c', '{d}', ROW('x', 'y'), '[a,b)'), ('B', NULL, NULL, NULL, NULL, NULL);
INSERT INTO parts VALUES ('b');
