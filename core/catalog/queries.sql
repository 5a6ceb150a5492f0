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
