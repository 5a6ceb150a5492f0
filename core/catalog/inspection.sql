-- name: inspected
-- What a schema holds, a row each: what it is, the relation that it belongs to, its place there
-- and its name, and the rest as JSON. No row at all: there is no such schema.
--
-- All names in this query are PostgreSQL's own, for it is read under a search_path of pg_catalog
-- alone. Definitions are written down under another, which `pinned` sets before there is a member
-- to write down: so the names of the schema's own objects come without it.
WITH pinned AS MATERIALIZED (
    SELECT set_config('search_path', :search_path, true) AS path
), place AS MATERIALIZED (
    SELECT n.oid FROM pinned, pg_namespace n
    WHERE n.nspname = :schema_name AND pinned.path IS NOT NULL
), members AS MATERIALIZED (
    SELECT d.classid, d.objid FROM place
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = place.oid
    WHERE d.objsubid = 0
), relations AS MATERIALIZED (
    SELECT c.oid, c.relname::text AS name, c.relkind AS kind, c.relpersistence, c.reltuples,
           c.relispartition, c.relpartbound, c.relispopulated, c.relrowsecurity,
           EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'pgtwin_rows')
               AS rows_by_uid
    FROM members m JOIN pg_class c ON c.oid = m.objid
    WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
      AND (:tables::text[] IS NULL OR c.relname::text = ANY (:tables))
), types AS MATERIALIZED (
    -- With a choice of tables, those that their columns have.
    SELECT t.* FROM members m JOIN pg_type t ON t.oid = m.objid
    WHERE m.classid = 'pg_type'::regclass AND t.typtype IN ('e', 'd', 'c', 'r')
      AND (:tables IS NULL OR EXISTS (
          SELECT FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
          JOIN pg_type u ON u.oid = a.atttypid
          WHERE t.oid IN (u.oid, u.typelem, u.typbasetype)))
)
SELECT 'schema' AS what, '' AS relation, 0 AS position, '' AS name, NULL AS info FROM place
UNION ALL
SELECT 'relation', r.name, 0, r.name, json_build_object(
    'name', r.name,
    'kind', CASE r.kind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table'
                        WHEN 'f' THEN 'foreign table' WHEN 'v' THEN 'view'
                        ELSE 'materialized view' END,
    'comment', d.description,
    'rows', CASE WHEN r.kind = 'v' THEN NULL WHEN r.kind = 'p' THEN parts.row_count
                 ELSE coalesce(nullif(pg_stat_get_live_tuples(r.oid), 0),
                               greatest(r.reltuples, 0)::bigint) END,
    'size_bytes', CASE WHEN r.kind IN ('r', 'm') THEN pg_total_relation_size(r.oid)
                       WHEN r.kind = 'p' THEN parts.size_bytes END,
    'definition', CASE WHEN r.kind IN ('v', 'm')
        THEN rtrim(regexp_replace(pg_get_viewdef(r.oid, true), '^\s+', ''), ';') END,
    'is_populated', CASE WHEN r.kind = 'm' THEN r.relispopulated END,
    'is_unlogged', r.relpersistence = 'u',
    'rows_by_uid', r.rows_by_uid,
    'row_security', r.relrowsecurity,
    'partition_key', CASE WHEN r.kind = 'p' THEN pg_get_partkeydef(r.oid) END,
    'partition_of', CASE WHEN r.relispartition THEN (
        SELECT p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
        WHERE i.inhrelid = r.oid) END,
    'partition_bounds', pg_get_expr(r.relpartbound, r.oid),
    'inherits', ARRAY(
        SELECT p.relname::text FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
        WHERE i.inhrelid = r.oid AND NOT r.relispartition ORDER BY i.inhseqno)
)::text
FROM relations r
LEFT JOIN pg_description d
    ON d.classoid = 'pg_class'::regclass AND d.objoid = r.oid AND d.objsubid = 0
LEFT JOIN LATERAL (
    SELECT coalesce(sum(coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0),
                                 greatest(c.reltuples, 0)::bigint)), 0)::bigint AS row_count,
           coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS size_bytes
    FROM pg_partition_tree(r.oid) AS t JOIN pg_class c ON c.oid = t.relid AND t.isleaf
) AS parts ON r.kind = 'p'
UNION ALL
SELECT 'column', r.name, a.attnum, a.attname::text, json_build_object(
    'name', a.attname,
    'type', format_type(a.atttypid, a.atttypmod),
    'nullable', NOT a.attnotnull,
    'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(f.adbin, f.adrelid) END,
    'generated', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(f.adbin, f.adrelid) END,
    'is_stored', CASE WHEN a.attgenerated <> '' THEN a.attgenerated = 's' END,
    'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
    'comment', d.description
)::text
FROM relations r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
LEFT JOIN pg_description d
    ON d.classoid = 'pg_class'::regclass AND d.objoid = r.oid AND d.objsubid = a.attnum
