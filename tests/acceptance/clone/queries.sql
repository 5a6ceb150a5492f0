-- name: objects
-- Every object of the schema as PostgreSQL identifies it; the triggers that keep constraints are
-- named by OIDs, and the tables for long values outlive the columns that needed them.
WITH RECURSIVE member (classid, objid) AS (
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_namespace'::regclass
      AND refobjid = (SELECT oid FROM pg_namespace WHERE nspname = $1)
    UNION
    SELECT d.classid, d.objid FROM member m
    JOIN pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid
    WHERE d.deptype IN ('a', 'i', 'P', 'S') OR d.classid = 'pg_cast'::regclass
)
SELECT regexp_replace(type || ' ' || identity, '(ConstraintTrigger_[ac_]*)\d+', '\1', 'g') AS found
FROM member, pg_identify_object(classid, objid, 0)
WHERE schema IS DISTINCT FROM 'pg_toast'

-- name: casts
SELECT format(
    '%s -> %s by %s, context %s, method %s: %s',
    format_type(castsource, NULL), format_type(casttarget, NULL), castfunc::regprocedure,
    castcontext, castmethod, obj_description(c.oid, 'pg_cast')
) AS found
FROM pg_cast c
JOIN pg_type s ON s.oid = castsource
JOIN pg_type t ON t.oid = casttarget
LEFT JOIN pg_proc f ON f.oid = castfunc
WHERE (SELECT oid FROM pg_namespace WHERE nspname = $1)
    IN (s.typnamespace, t.typnamespace, f.pronamespace)

-- name: default privileges
SELECT format(
    '%s %s: %s', CASE defaclnamespace WHEN 0 THEN 'everywhere' ELSE 'here' END, defaclobjtype,
    (SELECT string_agg(entry::text, ' ' ORDER BY entry::text) FROM unnest(defaclacl) AS entry)
) AS found
FROM pg_default_acl
WHERE defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND (defaclnamespace = 0
       OR defaclnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1))

-- name: obstacles
-- What keeps an owner from reading his own rows, and how he lifts it.
SELECT remedy
FROM pg_class c, LATERAL (
    SELECT format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', c.oid::regclass) AS remedy
    WHERE c.relforcerowsecurity
    UNION ALL
    SELECT format(
        'GRANT SELECT ON %s %s TO current_user',
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass
    )
    WHERE c.relkind IN ('r', 'p', 'm', 'S') AND NOT has_table_privilege(c.oid, 'SELECT')
) AS lifted
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)

-- name: relations
-- How to read each sequence, table, materialized view and view. A partitioned table is read as a
-- whole: the rows' way to the partitions follows from their bounds, and may follow from OIDs.
-- Output functions print the values (format), never a cast, which may be the owner's own.
SELECT
    CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view'
        WHEN 'm' THEN 'materialized view' ELSE 'rows of' END AS kind,
    c.relname::text AS name,
    c.relispopulated AS populated,
    coalesce(columns.named, '{}') AS named_columns,
    CASE c.relkind
        WHEN 'S' THEN format('SELECT last_value, is_called FROM %s', c.oid::regclass)
        ELSE format(
            'SELECT ARRAY[%s]::text[] AS row FROM %s %s', columns.list,
            CASE c.relkind WHEN 'r' THEN 'ONLY' ELSE '' END, c.oid::regclass
        ) || CASE c.relkind WHEN 'v' THEN ' ORDER BY 1' ELSE '' END
    END AS statement
FROM pg_class c
CROSS JOIN LATERAL (
    SELECT string_agg(format('format(''%%L'', %I)', a.attname), ', ' ORDER BY a.attnum) AS list,
        -- Generated columns say what their expressions say, which name the copy's schema.
        array_agg(a.position ORDER BY a.position) FILTER (WHERE a.attgenerated <> '' OR EXISTS (
            WITH RECURSIVE inside (type) AS (
                SELECT a.atttypid
                UNION
                SELECT CASE WHEN t.typbasetype <> 0 THEN t.typbasetype ELSE t.typelem END
                FROM inside JOIN pg_type t ON t.oid = type
            )
            SELECT FROM inside WHERE type IN ('regrole'::regtype, 'regnamespace'::regtype)
        )) AS named
    FROM (
        SELECT attname, atttypid, attnum, attgenerated, row_number() OVER (ORDER BY attnum) AS position
        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    ) AS a
) AS columns
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
  AND c.relkind IN ('r', 'p', 'm', 'S', 'v') AND NOT c.relispartition
ORDER BY 1, 2

-- name: insert defaults
SELECT c.relname::text AS name, format('INSERT INTO %s DEFAULT VALUES', c.oid::regclass) AS statement
FROM pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
  AND c.relkind IN ('r', 'p')
ORDER BY 1

-- name: ties
-- What in one schema depends on the other schema's objects.
WITH RECURSIVE member (side, classid, objid) AS (
    SELECT CASE nspname WHEN $1 THEN 1 ELSE 2 END, 'pg_namespace'::regclass::oid, oid
    FROM pg_namespace WHERE nspname IN ($1, $2)
    UNION
    SELECT m.side, d.classid, d.objid FROM member m
    JOIN pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid
    WHERE d.deptype IN ('a', 'i', 'P', 'S') OR m.classid = 'pg_namespace'::regclass
       OR d.classid = 'pg_cast'::regclass
)
SELECT format(
    '%s depends on %s', pg_describe_object(a.classid, a.objid, d.objsubid),
    pg_describe_object(b.classid, b.objid, d.refobjsubid)
) AS found
FROM member a
JOIN pg_depend d ON d.classid = a.classid AND d.objid = a.objid
JOIN member b ON b.classid = d.refclassid AND b.objid = d.refobjid
WHERE a.side <> b.side

-- name: ties to roles
-- What in a schema still belongs to, or names, the roles of another database.
WITH RECURSIVE member (classid, objid) AS (
    SELECT 'pg_namespace'::regclass::oid, oid FROM pg_namespace WHERE nspname = $1
    UNION
    SELECT d.classid, d.objid FROM member m
    JOIN pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid
    WHERE d.deptype IN ('a', 'i', 'P', 'S') OR m.classid = 'pg_namespace'::regclass
       OR d.classid = 'pg_cast'::regclass
)
SELECT format('%s depends on role %s', pg_describe_object(m.classid, m.objid, 0), r.rolname) AS found
FROM member m
JOIN pg_shdepend s ON s.classid = m.classid AND s.objid = m.objid
JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND r.oid = s.refobjid
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND r.rolname ~ ('^d' || $2 || '_')

-- name: memberships
SELECT format('%s is a member of %s', a.rolname, b.rolname) AS found
FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.member JOIN pg_roles b ON b.oid = m.roleid
WHERE (a.rolname ~ ('^d' || $1 || '_') AND b.rolname ~ ('^d' || $2 || '_'))
   OR (a.rolname ~ ('^d' || $2 || '_') AND b.rolname ~ ('^d' || $1 || '_'))

-- name: schemas of uid
SELECT nspname::text AS found FROM pg_namespace WHERE strpos(nspname, '_' || $1 || '_') > 0

-- name: moved sequences
SELECT format('%s is at %s', sequencename, last_value) AS found
FROM pg_sequences WHERE schemaname = $1 AND last_value IS NOT NULL
