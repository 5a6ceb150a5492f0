-- A recursive view whose CYCLE clause marks rows with values of its own.
CREATE TABLE edges (source int, target int);
INSERT INTO edges VALUES (1, 2), (2, 1);
CREATE VIEW walks AS
    WITH RECURSIVE walk (source, target) AS (
        SELECT source, target FROM edges WHERE source = 1
        UNION ALL
        SELECT e.source, e.target FROM edges e JOIN walk w ON e.source = w.target
    ) CYCLE source, target SET seen TO 'yes' DEFAULT 'it''s not' USING path
    SELECT source, target, seen FROM walk;
