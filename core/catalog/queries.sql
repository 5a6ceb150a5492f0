-- name: schema_sizes
-- Tables and bytes of some schemas. Members are found through pg_depend, whose index on the
-- referenced object is the only one that leads from a schema to what is in it; partitions
-- count with the table that they are part of.
SELECT n.nspname AS schema_name,
       count(*) FILTER (WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition) AS tables,
       coalesce(
           sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm', 'S')), 0
       )::bigint AS size_bytes
FROM pg_namespace n
LEFT JOIN pg_depend d
    ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
    AND d.classid = 'pg_class'::regclass AND d.objsubid = 0
LEFT JOIN pg_class c ON c.oid = d.objid
WHERE n.nspname = ANY (:schema_names)
GROUP BY n.nspname

-- name: copied_tables
-- The tables of a schema that hold rows of their own, and how each column is copied: 'plain';
-- 'text' through its text form, where its type belongs to the schema and so is another type in
-- the copy; 'named', so too, for values that are names of objects and maybe of roles. Generated
-- columns have no values.
SELECT c.relname::text AS table_name,
       c.relrowsecurity AND c.relforcerowsecurity AS forced,
       coalesce((SELECT r.relname FROM pg_class r
                 WHERE r.oid = pg_partition_root(c.oid) AND EXISTS (
                     SELECT FROM pg_partition_ancestors(c.oid) AS up
                     JOIN pg_partitioned_table p ON p.partrelid = up.relid
                     WHERE p.partstrat = 'h')), c.relname)::text AS into_table,
       array_remove(array_agg(a.attname::text ORDER BY a.attnum), NULL) AS columns,
       array_remove(array_agg(
           CASE WHEN a.attname IS NULL THEN NULL
                WHEN coalesce(nullif(t.typbasetype, 0), nullif(t.typelem, 0), t.oid) IN (
                    'regclass'::regtype, 'regtype'::regtype, 'regproc'::regtype,
                    'regprocedure'::regtype, 'regoper'::regtype, 'regoperator'::regtype,
                    'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype,
                    'regrole'::regtype, 'regcollation'::regtype) THEN 'named'
                WHEN t.typnamespace = :schema_oid THEN 'text'
                ELSE 'plain' END ORDER BY a.attnum), NULL) AS ways,
       array_remove(array_agg(format_type(a.atttypid, NULL) ORDER BY a.attnum), NULL) AS types
FROM pg_depend d
JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'r'
LEFT JOIN pg_attribute a
    ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
LEFT JOIN pg_type t ON t.oid = a.atttypid
WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = :schema_oid
  AND d.classid = 'pg_class'::regclass AND d.objsubid = 0
GROUP BY c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity
ORDER BY c.oid

-- name: names_objects
-- Whether a column of a schema's tables or composite types, or a domain, is of a type whose
-- values name objects.
WITH naming AS (
    SELECT kind::oid AS oid FROM unnest(
        '{regclass,regtype,regproc,regprocedure,regoper,regoperator,regconfig,regdictionary,'
        'regnamespace,regrole,regcollation}'::regtype[]) AS kind
), named AS (
    SELECT oid FROM naming
    UNION ALL SELECT t.typarray FROM naming n JOIN pg_type t ON t.oid = n.oid
)
SELECT EXISTS (
    SELECT FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = d.objid AND a.attnum > 0
    JOIN named ON named.oid = a.atttypid
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = :schema_oid
      AND d.classid = 'pg_class'::regclass
) OR EXISTS (
    SELECT FROM pg_depend d
    JOIN pg_type t ON t.oid = d.objid AND t.typtype = 'd'
    JOIN named ON named.oid = t.typbasetype
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = :schema_oid
      AND d.classid = 'pg_type'::regclass
) AS found

