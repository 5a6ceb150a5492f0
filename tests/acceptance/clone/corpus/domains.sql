-- Domains: checks, NOT NULL, defaults, over domains, arrays, composites, with collation and comments.
CREATE FUNCTION is_short(t text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN length(t) < 6;
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small AS positive DEFAULT 5 CONSTRAINT below_ten CHECK (VALUE < 10) CONSTRAINT not_seven CHECK (VALUE <> 7);
CREATE DOMAIN required AS text COLLATE "C" NOT NULL DEFAULT 'it''s';
CREATE DOMAIN short AS varchar(10) CHECK (is_short(VALUE));
CREATE DOMAIN numbers AS int[] CHECK (cardinality(VALUE) < 4);
CREATE DOMAIN ordered AS pair CHECK ((VALUE).a < (VALUE).b);
CREATE DOMAIN "Quoted Domain" AS numeric(10, 2) CONSTRAINT "Its Check" CHECK (VALUE >= 0);
COMMENT ON DOMAIN small IS 'one digit';
COMMENT ON CONSTRAINT below_ten ON DOMAIN small IS 'nine at most';
CREATE TABLE domained (
    id positive PRIMARY KEY,
    s small,
    r required,
    h short DEFAULT 'abc',
    n numbers,
    o ordered,
    q "Quoted Domain",
    many small[],
    of_pairs ordered[]
);
INSERT INTO domained VALUES
    (1, 3, 'a', 'x', '{1,2}', ROW(1, 2), 1.5, '{1,2}', ARRAY[ROW(1, 2)]::ordered[]),
    (2, NULL, '', NULL, NULL, NULL, NULL, '{}', NULL);
CREATE FUNCTION half(n small) RETURNS positive LANGUAGE sql IMMUTABLE RETURN greatest(n / 2, 1);
-- then: INSERT INTO domained (id) VALUES (3) RETURNING s, r, h
-- then: INSERT INTO domained (id, s) VALUES (4, 7)
-- then: INSERT INTO domained (id, s) VALUES (5, 10)
-- then: INSERT INTO domained (id, r) VALUES (6, NULL)
-- then: INSERT INTO domained (id, o) VALUES (7, ROW(2, 1))
-- then: SELECT half(8::small)
