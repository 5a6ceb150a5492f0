-- Enums: values added out of order and renamed, odd labels, in keys, indexes, checks and defaults.
CREATE TYPE state AS ENUM ('new', 'done');
ALTER TYPE state ADD VALUE 'started' BEFORE 'done';
ALTER TYPE state ADD VALUE 'first' BEFORE 'new';
ALTER TYPE state ADD VALUE 'between' AFTER 'new';
ALTER TYPE state ADD VALUE 'last';
ALTER TYPE state RENAME VALUE 'done' TO 'finished';
CREATE TYPE "Odd Labels" AS ENUM ('', ' ', 'it''s', 'back\slash', '"quoted"', 'ünïcödé', '{a,b}', 'NULL', '{schema}', '{schema}.x');
CREATE TYPE empty_enum AS ENUM ();
-- commit
CREATE TABLE tasks (
    state state NOT NULL DEFAULT 'started',
    number int,
    odd "Odd Labels" DEFAULT 'it''s',
    many "Odd Labels"[],
    nothing empty_enum,
    PRIMARY KEY (state, number),
    CONSTRAINT not_first CHECK (state > 'first')
);
CREATE INDEX open_ones ON tasks (number) WHERE state < 'finished';
CREATE VIEW ordered AS SELECT state, number FROM tasks WHERE state >= 'between' ORDER BY state DESC, number;
INSERT INTO tasks (state, number, odd, many) VALUES
    ('new', 1, '', '{"",NULL,"NULL"}'), ('last', 2, '"quoted"', '{}'), ('between', 3, 'back\slash', NULL),
    ('started', 4, '{a,b}', '{"{a,b}","it''s"}'), ('finished', 5, '{schema}', '{{schema},{schema}.x}');
COMMENT ON TYPE state IS 'of a task';
-- then: INSERT INTO tasks (number) VALUES (6) RETURNING state::text, odd::text
-- then: INSERT INTO tasks VALUES ('first', 7)
-- then: SELECT state::text, number FROM ordered
-- then: SELECT enum_range(NULL::state)::text, cardinality(enum_range(NULL::"Odd Labels"))
