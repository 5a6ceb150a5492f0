-- Extended statistics of each kind, over expressions, named, with targets and comments.
CREATE TABLE measured (a int, b int, c text, d timestamp);
CREATE STATISTICS all_kinds ON a, b FROM measured;
CREATE STATISTICS only_distinct (ndistinct) ON a, c FROM measured;
CREATE STATISTICS only_dependencies (dependencies) ON b, c FROM measured;
CREATE STATISTICS common_values (mcv) ON a, b, c FROM measured;
CREATE STATISTICS expressions ON (a + b), lower(c), date_trunc('day', d) FROM measured;
CREATE STATISTICS "One Expression" ON (a * 2) FROM measured;
CREATE STATISTICS ON b, d FROM measured;
ALTER STATISTICS common_values SET STATISTICS 300;
ALTER STATISTICS only_distinct SET STATISTICS 0;
COMMENT ON STATISTICS all_kinds IS 'a and b belong together';
INSERT INTO measured SELECT n % 5, n % 5, 'c' || n % 2, '2024-01-01' FROM generate_series(1, 100) n;
ANALYZE measured;
