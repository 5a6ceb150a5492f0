-- Privileges on sequences, functions, procedures, aggregates, types, domains and partitions.
CREATE SEQUENCE numbers;
CREATE TABLE serials (id serial, note text);
CREATE TYPE mood AS ENUM ('sad');
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN digit AS int;
CREATE TYPE span AS RANGE (SUBTYPE = int);
CREATE FUNCTION open_function(a int) RETURNS int LANGUAGE sql RETURN a;
CREATE FUNCTION closed_function(a int, b text DEFAULT '') RETURNS int LANGUAGE sql RETURN a;
CREATE FUNCTION closed_function() RETURNS int LANGUAGE sql RETURN 1;
CREATE PROCEDURE closed_procedure() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE own_sum(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TABLE parts (id int) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
GRANT USAGE ON SEQUENCE numbers TO {app};
GRANT SELECT, UPDATE ON SEQUENCE serials_id_seq TO {app} WITH GRANT OPTION;
REVOKE ALL ON TYPE mood, span FROM PUBLIC;
GRANT USAGE ON TYPE mood, pair TO {app};
REVOKE USAGE ON DOMAIN digit FROM PUBLIC;
REVOKE USAGE ON TYPE pair FROM PUBLIC, {role};
REVOKE EXECUTE ON FUNCTION closed_function(int, text), closed_function() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION closed_function(int, text) TO {app} WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION open_function(int) TO PUBLIC;
REVOKE ALL ON PROCEDURE closed_procedure() FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE closed_procedure() TO {app};
REVOKE ALL ON FUNCTION own_sum(int) FROM PUBLIC;
GRANT SELECT ON parts TO {app};
GRANT INSERT ON part_1 TO {app};
-- then: SELECT has_function_privilege('{app}', 'closed_function(int,text)', 'EXECUTE'), has_function_privilege('{app}', 'closed_function()', 'EXECUTE')