-- name: inherited_orders
-- Tables whose columns lie in another order than INHERITS in their CREATE TABLE would give them,
-- for they were attached to their parents later. `attachable` are those that can be made alone
-- and attached again: all that they inherit was theirs before.
WITH inheriting AS (
    SELECT c.oid, c.relname
    FROM pg_depend d
    JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'r' AND NOT c.relispartition
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = :schema_oid
      AND d.classid = 'pg_class'::regclass AND d.objsubid = 0
      AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
), placed AS (
    SELECT c.oid, c.relname, a.attnum, a.attislocal,
           (SELECT min(ARRAY[i.inhseqno, p.attnum::int]) FROM pg_inherits i
            JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname
                AND NOT p.attisdropped
            WHERE i.inhrelid = c.oid) AS at_parent
    FROM inheriting c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
)
SELECT format('%I', relname) AS table_name,
       bool_and(attislocal) AND NOT EXISTS (
           SELECT FROM pg_constraint k
           WHERE k.conrelid = placed.oid AND k.contype IN ('c', 'n') AND NOT k.conislocal
       ) AS attachable
FROM placed GROUP BY oid, relname
HAVING array_agg(attnum ORDER BY attnum)
    <> array_agg(attnum ORDER BY at_parent NULLS LAST, attnum)
ORDER BY oid

-- name: sequences
SELECT c.relname::text AS sequence_name
FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = :schema_oid
  AND d.classid = 'pg_class'::regclass AND d.objsubid = 0
ORDER BY c.oid

-- name: casts
-- Casts from or to types of a schema; they belong to no schema and so to no schema's dump.
SELECT format_type(k.castsource, NULL) AS source, format_type(k.casttarget, NULL) AS target,
       CASE k.castmethod WHEN 'f' THEN k.castfunc::regprocedure::text END AS function,
       k.castmethod::text AS method, k.castcontext::text AS context,
       obj_description(k.oid, 'pg_cast') AS comment
FROM pg_cast k
JOIN pg_type s ON s.oid = k.castsource JOIN pg_type t ON t.oid = k.casttarget
WHERE (s.typnamespace = :schema_oid OR t.typnamespace = :schema_oid)
  -- A range's to its multirange comes with the type.
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_cast'::regclass
                  AND i.objid = k.oid AND i.deptype = 'i')
ORDER BY k.oid

-- name: role_default_privileges
-- What a role grants on all that it will make, wherever; no schema's dump has it.
SELECT a.defaclobjtype::text AS object_type, x.privilege_type,
       CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
       x.is_grantable
FROM pg_default_acl a, aclexplode(a.defaclacl) AS x
WHERE a.defaclnamespace = 0 AND a.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = :role)
ORDER BY 1, 3 NULLS FIRST, 2

-- name: functions_naming
-- Functions of a schema whose text, settings or defaults have one of some names in them.
SELECT p.oid, 'function ' || p.proname AS name, pg_get_functiondef(p.oid) AS definition
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid AND p.prokind <> 'a'
WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = :schema_oid
  AND d.classid = 'pg_proc'::regclass
  AND EXISTS (SELECT FROM unnest(:names::text[]) AS name
              WHERE strpos(p.prosrc, name) > 0 OR strpos(p.proconfig::text, name) > 0
                 OR strpos(pg_get_functiondef(p.oid), name) > 0)
ORDER BY p.oid

