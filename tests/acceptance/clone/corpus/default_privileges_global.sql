-- Default privileges of the owner in every schema, and objects made before and after them.
CREATE FUNCTION before() RETURNS int LANGUAGE sql RETURN 1;
CREATE TABLE table_before (id serial);
CREATE TYPE type_before AS ENUM ('a');
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {role} REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {app};
ALTER DEFAULT PRIVILEGES REVOKE TRUNCATE ON TABLES FROM {role};
CREATE FUNCTION after() RETURNS int LANGUAGE sql RETURN 1;
CREATE TABLE table_after (id serial);
CREATE TYPE type_after AS ENUM ('a');
-- then: CREATE FUNCTION made_later() RETURNS int LANGUAGE sql RETURN 1
-- then: SELECT has_function_privilege('{app}', 'before()', 'EXECUTE'), has_function_privilege('{app}', 'after()', 'EXECUTE'), has_function_privilege('{app}', 'made_later()', 'EXECUTE')
-- then: SELECT has_table_privilege('{app}', 'table_before', 'SELECT'), has_table_privilege('{app}', 'table_after', 'SELECT')
