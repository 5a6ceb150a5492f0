-- Overloads, defaults, VARIADIC, OUT, INOUT, TABLE, SETOF, polymorphic and quoted arguments.
CREATE TYPE pair AS (a int, b text);
CREATE TABLE people (id int PRIMARY KEY, name text);
INSERT INTO people VALUES (1, 'Ann'), (2, 'Bob');
CREATE FUNCTION f(a int) RETURNS text LANGUAGE sql RETURN 'int';
CREATE FUNCTION f(a text) RETURNS text LANGUAGE sql RETURN 'text';
CREATE FUNCTION f(a int, b int) RETURNS text LANGUAGE sql RETURN 'two';
CREATE FUNCTION f(a pair) RETURNS text LANGUAGE sql RETURN 'pair';
CREATE FUNCTION f(a pair[]) RETURNS text LANGUAGE sql RETURN 'pairs';
CREATE FUNCTION f(a people) RETURNS text LANGUAGE sql RETURN 'person';
CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN 'none';
CREATE FUNCTION defaults(a int, b text DEFAULT 'it''s', c int[] DEFAULT '{1,2}', d pair DEFAULT ROW(1, 'x')::pair)
    RETURNS text LANGUAGE sql RETURN concat(a, b, c::text, d::text);
CREATE FUNCTION spread(VARIADIC items text[]) RETURNS int LANGUAGE sql RETURN cardinality(items);
CREATE FUNCTION outs(a int, OUT b int, INOUT c text, OUT "D d" pair) LANGUAGE plpgsql AS
    $$BEGIN b := a + 1; c := c || '!'; "D d" := ROW(a, c); END$$;
CREATE FUNCTION one_out(OUT result int) LANGUAGE sql AS 'SELECT 7';
CREATE FUNCTION a_table(lowest int) RETURNS TABLE (id int, name text) LANGUAGE sql STABLE AS
    'SELECT p.id, p.name FROM people p WHERE p.id >= lowest ORDER BY 1';
CREATE FUNCTION set_of_rows() RETURNS SETOF people LANGUAGE sql AS 'SELECT * FROM people ORDER BY id';
CREATE FUNCTION set_of_pairs() RETURNS SETOF pair LANGUAGE sql AS $$VALUES (1, 'a'), (2, 'b')$$;
CREATE FUNCTION a_record() RETURNS record LANGUAGE sql AS $$SELECT 1, 'x'::text$$;
CREATE FUNCTION first_of(anyarray) RETURNS anyelement LANGUAGE sql AS 'SELECT $1[1]';
CREATE FUNCTION either(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql AS 'SELECT coalesce($1, $2)';
CREATE FUNCTION "select"("from" int DEFAULT 1) RETURNS int LANGUAGE sql RETURN "from";
-- then: SELECT f(1), f('a'::text), f(1, 2), f(ROW(1, 'a')::pair), f(ARRAY[ROW(1, 'a')::pair]), f(p), f() FROM people p WHERE id = 1
-- then: SELECT defaults(1), defaults(1, c => '{9}'), spread('a', 'b'), outs(1, 'c')::text
-- then: SELECT set_of_rows()::text
-- then: SELECT first_of(ARRAY[5, 6]), either(NULL, 2.5), "select"()
