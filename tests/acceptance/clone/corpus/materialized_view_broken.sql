-- A materialized view that was filled once, and can't be any more.
-- refused: broken
CREATE TABLE numbers (n int);
INSERT INTO numbers VALUES (1);
CREATE MATERIALIZED VIEW broken AS SELECT 1 / n AS inverse FROM numbers;
UPDATE numbers SET n = 0;
