-- Expressions whose constants name the schema: defaults, checks, views, indexes, policies, rules, generated columns.
CREATE TABLE log (line text);
CREATE TABLE named (
    id int PRIMARY KEY,
    place text DEFAULT '{schema}',
    path text DEFAULT 'table {schema}.named' CHECK (path <> '{schema}.nothing'),
    here text GENERATED ALWAYS AS ('{schema}/' || id) STORED,
    found regclass DEFAULT to_regclass('{schema}.named')
);
CREATE INDEX elsewhere ON named (id) WHERE place <> '{schema}';
CREATE VIEW places AS SELECT id, '{schema}'::text AS schema_name, to_regclass('{schema}.log')::text AS log FROM named;
CREATE VIEW catalogued AS SELECT relname::text FROM pg_catalog.pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r';
CREATE RULE noted AS ON DELETE TO named DO ALSO INSERT INTO log VALUES ('deleted from {schema}.named');
ALTER TABLE named ENABLE ROW LEVEL SECURITY;
CREATE POLICY here_only ON named USING (place = '{schema}');
-- then: INSERT INTO named (id) VALUES (2) RETURNING found = 'named'::regclass, place = current_schema()
-- then: SELECT id, schema_name = current_schema(), log FROM places ORDER BY id
-- then: SELECT relname FROM catalogued ORDER BY relname
-- then: INSERT INTO named (id, path) VALUES (3, '{schema}.nothing')
