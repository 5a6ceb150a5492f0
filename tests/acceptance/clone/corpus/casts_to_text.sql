-- Casts of own types to and from text that change the value: rows must be copied without them.
CREATE TYPE secret AS (word text, n int);
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE FUNCTION masked(s secret) RETURNS text LANGUAGE sql IMMUTABLE RETURN '(masked,0)';
CREATE FUNCTION reddened(c colour) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'red';
CREATE FUNCTION never_green(t text) RETURNS colour LANGUAGE sql IMMUTABLE RETURN 'red'::colour;
CREATE TABLE secrets (id int PRIMARY KEY, s secret, c colour, many secret[], colours colour[]);
CREATE FUNCTION as_text(whole secrets) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'row';
INSERT INTO secrets VALUES
    (1, ROW('open', 1), 'green', ARRAY[ROW('a', 1), ROW('b', 2)]::secret[], '{green,red}'), (2, NULL, NULL, NULL, NULL);
CREATE CAST (secret AS text) WITH FUNCTION masked(secret) AS IMPLICIT;
CREATE CAST (colour AS text) WITH FUNCTION reddened(colour) AS IMPLICIT;
CREATE CAST (text AS colour) WITH FUNCTION never_green(text) AS ASSIGNMENT;
CREATE CAST (secrets AS text) WITH FUNCTION as_text(secrets) AS ASSIGNMENT;
-- then: SELECT s::text, c::text, 'green'::text::colour = 'red' FROM secrets ORDER BY id
