-- Column defaults: constants, expressions, own functions, quotes and backslashes.
CREATE FUNCTION next_label(prefix text DEFAULT 'L') RETURNS text LANGUAGE sql IMMUTABLE
    RETURN prefix || '-0';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE defaults (
    id int PRIMARY KEY,
    a int DEFAULT 42,
    b text DEFAULT 'it''s "quoted"',
    c text DEFAULT E'back\\slash, tab\t, newline\n, dollar $$ $1',
    d text DEFAULT NULL,
    e text NOT NULL DEFAULT '',
    f numeric(10, 2) DEFAULT 1.5 * 2,
    g timestamptz DEFAULT now(),
    h date DEFAULT CURRENT_DATE + 1,
    i text DEFAULT current_user,
    j int[] DEFAULT ARRAY[1, 2, NULL],
    k jsonb DEFAULT '{"a": [1, 2]}',
    l interval DEFAULT '1 year 2 mons 3 days'::interval,
    m uuid DEFAULT gen_random_uuid(),
    n text DEFAULT next_label('N'),
    o mood DEFAULT 'ok',
    p mood[] DEFAULT '{sad,happy}'::mood[],
    q varchar(5) DEFAULT 'abc' COLLATE "C",
    r bit(4) DEFAULT B'1010',
    s bytea DEFAULT '\xdeadbeef',
    t boolean DEFAULT (1 > 0),
    u text DEFAULT CASE WHEN 1 = 1 THEN 'one' ELSE 'other' END,
    v double precision DEFAULT 'NaN',
    w text DEFAULT ('a' || 'b') || next_label()
);
INSERT INTO defaults (id, g, h, i, m)
VALUES (1, '2024-01-02 03:04:05+00', '2024-01-02', 'x', '00000000-0000-0000-0000-000000000001');
ALTER TABLE defaults ADD COLUMN added int NOT NULL DEFAULT 7;
ALTER TABLE defaults ALTER COLUMN added SET DEFAULT 8;
-- then: INSERT INTO defaults (id) VALUES (2) RETURNING a, b, c, e, f, j, k, n, o::text, u, w, added
