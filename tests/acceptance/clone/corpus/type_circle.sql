-- Types, tables and functions that need each other in a circle.
CREATE TABLE nodes (id int PRIMARY KEY, name text);
CREATE TYPE wrapped AS (node nodes, note text);
CREATE FUNCTION wrap(n nodes) RETURNS wrapped LANGUAGE sql IMMUTABLE RETURN ROW(n, 'wrapped')::wrapped;
ALTER TABLE nodes ADD CONSTRAINT wraps CHECK (((wrap(nodes)).note) = 'wrapped');
CREATE FUNCTION count_nodes() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM nodes); END';
ALTER TABLE nodes ADD COLUMN position bigint DEFAULT count_nodes();
CREATE TABLE holds (id int PRIMARY KEY, w wrapped, ws wrapped[]);
CREATE TABLE families (mother nodes, children nodes[]);
CREATE DOMAIN node_domain AS nodes CHECK ((VALUE).id > 0);
CREATE TABLE uses_domain (n node_domain);
INSERT INTO nodes VALUES (1, 'root');
INSERT INTO nodes SELECT 2, 'second';
INSERT INTO families SELECT n, ARRAY[n] FROM nodes n;
INSERT INTO holds SELECT n.id, wrap(n), ARRAY[wrap(n)] FROM nodes n;
INSERT INTO uses_domain SELECT n::nodes::node_domain FROM nodes n;
-- then: INSERT INTO nodes (id, name) VALUES (3, 'third') RETURNING position
-- then: SELECT id, ((w).node).name FROM holds ORDER BY id
