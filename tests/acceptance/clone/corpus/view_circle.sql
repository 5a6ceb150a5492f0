-- Views and functions that refer to each other in a circle.
CREATE VIEW one AS SELECT 1 AS n;
CREATE VIEW two AS SELECT n + 1 AS n FROM one;
CREATE FUNCTION largest() RETURNS int LANGUAGE sql STABLE BEGIN ATOMIC SELECT max(n) FROM two; END;
CREATE OR REPLACE VIEW one AS SELECT CASE WHEN false THEN largest() ELSE 1 END AS n;
