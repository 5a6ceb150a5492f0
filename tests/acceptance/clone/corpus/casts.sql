-- Casts between own types and from them: by function, INOUT, implicit and in assignments.
CREATE TYPE celsius AS (degrees numeric);
CREATE TYPE fahrenheit AS (degrees numeric);
CREATE TYPE level AS ENUM ('low', 'high');
CREATE FUNCTION to_fahrenheit(c celsius) RETURNS fahrenheit LANGUAGE sql IMMUTABLE
    RETURN ROW((c).degrees * 9 / 5 + 32)::fahrenheit;
CREATE FUNCTION to_number(c celsius) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN (c).degrees;
CREATE FUNCTION to_level(n int) RETURNS level LANGUAGE sql IMMUTABLE RETURN CASE WHEN n > 5 THEN 'high'::level ELSE 'low' END;
CREATE CAST (celsius AS fahrenheit) WITH FUNCTION to_fahrenheit(celsius) AS IMPLICIT;
CREATE CAST (celsius AS numeric) WITH FUNCTION to_number(celsius);
CREATE CAST (int AS level) WITH FUNCTION to_level(int) AS ASSIGNMENT;
CREATE CAST (fahrenheit AS celsius) WITH INOUT AS ASSIGNMENT;
CREATE CAST (level AS varchar) WITH INOUT;
COMMENT ON CAST (celsius AS fahrenheit) IS 'exact';
CREATE TABLE weather (id int PRIMARY KEY, c celsius, f fahrenheit DEFAULT ROW(0)::celsius::fahrenheit, l level);
CREATE VIEW converted AS SELECT id, (c::fahrenheit).degrees AS f, c::numeric AS n FROM weather;
INSERT INTO weather (id, c, l) VALUES (1, ROW(100), 9), (2, ROW(0), 1);
-- then: INSERT INTO weather (id, c, l) VALUES (3, ROW(10), 6) RETURNING (f).degrees, l::text
-- then: SELECT id, f, n FROM converted ORDER BY id
