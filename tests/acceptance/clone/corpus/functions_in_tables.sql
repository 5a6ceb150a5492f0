-- Defaults, checks, generated columns and indexes over functions that read or name other tables.
CREATE TABLE z_settings (key text PRIMARY KEY, value int);
INSERT INTO z_settings VALUES ('least', 10), ('factor', 3);
CREATE FUNCTION setting(wanted text) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN (SELECT value FROM {schema}.z_settings WHERE key = wanted); END $$;
CREATE FUNCTION factor(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE SET search_path = {schema} AS $$
BEGIN RETURN n * (SELECT value FROM z_settings WHERE key = 'factor'); END $$;
CREATE TABLE a_measured (
    id int PRIMARY KEY,
    n int DEFAULT setting('least') CONSTRAINT enough CHECK (n >= setting('least')),
    tripled int GENERATED ALWAYS AS (factor(n)) STORED
);
CREATE INDEX by_factor ON a_measured (factor(n));
CREATE FUNCTION rows_of(t a_measured) RETURNS int LANGUAGE sql STABLE RETURN t.n + 1;
INSERT INTO a_measured (id, n) VALUES (1, 10), (2, 20);
-- then: INSERT INTO a_measured (id) VALUES (3) RETURNING n, tripled
-- then: INSERT INTO a_measured (id, n) VALUES (4, 9)
-- then: SELECT rows_of(m) FROM a_measured m ORDER BY id
