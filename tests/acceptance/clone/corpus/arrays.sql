-- Arrays of every kind: of own types, nested, with bounds, NULLs and odd characters.
CREATE TYPE size AS ENUM ('s', 'm', 'l');
CREATE TYPE spot AS (x int, label text);
CREATE DOMAIN digit AS int CHECK (VALUE BETWEEN 0 AND 9);
CREATE TABLE arrayed (
    id int PRIMARY KEY, numbers int[], words text[], matrix int[][], sizes size[], spots spot[], digits digit[],
    dates date[], documents jsonb[], bytes bytea[], fixed int[3], ranges int4range[], flags boolean[], chars "char"[]
);
INSERT INTO arrayed VALUES
    (1, '{1,NULL,3}', ARRAY['', 'NULL', NULL, 'a,b', '"q"', '{x}', E'back\\slash', E'new\nline', ' '], '{{1,2},{3,4}}', '{s,NULL,l}',
        ARRAY[ROW(1, 'a,b'), NULL, ROW(NULL, NULL)]::spot[], '{1,9}', '{2024-01-01,infinity}', ARRAY['{"a": 1}', 'null']::jsonb[],
        ARRAY['\x00ff', '']::bytea[], '{1,2,3,4}', '{"[1,2)",empty}', '{t,f,NULL}', '{a,b}'),
    (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (3, '[2:4]={1,2,3}', '[0:0]={x}', '[-1:0][2:3]={{1,2},{3,4}}', '[5:5]={m}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE INDEX ON arrayed USING gin (numbers, words);
CREATE VIEW lower_bounds AS SELECT id, array_lower(numbers, 1) AS low, array_dims(matrix) AS dims FROM arrayed;
