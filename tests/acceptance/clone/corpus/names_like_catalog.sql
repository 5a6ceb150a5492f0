-- Names that hide those of the system: tables, types, functions and operators like pg_catalog's.
CREATE TABLE pg_class_like (oid oid, relname name);
CREATE TABLE "int4" (id int PRIMARY KEY);
CREATE TYPE "text_" AS ENUM ('x');
CREATE TYPE {schema}.date AS (day int);
CREATE TABLE dates (own {schema}.date, builtin pg_catalog.date, n pg_catalog.int4, own_table {schema}.int4);
CREATE FUNCTION lower(n int) RETURNS int LANGUAGE sql RETURN n - 1;
CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql IMMUTABLE RETURN '2000-01-01 00:00+00'::timestamptz;
CREATE FUNCTION {schema}.upper(t text) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'own ' || t;
CREATE FUNCTION public() RETURNS int LANGUAGE sql RETURN 1;
CREATE TABLE stamped (id int, at timestamptz DEFAULT {schema}.now(), u text GENERATED ALWAYS AS ({schema}.upper('x')) STORED, d text DEFAULT pg_catalog.upper('y'));
CREATE VIEW casts AS SELECT {schema}.upper('a') AS own, pg_catalog.upper('a') AS builtin, lower(5) AS lowered;
INSERT INTO "int4" VALUES (1);
INSERT INTO dates VALUES (ROW(1), '2024-01-01', 5, ROW(7));
INSERT INTO stamped (id) VALUES (1);
-- then: INSERT INTO stamped (id) VALUES (2) RETURNING at, u, d
