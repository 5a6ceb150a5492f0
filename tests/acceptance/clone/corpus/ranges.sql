-- Own range types with their multiranges, over own types, with difference functions and collations.
CREATE TYPE grade AS ENUM ('a', 'b', 'c', 'd');
CREATE FUNCTION minutes(a time, b time) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN extract(epoch FROM a - b) / 60;
CREATE TYPE time_range AS RANGE (SUBTYPE = time, SUBTYPE_DIFF = minutes);
CREATE TYPE grades AS RANGE (SUBTYPE = grade, MULTIRANGE_TYPE_NAME = many_grades);
CREATE TYPE words AS RANGE (SUBTYPE = text, COLLATION = "C");
CREATE TYPE "Float Range" AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi, SUBTYPE_OPCLASS = float8_ops);
COMMENT ON TYPE time_range IS 'in a day';
CREATE TABLE ranged (
    id int PRIMARY KEY, t time_range DEFAULT '[08:00,09:00)', g grades, w words, f "Float Range",
    mt time_multirange, mg many_grades, many time_range[], built_in int4range, built_ins datemultirange,
    EXCLUDE USING gist (t WITH &&)
);
CREATE INDEX ON ranged USING spgist (f);
INSERT INTO ranged VALUES
    (1, '[10:00,11:00]', '[a,c)', '["it''s, odd",z]', '(-infinity,0.1]', '{[10:00,11:00),[12:00,13:00)}', '{[a,b),[c,d]}', '{"[01:00,02:00)"}', '[1,5)', '{[2024-01-01,2024-02-01)}'),
    (2, 'empty', 'empty', '(,)', 'empty', '{}', '{}', '{}', 'empty', '{}'),
    (3, '[12:00,)', '[b,)', '(,"")', '[NaN,NaN]', NULL, NULL, '{NULL,empty}', '(,)', '{(,)}'),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
-- then: INSERT INTO ranged (id) VALUES (5) RETURNING t::text
-- then: INSERT INTO ranged (id) VALUES (6)
-- then: SELECT id, 'b'::grade <@ g, range_merge(mg)::text FROM ranged ORDER BY id