UNION ALL
SELECT 'constraint', r.name, 0, k.conname::text, json_build_object(
    'name', k.conname,
    'kind', CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique'
                           WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check'
                           ELSE 'exclusion' END,
    'columns', ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS n (number, at)
                     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number
                     ORDER BY n.at),
    'definition', pg_get_constraintdef(k.oid, true),
    'references', (SELECT o.relname FROM pg_class o WHERE o.oid = k.confrelid),
    'referenced_columns', CASE WHEN k.contype = 'f' THEN ARRAY(
        SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS n (number, at)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number
        ORDER BY n.at) END,
    'comment', d.description
)::text
FROM relations r
JOIN pg_constraint k ON k.conrelid = r.oid AND k.contype IN ('p', 'u', 'f', 'c', 'x')
LEFT JOIN pg_description d ON d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid
UNION ALL
SELECT 'index', r.name, 0, i.relname::text, json_build_object(
    'name', i.relname,
    'definition', pg_get_indexdef(x.indexrelid, 0, true),
    'is_unique', x.indisunique,
    'is_valid', x.indisvalid,
    -- As `pgtwin_rt.admit()` makes it.
    'by_service', r.rows_by_uid AND i.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
        AND x.indnatts = 1 AND NOT x.indisunique AND x.indpred IS NULL AND x.indoption[0] = 0
        AND x.indkey[0] = (SELECT a.attnum FROM pg_attribute a
                           WHERE a.attrelid = r.oid AND a.attname = 'uid')
        AND starts_with(i.relname::text, left(r.name, 30)) AND i.relname ~ '_uid_idx\d*$',
    'comment', d.description
)::text
FROM relations r
JOIN pg_index x ON x.indrelid = r.oid
JOIN pg_class i ON i.oid = x.indexrelid
LEFT JOIN pg_description d
    ON d.classoid = 'pg_class'::regclass AND d.objoid = i.oid AND d.objsubid = 0
