-- Storage, compression, statistics targets, column options and table parameters.
CREATE TABLE stored (
    id int PRIMARY KEY,
    plain text STORAGE PLAIN,
    outside text,
    main text,
    compressed text COMPRESSION pglz,
    bytes bytea,
    n int,
    defaulted text
) WITH (fillfactor = 70, autovacuum_enabled = false, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.3, toast.autovacuum_enabled = false, toast.vacuum_truncate = off,
    parallel_workers = 2, toast_tuple_target = 256, user_catalog_table = false, log_autovacuum_min_duration = 0);
ALTER TABLE stored ALTER COLUMN outside SET STORAGE EXTERNAL;
ALTER TABLE stored ALTER COLUMN main SET STORAGE MAIN;
ALTER TABLE stored ALTER COLUMN bytes SET STORAGE EXTERNAL;
ALTER TABLE stored ALTER COLUMN n SET STATISTICS 1000;
ALTER TABLE stored ALTER COLUMN main SET STATISTICS 0;
ALTER TABLE stored ALTER COLUMN defaulted SET STATISTICS 10;
ALTER TABLE stored ALTER COLUMN defaulted SET STATISTICS -1;
ALTER TABLE stored ALTER COLUMN n SET (n_distinct = -0.5, n_distinct_inherited = 100);
ALTER TABLE stored ALTER COLUMN plain SET (n_distinct = 7);
CREATE TABLE reset_options (id int) WITH (fillfactor = 50, autovacuum_enabled = false);
ALTER TABLE reset_options RESET (fillfactor);
CREATE INDEX ON stored (n) WITH (fillfactor = 42);
INSERT INTO stored SELECT n, 'p', repeat('o', 3000), repeat('m', 3000), repeat('c', 5000), repeat('b', 3000)::bytea, n, 'd'
FROM generate_series(1, 5) n;
