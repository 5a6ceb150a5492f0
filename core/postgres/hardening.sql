-- Takes from PUBLIC what a tenant's code could disturb others with: sleeping, the advisory locks
-- and large objects that all databases share, other sessions, notices, the server's settings, and
-- what runs a query that it is given as text. Isolation does not depend on any of it. Run by a
-- superuser; what a release of PostgreSQL does not have is passed over.
--
-- set_config stays: pg_dump needs it under the databases' own logins, and a right that is granted
-- to each of them would make every create write the same row of the catalog. So does
-- pg_terminate_backend, by which a login ends what it has left running.
DO $$
DECLARE
    function regprocedure;
    relation regclass;
    service CONSTANT text[] := ARRAY['pgtwin_control', 'pgtwin_owner'];
    role_name text;
BEGIN
    FOR function IN
        SELECT p.oid FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND (
            p.proname ~ '^(lo_|pg_sleep|pg_try_advisory_|(query|table|schema|database|cursor)_to_xml)'
            OR p.proname ~ '^pg_advisory_(xact_)?lock'
            OR p.proname = ANY (ARRAY['loread', 'lowrite', 'pg_notify', 'ts_stat', 'ts_rewrite',
                'pg_logical_emit_message', 'pg_cancel_backend',
                'pg_stat_get_activity', 'pg_log_backend_memory_contexts']))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        FOREACH role_name IN ARRAY service LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', function, role_name);
        END LOOP;
    END LOOP;
    FOR relation IN
        SELECT c.oid FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'v'
          AND c.relname = ANY (ARRAY['pg_stat_activity', 'pg_stat_replication', 'pg_stat_ssl',
              'pg_stat_gssapi', 'pg_prepared_xacts'])
    LOOP
        EXECUTE format('REVOKE SELECT ON %s FROM PUBLIC', relation);
        EXECUTE format('GRANT SELECT ON %s TO pgtwin_control', relation);
    END LOOP;
    REVOKE UPDATE ON pg_catalog.pg_settings FROM PUBLIC;
END $$;
