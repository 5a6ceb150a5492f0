-- Views over views, in an order of dependency that differs from the order of creation and of names.
CREATE TABLE facts (id int PRIMARY KEY, kind text, amount numeric, at timestamptz);
CREATE TABLE kinds (kind text PRIMARY KEY, label text);
CREATE VIEW a_top AS SELECT 1 AS id, 'x'::text AS label;
CREATE VIEW z_bottom AS SELECT id, kind, amount FROM facts WHERE amount > 0;
CREATE VIEW m_middle (number, "Kind Label") AS
    SELECT z.id, k.label FROM z_bottom z LEFT JOIN kinds k USING (kind);
CREATE OR REPLACE VIEW a_top AS SELECT number AS id, "Kind Label" AS label FROM m_middle;
CREATE VIEW with_everything AS
    WITH totals AS (SELECT kind, sum(amount) AS total FROM facts GROUP BY kind),
        ranked AS MATERIALIZED (SELECT *, rank() OVER w FROM totals WINDOW w AS (ORDER BY total DESC))
    SELECT r.kind, r.total, r.rank, l.newest, t.label || '''"\' AS odd,
        count(*) FILTER (WHERE f.amount > 1) AS many,
        array_agg(f.id ORDER BY f.id DESC) AS ids
    FROM ranked r
    JOIN facts f ON f.kind = r.kind
    CROSS JOIN LATERAL (SELECT max(at) AS newest FROM facts x WHERE x.kind = r.kind) l
    LEFT JOIN kinds t ON t.kind = r.kind
    GROUP BY GROUPING SETS ((r.kind, r.total, r.rank, l.newest, t.label), ())
    HAVING count(*) > 0;
CREATE VIEW of_values (n, word) AS SELECT * FROM (VALUES (1, 'one'), (2, 'two')) AS v (a, b);
CREATE VIEW nothing AS SELECT FROM facts;
CREATE VIEW whole_rows AS SELECT facts, (facts).kind FROM facts;
INSERT INTO kinds VALUES ('a', 'Label A'), ('b', 'Label B');
INSERT INTO facts VALUES (1, 'a', 5, '2024-01-01 00:00+00'), (2, 'b', 0.5, '2024-01-02 00:00+00'), (3, 'c', -1, NULL);
-- then: SELECT * FROM a_top ORDER BY id
-- then: INSERT INTO z_bottom VALUES (9, 'a', 9) RETURNING id
