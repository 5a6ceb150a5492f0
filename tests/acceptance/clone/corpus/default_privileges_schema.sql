-- Default privileges in the schema, and objects made before and after them.
CREATE TABLE before (id int);
CREATE FUNCTION before() RETURNS int LANGUAGE sql RETURN 1;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT ON TABLES TO {app};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {app} WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {app};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON TYPES TO {app};
CREATE TABLE after (id serial);
CREATE FUNCTION after() RETURNS int LANGUAGE sql RETURN 1;
CREATE TYPE after_type AS ENUM ('a');
CREATE VIEW after_view AS SELECT * FROM before;
CREATE TABLE after_revoked (id int);
REVOKE ALL ON after_revoked FROM {app}, PUBLIC;
-- then: CREATE TABLE made_later (id serial)
-- then: SELECT has_table_privilege('{app}', 'made_later', 'INSERT'), has_table_privilege('{app}', 'before', 'SELECT'), has_table_privilege('{app}', 'after_revoked', 'SELECT')
