-- Functions in SQL and PL/pgSQL with every attribute and setting.
CREATE TABLE numbers (n int);
INSERT INTO numbers VALUES (1), (2), (3);
CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION immutable_strict(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
    'SELECT $1 + $2';
CREATE FUNCTION costly() RETURNS SETOF int LANGUAGE plpgsql STABLE COST 5000 ROWS 7 PARALLEL RESTRICTED AS
    $$BEGIN RETURN QUERY SELECT n FROM numbers ORDER BY n; END$$;
CREATE FUNCTION with_settings() RETURNS text LANGUAGE plpgsql
    SET search_path = {schema}, pg_temp SET work_mem = '8MB' SET "DateStyle" = 'ISO, DMY' AS
    $$BEGIN RETURN current_setting('work_mem') || (SELECT count(*) FROM numbers); END$$;
CREATE FUNCTION empty_path() RETURNS text LANGUAGE sql SET search_path = '' AS $$SELECT current_setting('search_path')$$;
CREATE FUNCTION definer() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = {schema} AS
    'SELECT count(*)::int FROM numbers';
CREATE FUNCTION nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE FUNCTION odd_quotes() RETURNS text LANGUAGE plpgsql AS $_$
DECLARE a text := $$it's "odd" \ $1 $$; -- a comment with $body$ and 'quotes'
BEGIN
    RETURN a || E'\n\t' || 'x';
END $_$;
CREATE FUNCTION broken_until_called() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT n FROM no_such_table); END';
CREATE FUNCTION late_bound() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM numbers); END';
CREATE FUNCTION "Quoted Function"("The Arg" int) RETURNS int LANGUAGE sql RETURN "The Arg" * 2;
CREATE FUNCTION "returning"() RETURNS json LANGUAGE sql AS $$SELECT '{"a": "\u00e9"}'::json$$;
COMMENT ON FUNCTION immutable_strict(int, int) IS 'adds';
SET check_function_bodies = off;
CREATE FUNCTION broken_sql() RETURNS int LANGUAGE sql AS 'SELECT n FROM missing_table';
RESET check_function_bodies;
-- then: SELECT plain(), immutable_strict(1, 2), with_settings(), definer(), late_bound()
-- then: SELECT empty_path(), odd_quotes(), "Quoted Function"(4)
-- then: SELECT costly()
-- then: SELECT broken_sql()
-- then: SELECT broken_until_called()
