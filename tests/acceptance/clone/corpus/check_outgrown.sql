-- A check that rows, which were there before its function changed, do not pass any more.
-- refused: outgrown
CREATE FUNCTION allowed(n int) RETURNS boolean LANGUAGE sql AS 'SELECT n < 100';
CREATE TABLE outgrown (n int CHECK (allowed(n)));
INSERT INTO outgrown VALUES (50);
CREATE OR REPLACE FUNCTION allowed(n int) RETURNS boolean LANGUAGE sql AS 'SELECT n < 10';
