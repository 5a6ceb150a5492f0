-- Functions and indexes that say they depend on an extension.
-- needs: vector
CREATE FUNCTION uses_it(a int) RETURNS int LANGUAGE sql RETURN a;
ALTER FUNCTION uses_it(int) DEPENDS ON EXTENSION vector;
CREATE TABLE t (id int PRIMARY KEY);
CREATE INDEX by_id ON t (id);
ALTER INDEX by_id DEPENDS ON EXTENSION vector;
