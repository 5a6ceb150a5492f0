-- The functions through which the service makes and drops the roles of a database; owned by an
-- administrator, or by pgtwin_roles where nobody is superuser.

GRANT USAGE ON SCHEMA pgtwin_admin TO pgtwin_control;

CREATE OR REPLACE FUNCTION pgtwin_admin.check_id(database_id bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF database_id IS NULL OR database_id < 2147483648 THEN
        RAISE EXCEPTION 'not a database id: %', database_id USING ERRCODE = '22023';
    END IF;
END $$;

-- One that is there already, as when a repair completes a database, is made to log in again.
CREATE OR REPLACE FUNCTION pgtwin_admin.create_role(role_name text, attributes text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format('ALTER ROLE %I %s', role_name, attributes);
    ELSE
        EXECUTE format('CREATE ROLE %I %s', role_name, attributes);
    END IF;
END $$;

-- The service may make and drop the roles of a database, by number and nothing else. A login
-- with CREATEROLE would gain an ADMIN membership with each role, and creates would slow down
-- with their number (PostgreSQL 16 and later); and it could touch roles that are not ours.
CREATE OR REPLACE FUNCTION pgtwin_admin.create_roles(
    database_id bigint, prod_app text, test_app text, ddl text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stem CONSTANT text := 'd' || database_id;
    login CONSTANT text := 'LOGIN NOINHERIT PASSWORD %L';
    verifier text;
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    FOREACH verifier IN ARRAY ARRAY[prod_app, test_app, ddl] LOOP
        IF verifier IS NULL OR verifier !~ '^SCRAM-SHA-256\$[0-9]{1,7}:[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}$' THEN
            RAISE EXCEPTION 'not a SCRAM verifier' USING ERRCODE = '22023';
        END IF;
    END LOOP;
    PERFORM pgtwin_admin.create_role(stem || '_prod', 'NOLOGIN');
    PERFORM pgtwin_admin.create_role(stem || '_test', 'NOLOGIN');
    PERFORM pgtwin_admin.create_role(stem || '_prod_app', format(login, prod_app));
    PERFORM pgtwin_admin.create_role(stem || '_test_app', format(login, test_app));
    PERFORM pgtwin_admin.create_role(stem || '_ddl', format(login, ddl));
    -- Before 16 a grant has no options: there the login's NOINHERIT says the same.
    EXECUTE format(
        CASE WHEN current_setting('server_version_num')::int >= 160000
            THEN 'GRANT %I, %I TO %I WITH INHERIT FALSE, SET TRUE' ELSE 'GRANT %I, %I TO %I' END,
        stem || '_prod', stem || '_test', stem || '_ddl');
END $$;

-- Shuts the roles' door: no new session, and the open ones end.
CREATE OR REPLACE FUNCTION pgtwin_admin.close_roles(database_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name name;
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    FOR role_name IN
        SELECT rolname FROM pg_roles
        WHERE rolname = ANY (pgtwin_admin.role_names(database_id)) ORDER BY rolname
    LOOP
        EXECUTE format('ALTER ROLE %I NOLOGIN', role_name);
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            EXECUTE format('GRANT %I TO %I', role_name, current_user);
        END IF;
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE usename = role_name AND pid <> pg_backend_pid();
    END LOOP;
END $$;

-- Drops the roles with all that is still theirs in this database: default privileges and
-- large objects outlive the schemas and would keep a role from being dropped.
CREATE OR REPLACE FUNCTION pgtwin_admin.drop_roles(database_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name name;
BEGIN
    PERFORM pgtwin_admin.close_roles(database_id);
    FOR role_name IN
        SELECT rolname FROM pg_roles
        WHERE rolname = ANY (pgtwin_admin.role_names(database_id)) ORDER BY rolname
    LOOP
        EXECUTE format('DROP OWNED BY %I CASCADE', role_name);
        EXECUTE format('DROP ROLE %I', role_name);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION pgtwin_admin.role_names(database_id bigint)
RETURNS name[] LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(('d' || database_id || suffix)::name)
    FROM unnest(ARRAY['_prod', '_test', '_prod_app', '_test_app', '_ddl']) AS suffix
$$;

CREATE OR REPLACE FUNCTION pgtwin_admin.version()
RETURNS int LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'SELECT 3';

-- A ticket lets the login of a new database, once, fill it from another: it becomes a member of
-- the source's owners and has the schemas' names changed, both for the length of a transaction.
-- `done_at` is written by that transaction, and so tells whether it was committed.
CREATE TABLE IF NOT EXISTS pgtwin_admin.copy_ticket (
    id bigint PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    source_id bigint NOT NULL,
    target_id bigint NOT NULL,
    environments text[] NOT NULL,
    source_schemas text[] NOT NULL,
    target_schemas text[] NOT NULL,
    done_at timestamptz
);
GRANT SELECT, INSERT, DELETE ON pgtwin_admin.copy_ticket TO pgtwin_control;

CREATE OR REPLACE FUNCTION pgtwin_admin.checked_ticket(ticket text)
RETURNS pgtwin_admin.copy_ticket LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found pgtwin_admin.copy_ticket;
BEGIN
    SELECT * INTO found FROM pgtwin_admin.copy_ticket AS t
    WHERE t.digest = sha256(convert_to(ticket, 'UTF8')) AND t.done_at IS NULL
      AND session_user = 'd' || t.target_id || '_ddl';
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'no such ticket' USING ERRCODE = '42501';
    END IF;
    RETURN found;
END $$;

-- Drops, and other copies, of the source wait; until the session ends.
CREATE OR REPLACE FUNCTION pgtwin_rt.lock_source(ticket text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_lock((pgtwin_admin.checked_ticket(ticket)).source_id);
END $$;

CREATE OR REPLACE FUNCTION pgtwin_rt.begin_copy(ticket text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found pgtwin_admin.copy_ticket := pgtwin_admin.checked_ticket(ticket);
    environment text;
BEGIN
    FOREACH environment IN ARRAY found.environments LOOP
        EXECUTE format(
            CASE WHEN current_setting('server_version_num')::int >= 160000
                THEN 'GRANT %I TO %I WITH INHERIT TRUE, SET FALSE' ELSE 'GRANT %I TO %I' END,
            'd' || found.source_id || '_' || environment,
            'd' || found.target_id || '_' || environment);
    END LOOP;
END $$;

-- Inward: the source gets a passing name and the target the source's; outward: back again.
CREATE OR REPLACE FUNCTION pgtwin_rt.swap(
    ticket text, environment text, passing text, inward boolean
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found pgtwin_admin.copy_ticket := pgtwin_admin.checked_ticket(ticket);
    place CONSTANT int := array_position(found.environments, environment);
    source CONSTANT text := found.source_schemas[place];
    target CONSTANT text := found.target_schemas[place];
BEGIN
    IF place IS NULL OR passing !~ '^pgtwin_copied_[0-9a-f]{16}$' THEN
        RAISE EXCEPTION 'not a swap' USING ERRCODE = '22023';
    END IF;
    IF inward THEN
        EXECUTE format('ALTER SCHEMA %I RENAME TO %I', source, passing);
        EXECUTE format('ALTER SCHEMA %I RENAME TO %I', target, source);
    ELSE
        EXECUTE format('ALTER SCHEMA %I RENAME TO %I', source, target);
        EXECUTE format('ALTER SCHEMA %I RENAME TO %I', passing, source);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION pgtwin_rt.end_copy(ticket text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found pgtwin_admin.copy_ticket := pgtwin_admin.checked_ticket(ticket);
    environment text;
BEGIN
    FOREACH environment IN ARRAY found.environments LOOP
        EXECUTE format('REVOKE %I FROM %I',
            'd' || found.source_id || '_' || environment,
            'd' || found.target_id || '_' || environment);
    END LOOP;
    UPDATE pgtwin_admin.copy_ticket SET done_at = now() WHERE id = found.id;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgtwin_admin FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgtwin_admin TO pgtwin_control;
GRANT USAGE ON SCHEMA pgtwin_rt TO PUBLIC;
