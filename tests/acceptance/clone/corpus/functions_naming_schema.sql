-- Functions whose text, settings, defaults and dynamic SQL name the schema.
CREATE TABLE targets (id serial PRIMARY KEY, note text);
CREATE SEQUENCE ticks;
INSERT INTO targets (note) VALUES ('a'), ('b');
CREATE FUNCTION by_text() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM {schema}.targets';
CREATE FUNCTION by_block() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint; entry {schema}.targets%ROWTYPE; -- of {schema}
BEGIN
    SELECT count(*) INTO found FROM {schema}.targets;
    RETURN found;
END $$;
CREATE FUNCTION dynamic(note text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE made int;
BEGIN
    EXECUTE format('INSERT INTO %I.%I (note) VALUES ($1) RETURNING id', '{schema}', 'targets') INTO made USING note;
    EXECUTE 'UPDATE ' || '{schema}' || '.targets SET note = note WHERE id = ' || made;
    PERFORM nextval('{schema}.ticks');
    RETURN made;
END $$;
CREATE FUNCTION by_path() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path TO '{schema}', 'pg_catalog' AS
    'BEGIN RETURN (SELECT count(*) FROM targets); END';
CREATE FUNCTION by_default(name text DEFAULT '{schema}.targets') RETURNS boolean LANGUAGE sql RETURN to_regclass(name) IS NOT NULL;
CREATE FUNCTION by_column(OUT found {schema}.targets) LANGUAGE sql AS 'SELECT t FROM {schema}.targets t ORDER BY id LIMIT 1';
CREATE PROCEDURE by_procedure() LANGUAGE plpgsql AS $p$BEGIN EXECUTE 'DELETE FROM "{schema}".targets WHERE id = 1'; END$p$;
CREATE FUNCTION longer_names() RETURNS text LANGUAGE sql AS $$SELECT 'x_{schema}', 'kept', '{schema}_old' LIMIT 0; SELECT 'kept'::text$$;
-- then: SELECT by_text(), by_block(), by_path(), by_default()
-- then: SELECT dynamic('next')
-- then: SELECT nextval('ticks')
-- then: SELECT by_column()::text
-- then: CALL by_procedure()
-- then: SELECT count(*) FROM targets
