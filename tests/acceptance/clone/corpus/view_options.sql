-- Options of views: barrier, invoker, check options, column defaults, comments on columns.
CREATE TABLE base (id int PRIMARY KEY, owner text DEFAULT 'nobody', n int);
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM base WHERE n > 0;
CREATE VIEW invoker WITH (security_invoker = true, security_barrier = false) AS SELECT * FROM base;
CREATE VIEW positive AS SELECT id, owner, n FROM base WHERE n > 0 WITH LOCAL CHECK OPTION;
CREATE VIEW small AS SELECT id, owner, n FROM positive WHERE n < 10 WITH CASCADED CHECK OPTION;
ALTER VIEW small ALTER COLUMN owner SET DEFAULT 'from the view';
ALTER VIEW small ALTER COLUMN n SET DEFAULT 5;
CREATE VIEW later AS SELECT id FROM base;
ALTER VIEW later SET (security_invoker = on, check_option = local);
COMMENT ON VIEW small IS 'small and positive';
COMMENT ON COLUMN small.n IS 'between 0 and 10';
INSERT INTO base VALUES (1, 'a', 1), (2, 'b', -2), (3, 'c', 30);
-- then: INSERT INTO small (id) VALUES (4) RETURNING owner, n
-- then: INSERT INTO small (id, n) VALUES (5, 50)
-- then: INSERT INTO small (id, n) VALUES (6, -5)
