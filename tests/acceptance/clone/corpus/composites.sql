-- Composite types: nested, in arrays, with odd values, NULL and all-NULL, altered and commented.
CREATE TYPE inner_one AS (word text COLLATE "C", n int, at timestamptz);
CREATE TYPE outer_one AS (title text, one inner_one, many inner_one[], "Odd Name" numeric(5, 2));
CREATE TYPE shrunk AS (a int, b int, c text);
ALTER TYPE shrunk DROP ATTRIBUTE b;
ALTER TYPE shrunk ADD ATTRIBUTE d int;
ALTER TYPE shrunk RENAME ATTRIBUTE a TO "A";
CREATE TYPE empty_one AS ();
COMMENT ON TYPE outer_one IS 'holds the inner one';
COMMENT ON COLUMN outer_one."Odd Name" IS 'five digits';
CREATE TABLE composed (
    id int PRIMARY KEY, i inner_one, o outer_one DEFAULT ROW('t', NULL, '{}', 1), s shrunk, e empty_one,
    arrays outer_one[], CHECK ((i).n < 100)
);
CREATE INDEX by_word ON composed (((i).word));
INSERT INTO composed VALUES
    (1, ROW('it''s, "odd" (\) ', 1, '2024-01-01 00:00+00'), DEFAULT, ROW(1, 'c', 4), ROW(), '{}'),
    (2, NULL, NULL, NULL, NULL, NULL),
    (3, ROW(NULL, NULL, NULL), ROW(NULL, ROW(NULL, NULL, NULL), NULL, NULL), ROW(NULL, NULL, NULL), NULL, ARRAY[NULL]::outer_one[]),
    (4, ROW('', 2, NULL), ROW('', ROW(E'new\nline', 3, 'infinity'), ARRAY[ROW('{a,b}', 4, NULL), NULL]::inner_one[], 9.99),
        NULL, NULL, ARRAY[ROW('x', NULL, '{}', 1), ROW('"', NULL, NULL, NULL)]::outer_one[]);
-- then: INSERT INTO composed (id, i.word, i.n) VALUES (5, 'w', 5) RETURNING (i).word, o::text
-- then: INSERT INTO composed (id, i.n) VALUES (6, 100)
-- then: SELECT id, i IS NULL, num_nulls(i), num_nulls(o) FROM composed ORDER BY id