-- name: inventory
-- Everything in a schema by kind and name, to hold a copy against its source.
WITH member AS (
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_namespace'::regclass AND refobjid = :schema_oid AND objsubid = 0
), relation AS (
    SELECT c.oid, c.relname, c.relkind::text AS kind FROM member JOIN pg_class c ON c.oid = objid
    WHERE classid = 'pg_class'::regclass
)
SELECT 'relation ' || kind AS kind, relname::text AS name FROM relation
UNION ALL
SELECT 'column', r.relname || '.' || a.attname FROM relation r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'index', r.relname || '.' || i.relname FROM relation r
JOIN pg_index x ON x.indrelid = r.oid JOIN pg_class i ON i.oid = x.indexrelid
UNION ALL
SELECT 'constraint ' || k.contype::text, r.relname || '.' || k.conname FROM relation r
JOIN pg_constraint k ON k.conrelid = r.oid
UNION ALL
SELECT 'default', r.relname || '.' || a.attname FROM relation r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.atthasdef AND NOT a.attisdropped
UNION ALL
SELECT 'trigger', r.relname || '.' || t.tgname FROM relation r
JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'rule', r.relname || '.' || w.rulename FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
UNION ALL
SELECT 'policy', r.relname || '.' || p.polname FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT 'routine ' || p.prokind::text, p.proname || '/' || p.pronargs FROM member
JOIN pg_proc p ON p.oid = objid WHERE classid = 'pg_proc'::regclass
UNION ALL
SELECT 'type ' || t.typtype::text, t.typname::text FROM member
JOIN pg_type t ON t.oid = objid WHERE classid = 'pg_type'::regclass
UNION ALL
SELECT 'operator', o.oprname::text FROM member
JOIN pg_operator o ON o.oid = objid WHERE classid = 'pg_operator'::regclass
UNION ALL
SELECT 'statistics', s.stxname::text FROM member
JOIN pg_statistic_ext s ON s.oid = objid WHERE classid = 'pg_statistic_ext'::regclass
UNION ALL
SELECT 'collation', c.collname::text FROM member
JOIN pg_collation c ON c.oid = objid WHERE classid = 'pg_collation'::regclass
UNION ALL
SELECT 'conversion', c.conname::text FROM member
JOIN pg_conversion c ON c.oid = objid WHERE classid = 'pg_conversion'::regclass
UNION ALL
SELECT 'text search', classid::regclass::text FROM member
WHERE classid IN ('pg_ts_config'::regclass, 'pg_ts_dict'::regclass,
                  'pg_ts_parser'::regclass, 'pg_ts_template'::regclass)
UNION ALL
SELECT 'operator class or family', classid::regclass::text FROM member
WHERE classid IN ('pg_opclass'::regclass, 'pg_opfamily'::regclass)

-- name: lock_need
-- Bounds the locks that one transaction needs to make or drop what is in some schemas. A table
-- takes a dozen, with its row type, array type, TOAST table, index and constraints.
SELECT count(d.objid) AS objects,
       count(*) FILTER (WHERE c.relkind IN ('r', 'p')) AS tables,
       (coalesce(sum(CASE WHEN c.relkind IN ('r', 'p', 'm', 'f') THEN 12 ELSE 3 END), 0)
        + 3 * coalesce(sum((SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid)), 0)
       )::bigint AS needed,
       current_setting('max_locks_per_transaction')::bigint * (
           current_setting('max_connections')::int
           + current_setting('max_prepared_transactions')::int) AS room
FROM pg_namespace n
JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
    AND d.objsubid = 0
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE n.nspname = ANY (:schema_names)

-- name: droppable
-- Objects of some schemas in an order in which each drop takes little else along: tables that
-- others inherit from, or are partitions of, come when these are gone.
SELECT kind, name FROM (
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                          WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'S' THEN 'SEQUENCE'
                          WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind,
           format('%I.%I', n.nspname, c.relname) AS name,
           CASE WHEN c.relkind IN ('v', 'm') THEN 0
                WHEN c.relkind IN ('r', 'p', 'f') THEN 1 ELSE 2 END AS turn
    FROM pg_namespace n
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
        AND d.classid = 'pg_class'::regclass AND d.objsubid = 0
    JOIN pg_class c ON c.oid = d.objid
    WHERE n.nspname = ANY (:schema_names) AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c')
      AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
      -- A sequence that a column is tied to goes with its table.
      AND NOT (c.relkind = 'S' AND EXISTS (
          SELECT FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid
            AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')))
    UNION ALL
    SELECT CASE p.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'ROUTINE' END,
           p.oid::regprocedure::text, 3
    FROM pg_namespace n
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
        AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.objid
    WHERE n.nspname = ANY (:schema_names)
      -- Part of a type, such as a range's constructors: these go with it.
      AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.classid = 'pg_proc'::regclass
                      AND o.objid = p.oid AND o.deptype = 'i')
    UNION ALL
    SELECT 'TYPE', format('%I.%I', n.nspname, t.typname), 4
    FROM pg_namespace n
    JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
        AND d.classid = 'pg_type'::regclass
    JOIN pg_type t ON t.oid = d.objid AND t.typtype IN ('e', 'd', 'r')
    WHERE n.nspname = ANY (:schema_names)
) AS objects
ORDER BY turn LIMIT :limit

-- name: definitions
-- What a schema's objects are, a row each: compared before and after DDL they tell what it changed.
-- What the service adds to tables is left out.
WITH members AS (
    SELECT c.oid, c.relname, c.relkind, c.reloptions, c.relpersistence
    FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass
      AND d.refobjid = to_regnamespace(quote_ident(:schema_name))
)
SELECT CASE m.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'S' THEN
           'sequence' WHEN 'c' THEN 'composite type' WHEN 'v' THEN 'view' ELSE 'relation' END AS kind,
       m.relname::text AS name,
       CASE m.relkind WHEN 'v' THEN pg_get_viewdef(m.oid)
            ELSE concat_ws(' ', nullif(m.relpersistence::text, 'p'),
                           array_to_string(m.reloptions, ', ')) END AS definition
FROM members m WHERE m.relkind IN ('r', 'p', 'S', 'c', 'v')
UNION ALL
SELECT 'column', format('%I.%I', m.relname, a.attname),
       concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                 CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
                      WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
                 CASE WHEN a.attgenerated <> '' THEN 'GENERATED ALWAYS AS' WHEN f.adbin IS NOT NULL
                      THEN 'DEFAULT' END, pg_get_expr(f.adbin, f.adrelid))
