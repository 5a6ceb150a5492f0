-- Materialized views: populated, never populated, nested, indexed, with options and comments.
CREATE TABLE readings (id int PRIMARY KEY, sensor text, value float8);
INSERT INTO readings SELECT n, 's' || n % 3, n * 1.5 FROM generate_series(1, 30) n;
CREATE MATERIALIZED VIEW averages (sensor, average) WITH (fillfactor = 80, autovacuum_enabled = off) AS
    SELECT sensor, avg(value) FROM readings GROUP BY sensor;
CREATE UNIQUE INDEX averages_key ON averages (sensor);
CREATE INDEX averages_high ON averages (average) WHERE average > 20;
CREATE MATERIALIZED VIEW a_nested AS SELECT max(average) AS highest FROM averages;
CREATE MATERIALIZED VIEW never_filled AS SELECT * FROM readings WITH NO DATA;
CREATE UNIQUE INDEX never_filled_key ON never_filled (id);
CREATE MATERIALIZED VIEW emptied AS SELECT * FROM readings;
REFRESH MATERIALIZED VIEW emptied WITH NO DATA;
CREATE MATERIALIZED VIEW clustered AS SELECT * FROM readings;
CREATE INDEX clustered_key ON clustered (sensor, id);
ALTER MATERIALIZED VIEW clustered CLUSTER ON clustered_key;
ALTER MATERIALIZED VIEW clustered ALTER COLUMN sensor SET STATISTICS 200;
ALTER MATERIALIZED VIEW clustered ALTER COLUMN sensor SET STORAGE EXTERNAL;
CREATE VIEW over_nested AS SELECT highest FROM a_nested;
COMMENT ON MATERIALIZED VIEW averages IS 'per sensor';
COMMENT ON COLUMN averages.average IS 'of all readings';
-- then: SELECT * FROM over_nested
-- then: SELECT * FROM never_filled
-- then: REFRESH MATERIALIZED VIEW CONCURRENTLY averages
-- then: REFRESH MATERIALIZED VIEW emptied
