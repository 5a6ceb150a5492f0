-- Recursive views, with SEARCH and CYCLE, and a chain of many views.
CREATE TABLE edges (source int, target int);
INSERT INTO edges VALUES (1, 2), (2, 3), (3, 1), (3, 4);
CREATE RECURSIVE VIEW counted (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counted WHERE n < 5;
CREATE VIEW walks AS
    WITH RECURSIVE walk (source, target) AS (
        SELECT source, target FROM edges WHERE source = 1
        UNION ALL
        SELECT e.source, e.target FROM edges e JOIN walk w ON e.source = w.target
    ) SEARCH DEPTH FIRST BY source, target SET place
      CYCLE source, target SET seen USING path
    SELECT source, target, seen FROM walk;
CREATE VIEW z5 AS SELECT count(*) AS n FROM walks;
CREATE VIEW y4 AS SELECT n + 1 AS n FROM z5;
CREATE VIEW x3 AS SELECT n + 1 AS n FROM y4;
CREATE VIEW w2 AS SELECT x3.n + 1 AS n FROM x3, counted WHERE counted.n = 1;
CREATE VIEW v1 AS SELECT n FROM w2 UNION SELECT n FROM z5;