FROM members m
JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE m.relkind IN ('r', 'p', 'c')
UNION ALL
SELECT 'constraint', format('%I.%I', m.relname, k.conname), pg_get_constraintdef(k.oid)
FROM members m JOIN pg_constraint k ON k.conrelid = m.oid WHERE k.contype <> 'n'
UNION ALL
SELECT 'index', format('%I.%I', m.relname, i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
FROM members m JOIN pg_index i ON i.indrelid = m.oid
WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
UNION ALL
SELECT 'trigger', format('%I.%I', m.relname, g.tgname), pg_get_triggerdef(g.oid)
FROM members m JOIN pg_trigger g ON g.tgrelid = m.oid
WHERE NOT g.tgisinternal AND g.tgname <> 'pgtwin_stamp'
UNION ALL
SELECT 'comment', format('%I%s', m.relname, '.' || quote_ident(a.attname)), c.description
FROM members m JOIN pg_description c ON c.classoid = 'pg_class'::regclass AND c.objoid = m.oid
LEFT JOIN pg_attribute a ON a.attrelid = m.oid AND a.attnum = c.objsubid AND c.objsubid > 0
UNION ALL
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'range' END,
       t.typname::text,
       CASE t.typtype WHEN 'e' THEN (SELECT string_agg(quote_literal(enumlabel), ', '
                                                       ORDER BY enumsortorder)
                                     FROM pg_enum WHERE enumtypid = t.oid)
            ELSE concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                 CASE WHEN t.typnotnull THEN 'NOT NULL' END, 'DEFAULT ' || t.typdefault,
                 (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname)
                  FROM pg_constraint k WHERE k.contypid = t.oid)) END
FROM pg_depend d JOIN pg_type t ON t.oid = d.objid
WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_type'::regclass
  AND d.refobjid = to_regnamespace(quote_ident(:schema_name)) AND t.typtype IN ('e', 'd', 'r')
UNION ALL
SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_proc'::regclass
  AND d.refobjid = to_regnamespace(quote_ident(:schema_name)) AND p.prokind IN ('f', 'p')

-- name: own_locks
-- What the session has locked in a schema.
SELECT c.relname::text AS relation, l.mode
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.granted
  AND c.relnamespace = to_regnamespace(quote_ident(:schema_name)) AND l.mode <> 'AccessShareLock'
ORDER BY relation, mode