WHERE NOT EXISTS (SELECT FROM pg_constraint k
                  WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'trigger', r.name, 0, g.tgname::text, json_build_object(
    'name', g.tgname,
    'definition', pg_get_triggerdef(g.oid, true),
    'is_enabled', g.tgenabled <> 'D',
    'comment', d.description
)::text
FROM relations r
JOIN pg_trigger g ON g.tgrelid = r.oid AND NOT g.tgisinternal AND g.tgname <> 'pgtwin_stamp'
LEFT JOIN pg_description d ON d.classoid = 'pg_trigger'::regclass AND d.objoid = g.oid
UNION ALL
SELECT 'policy', r.name, 0, p.polname::text, json_build_object(
    'name', p.polname,
    'command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
                             WHEN 'd' THEN 'delete' ELSE 'all' END,
    'is_permissive', p.polpermissive,
    'using', pg_get_expr(p.polqual, p.polrelid),
    'check', pg_get_expr(p.polwithcheck, p.polrelid)
)::text
FROM relations r JOIN pg_policy p ON p.polrelid = r.oid AND p.polname <> 'pgtwin_rows'
UNION ALL
SELECT 'sequence', '', 0, c.relname::text, json_build_object(
    'name', c.relname,
    'type', format_type(s.seqtypid, NULL),
    'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
    'is_cycling', s.seqcycle,
    'owned_by', (SELECT ARRAY[t.relname::text, a.attname::text] FROM pg_depend o
                 JOIN pg_class t ON t.oid = o.refobjid
                 JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = o.refobjsubid
                 WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid
                   AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')),
    'comment', d.description
)::text
FROM members m
JOIN pg_class c ON c.oid = m.objid AND c.relkind = 'S'
JOIN pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN pg_description d
    ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
WHERE m.classid = 'pg_class'::regclass AND :tables IS NULL
UNION ALL
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite'
                      ELSE 'range' END,
       '', 0, t.typname::text,
       (CASE t.typtype
        WHEN 'e' THEN json_build_object(
            'name', t.typname, 'comment', d.description,
            'labels', ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid
                            ORDER BY e.enumsortorder))
        WHEN 'd' THEN json_build_object(
            'name', t.typname, 'comment', d.description,
            'type', format_type(t.typbasetype, t.typtypmod), 'nullable', NOT t.typnotnull,
            'default', pg_get_expr(t.typdefaultbin, 0),
            'checks', ARRAY(SELECT pg_get_constraintdef(k.oid, true) FROM pg_constraint k
                            WHERE k.contypid = t.oid AND k.contype = 'c' ORDER BY k.conname))
        WHEN 'c' THEN json_build_object(
            'name', t.typname, 'comment', d.description,
            'fields', coalesce((
                SELECT json_agg(json_build_object(
                    'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                    'comment', f.description) ORDER BY a.attnum)
                FROM pg_attribute a
                LEFT JOIN pg_description f ON f.classoid = 'pg_class'::regclass
                    AND f.objoid = a.attrelid AND f.objsubid = a.attnum
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            ), '[]'))
        ELSE json_build_object(
            'name', t.typname, 'comment', d.description,
            'subtype', (SELECT format_type(g.rngsubtype, NULL) FROM pg_range g
                        WHERE g.rngtypid = t.oid))
        END)::text
FROM types t
LEFT JOIN pg_description d ON d.classoid = 'pg_type'::regclass AND d.objoid = t.oid
UNION ALL
SELECT 'function', '', 0, p.proname::text, json_build_object(
    'name', p.proname,
    'kind', CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
                           WHEN 'w' THEN 'window function' ELSE 'function' END,
    'arguments', pg_get_function_arguments(p.oid),
    'returns', pg_get_function_result(p.oid),
    'language', l.lanname,
    'volatility', CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable'
                                     ELSE 'volatile' END,
    'comment', d.description
)::text
FROM members m
JOIN pg_proc p ON p.oid = m.objid
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_description d ON d.classoid = 'pg_proc'::regclass AND d.objoid = p.oid
WHERE m.classid = 'pg_proc'::regclass AND :tables IS NULL
  -- Part of a type, such as a range's constructors.
  AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.classid = 'pg_proc'::regclass
                  AND o.objid = p.oid AND o.deptype = 'i')
ORDER BY relation, position, name, info

-- name: table_statistics
-- Sizes of a schema's tables, and what PostgreSQL has counted of them; a row each, as JSON. The
-- first row is the schema's own.
WITH place AS MATERIALIZED (
    SELECT n.oid FROM pg_namespace n WHERE n.nspname = :schema_name
)
SELECT '' AS name, NULL AS info FROM place
UNION ALL
SELECT c.relname::text, json_build_object(
    'name', c.relname,
    'kind', CASE c.relkind WHEN 'r' THEN 'table' ELSE 'materialized view' END,
    'partition_of', CASE WHEN c.relispartition THEN (
        SELECT p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
        WHERE i.inhrelid = c.oid) END,
    'live_rows', coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0),
                          greatest(c.reltuples, 0)::bigint),
    'dead_rows', pg_stat_get_dead_tuples(c.oid),
    'table_bytes', coalesce(pg_table_size(c.oid) - coalesce(toast.bytes, 0), 0),
    'index_bytes', coalesce(pg_indexes_size(c.oid), 0),
    'toast_bytes', coalesce(toast.bytes, 0),
    'last_vacuum', greatest(pg_stat_get_last_vacuum_time(c.oid),
                            pg_stat_get_last_autovacuum_time(c.oid)),
    'last_analyze', greatest(pg_stat_get_last_analyze_time(c.oid),
                             pg_stat_get_last_autoanalyze_time(c.oid)),
    'sequential_scans', pg_stat_get_numscans(c.oid),
    'index_scans', (SELECT coalesce(sum(pg_stat_get_numscans(x.indexrelid)), 0)::bigint
                    FROM pg_index x WHERE x.indrelid = c.oid)
)::text
FROM place
JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = place.oid
    AND d.classid = 'pg_class'::regclass AND d.objsubid = 0
JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'm')
LEFT JOIN LATERAL (
    SELECT pg_total_relation_size(nullif(c.reltoastrelid, 0)) AS bytes
) AS toast ON true
ORDER BY name

-- name: hidden
-- Objects of a schema that can't be named without it, for PostgreSQL finds its own first.
SELECT format('relation %I', c.relname) AS name
FROM pg_class c JOIN pg_class o
    ON o.relname = c.relname AND o.relnamespace = 'pg_catalog'::regnamespace
WHERE c.relnamespace = :schema_oid
UNION
SELECT format('type %I', t.typname) FROM pg_type t JOIN pg_type o
    ON o.typname = t.typname AND o.typnamespace = 'pg_catalog'::regnamespace
WHERE t.typnamespace = :schema_oid
UNION
SELECT 'function ' || p.oid::regprocedure FROM pg_proc p JOIN pg_proc o
    ON o.proname = p.proname AND o.proargtypes = p.proargtypes
    AND o.pronamespace = 'pg_catalog'::regnamespace
WHERE p.pronamespace = :schema_oid
UNION
SELECT 'operator ' || p.oid::regoperator FROM pg_operator p JOIN pg_operator o
    ON o.oprname = p.oprname AND o.oprleft = p.oprleft AND o.oprright = p.oprright
    AND o.oprnamespace = 'pg_catalog'::regnamespace
WHERE p.oprnamespace = :schema_oid
ORDER BY name
