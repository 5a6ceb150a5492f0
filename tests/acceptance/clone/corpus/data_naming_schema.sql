-- Rows, comments and labels that happen to name the schema and its roles: they are text, and stay as they are.
CREATE TYPE place AS (schema_name text, note text);
CREATE TYPE label AS ENUM ('{schema}', 'other');
CREATE TABLE facts (id int PRIMARY KEY, fact text, fact_json jsonb, facts text[], bytes bytea, place place, name name, label label, words tsvector);
INSERT INTO facts VALUES
    (1, '{schema}', '{"schema": "{schema}", "{schema}": 1}', '{{schema},"{schema}.facts"}', convert_to('{schema}', 'UTF8'), ROW('{schema}', '"{schema}".x'), '{schema}', '{schema}', '''{schema}'':1'),
    (2, 'SELECT * FROM {schema}.facts; -- {schema}', '["{schema}.facts"]', '{}', '', ROW('x{schema}x', '{role}'), '{role}', 'other', NULL),
    (3, 'nextval(''{schema}.numbers''::regclass)', 'null', NULL, NULL, NULL, '{app}', NULL, NULL),
    (4, E'CREATE SCHEMA {schema};\n\\connect x\nSET search_path = {schema};\n', '"{app}"', '{{role}}', NULL, NULL, NULL, NULL, NULL);
COMMENT ON TABLE facts IS 'facts about {schema}, owned by {role}';
COMMENT ON COLUMN facts.fact IS 'not {schema}_old';
-- then: SELECT id FROM facts WHERE fact LIKE '%' || label::text || '%' ORDER BY id