-- name: columns_to_fill
-- The columns of one table, or of whatever else has its name, a row each and at least one. `base`
-- is the type without its domains, `plain` whether arrays of it can be written with commas and
-- taken apart by unnest; `stamped` are those that the trigger pgtwin_stamp sets for end users.
SELECT c.relkind, c.relforcerowsecurity AS forced, a.attname AS name, a.atttypid AS type,
       format_type(b.oid, -1) AS base,
       b.typarray <> 0 AND b.typdelim = ',' AND b.typcategory <> 'A' AS plain,
       b.typcategory = 'S' AS is_text, a.attgenerated <> '' AS is_generated,
       a.attidentity = 'a' AS is_identity, a.atthasdef OR a.attidentity <> '' AS has_default,
       coalesce(bool_or(a.attname = 'uid' AND b.typcategory = 'S') OVER (), false)
           AND a.attgenerated = '' AND CASE a.attname
               WHEN 'uid' THEN b.typcategory = 'S'
               WHEN 'id' THEN a.atttypid = 'bigint'::regtype AND NOT EXISTS (
                   SELECT FROM pg_constraint k
                   WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
               WHEN 'create_time' THEN b.typname IN ('timestamp', 'timestamptz')
               WHEN 'update_time' THEN b.typname IN ('timestamp', 'timestamptz')
               ELSE false END AS is_stamped,
       has_column_privilege(c.oid, a.attnum, 'SELECT')
           AND has_column_privilege(c.oid, a.attnum, 'INSERT')
           AND has_column_privilege(c.oid, a.attnum, 'UPDATE') AS is_open
FROM pg_class c
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN LATERAL (
    WITH RECURSIVE base (oid) AS (
        SELECT a.atttypid
        UNION ALL
        SELECT d.typbasetype FROM base JOIN pg_type d ON d.oid = base.oid WHERE d.typtype = 'd'
    )
    SELECT t.* FROM base JOIN pg_type t ON t.oid = base.oid WHERE t.typtype <> 'd'
) AS b ON true
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :schema)
  AND c.relname = :table_name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY a.attnum

-- name: copied_for_end_users
-- What decides whether the owner may copy an end user's rows into one of his tables: what else
-- would look at these rows, or run with them, if the end user inserted them. `policies` and
-- `triggers` are those that would apply to an INSERT, `arguments` the stamp's; `expressions` are all
-- that are evaluated but the defaults of stamped columns; `is_known` is false where there is
-- anything else that could differ. Read under an empty search_path.
SELECT c.relkind = 'r' AND c.relrowsecurity AND NOT c.relforcerowsecurity AND NOT c.relhasrules
       AND has_table_privilege(:app, c.oid, 'INSERT')
       AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid)
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'x')
       AND NOT EXISTS (
           SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
           LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             AND coalesce(e.typtype, t.typtype) <> 'e'
             AND t.typnamespace NOT IN ('pg_catalog'::regnamespace, 'pgtwin_ext'::regnamespace))
       AND NOT EXISTS (
           SELECT FROM pg_index i, unnest(i.indclass) AS used
           JOIN pg_opclass o ON o.oid = used
           WHERE i.indrelid = c.oid
             AND o.opcnamespace NOT IN ('pg_catalog'::regnamespace, 'pgtwin_ext'::regnamespace))
       AS is_known,
       ARRAY(SELECT concat_ws(' ', p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[],
                              pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid))
             FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd <> 'r') AS policies,
       ARRAY(SELECT concat_ws(' ', g.tgname, g.tgenabled, g.tgtype, g.tgfoid::regproc,
                              g.tgconstraint, g.tgattr, pg_get_expr(g.tgqual, c.oid))
             FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS triggers,
       ARRAY(SELECT array_remove(string_to_array(encode(g.tgargs, 'escape'), '\000'), '')
             FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'pgtwin_stamp') AS arguments,
       ARRAY(SELECT pg_get_expr(x.expression, c.oid) FROM (
                 SELECT d.adbin FROM pg_attrdef d JOIN pg_attribute a
                     ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                 WHERE d.adrelid = c.oid
                   AND a.attname NOT IN ('uid', 'id', 'create_time', 'update_time')
                 UNION ALL SELECT k.conbin FROM pg_constraint k
                 WHERE k.conrelid = c.oid AND k.contype = 'c'
                 UNION ALL SELECT i.indexprs FROM pg_index i WHERE i.indrelid = c.oid
                 UNION ALL SELECT i.indpred FROM pg_index i WHERE i.indrelid = c.oid
             ) AS x (expression) WHERE x.expression IS NOT NULL) AS expressions,
       now()::text AS now
FROM pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :schema)
  AND c.relname = :table_name
