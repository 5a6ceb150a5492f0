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

CREATE OR REPLACE FUNCTION pgtwin_admin.check_verifier(verifier text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF verifier IS NULL OR verifier !~ '^SCRAM-SHA-256\$[0-9]{1,7}:[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}$' THEN
        RAISE EXCEPTION 'not a SCRAM verifier' USING ERRCODE = '22023';
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
        PERFORM pgtwin_admin.check_verifier(verifier);
    END LOOP;
    PERFORM pgtwin_admin.create_role(stem || '_prod', 'NOLOGIN');
    PERFORM pgtwin_admin.create_role(stem || '_test', 'NOLOGIN');
    PERFORM pgtwin_admin.create_role(stem || '_prod_app', format(login, prod_app));
    PERFORM pgtwin_admin.create_role(stem || '_test_app', format(login, test_app));
    PERFORM pgtwin_admin.create_role(stem || '_ddl', format(login, ddl));
    PERFORM pgtwin_admin.let_become((stem || '_prod')::name, (stem || '_ddl')::name);
    PERFORM pgtwin_admin.let_become((stem || '_test')::name, (stem || '_ddl')::name);
END $$;

-- Makes a role a member of an environment's owner, which it may become and inherits nothing from.
CREATE OR REPLACE FUNCTION pgtwin_admin.let_become(owner name, login name)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Before 16 a grant has no options: there the login's NOINHERIT says the same.
    EXECUTE format(
        CASE WHEN current_setting('server_version_num')::int >= 160000
            THEN 'GRANT %I TO %I WITH INHERIT FALSE, SET TRUE' ELSE 'GRANT %I TO %I' END,
        owner, login);
END $$;

-- Takes from a database the one login that may become both owners, and makes one for each: from
-- then on code that somebody plants in one environment can't reach the other, in whatever session
-- of the database it is run.
CREATE OR REPLACE FUNCTION pgtwin_admin.separate_owners(
    database_id bigint, prod_own text, test_own text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stem CONSTANT text := 'd' || database_id;
    login CONSTANT text := 'LOGIN NOINHERIT PASSWORD %L';
    grant_ record;
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    PERFORM pgtwin_admin.check_verifier(prod_own);
    PERFORM pgtwin_admin.check_verifier(test_own);
    PERFORM pgtwin_admin.create_role(stem || '_prod_own', format(login, prod_own));
    PERFORM pgtwin_admin.create_role(stem || '_test_own', format(login, test_own));
    PERFORM pgtwin_admin.let_become((stem || '_prod')::name, (stem || '_prod_own')::name);
    PERFORM pgtwin_admin.let_become((stem || '_test')::name, (stem || '_test_own')::name);
    FOR grant_ IN
        SELECT m.roleid::regrole AS owner, m.member::regrole AS login, m.grantor::regrole AS grantor
        FROM pg_auth_members m
        JOIN pg_roles o ON o.oid = m.roleid AND o.rolname IN (stem || '_prod', stem || '_test')
        JOIN pg_roles l ON l.oid = m.member AND l.rolname = stem || '_ddl'
    LOOP
        -- From 16 on each who granted it has to be named, be it one who prepared the server before.
        EXECUTE format(CASE WHEN current_setting('server_version_num')::int >= 160000
                THEN 'REVOKE %s FROM %s GRANTED BY %s' ELSE 'REVOKE %s FROM %s' END,
            grant_.owner, grant_.login, grant_.grantor);
    END LOOP;
    IF pg_has_role(stem || '_ddl', stem || '_prod', 'MEMBER')
        OR pg_has_role(stem || '_ddl', stem || '_test', 'MEMBER')
    THEN
        RAISE EXCEPTION 'the owners of % can''t be set apart', stem USING ERRCODE = '42501';
    END IF;
END $$;

-- Shuts a role's door: no new session, and the open ones end. A login whose password was checked
-- meanwhile is refused after that; one that got past this too is not listed yet, and is ended by
-- whoever calls again.
CREATE OR REPLACE FUNCTION pgtwin_admin.close_role(role_name name)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER ROLE %I NOLOGIN', role_name);
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT %I TO %I', role_name, current_user);
    END IF;
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = role_name AND pid <> pg_backend_pid();
END $$;

-- Shuts the door of all roles of a database.
CREATE OR REPLACE FUNCTION pgtwin_admin.close_roles(database_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name name;
    names CONSTANT name[] := pgtwin_admin.role_names(database_id);
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    FOR role_name IN
        SELECT rolname FROM pg_roles
        WHERE rolname = ANY (names) ORDER BY rolname
    LOOP
        PERFORM pgtwin_admin.close_role(role_name);
    END LOOP;
END $$;

-- Drops the roles with all that is still theirs in this database: default privileges and
-- large objects outlive the schemas and would keep a role from being dropped.
CREATE OR REPLACE FUNCTION pgtwin_admin.drop_roles(database_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name name;
    names CONSTANT name[] := pgtwin_admin.role_names(database_id);
BEGIN
    PERFORM pgtwin_admin.close_roles(database_id);
    FOR role_name IN
        SELECT rolname FROM pg_roles
        WHERE rolname = ANY (names) ORDER BY rolname
    LOOP
        EXECUTE format('DROP OWNED BY %I CASCADE', role_name);
        EXECUTE format('DROP ROLE %I', role_name);
    END LOOP;
END $$;

-- Those that a database has or may have, and those of its connections: by their place in the index
-- of names, for a server has many roles.
CREATE OR REPLACE FUNCTION pgtwin_admin.role_names(database_id bigint)
RETURNS name[] LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(('d' || database_id || suffix)::name) || ARRAY(
        SELECT rolname FROM pg_roles
        WHERE rolname >= ('d' || database_id || '_c0')::name
          AND rolname < ('d' || database_id || '_c:')::name)
    FROM unnest(ARRAY['_prod', '_test', '_prod_app', '_test_app', '_ddl', '_prod_own', '_test_own',
        '_prod_ro', '_test_ro']) AS suffix
$$;

-- Refuses an environment that is none, and a schema that is not this environment's.
CREATE OR REPLACE FUNCTION pgtwin_admin.check_place(
    database_id bigint, environment text, schema_name text
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    IF environment IS NULL OR environment NOT IN ('prod', 'test') OR NOT EXISTS (
        SELECT FROM pg_namespace n
        WHERE n.nspname = schema_name
          AND pg_get_userbyid(n.nspowner) = 'pgtwin_control'
          AND has_schema_privilege('d' || database_id || '_' || environment, n.oid, 'CREATE'))
    THEN
        RAISE EXCEPTION 'not an environment of the database' USING ERRCODE = '22023';
    END IF;
END $$;

-- The role, made on first use, that reads all of one environment, also what is made later: by
-- default privileges of the owner, and where row security is on by a policy (pgtwin_rt.admit).
CREATE OR REPLACE FUNCTION pgtwin_admin.create_reader(
    database_id bigint, environment text, schema_name text
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner CONSTANT name := 'd' || database_id || '_' || environment;
    reader CONSTANT name := owner || '_ro';
    is_super CONSTANT boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    relation record;
BEGIN
    PERFORM pgtwin_admin.check_place(database_id, environment, schema_name);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = reader) THEN
        RETURN;
    END IF;
    PERFORM pgtwin_admin.create_role(reader, 'NOLOGIN');
    IF NOT is_super THEN
        EXECUTE format('GRANT %I TO %I', owner, current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, reader);
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
        owner, schema_name, reader);
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON SEQUENCES TO %I',
        owner, schema_name, reader);
    FOR relation IN
        SELECT format('%I.%I', schema_name, c.relname) AS place, c.relkind,
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid
                       AND p.polname = 'pgtwin_rows') AS is_scoped
        FROM pg_class c
        WHERE c.relnamespace = quote_ident(schema_name)::regnamespace AND c.relowner = owner::regrole
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        ORDER BY c.relname
    LOOP
        EXECUTE format(
            CASE WHEN relation.relkind = 'S' THEN 'GRANT SELECT ON SEQUENCE %s TO %I'
                ELSE 'GRANT SELECT ON %s TO %I' END, relation.place, reader);
        IF relation.is_scoped THEN
            EXECUTE format('CREATE POLICY pgtwin_reader ON %s FOR SELECT TO %I USING (true)',
                relation.place, reader);
        END IF;
    END LOOP;
    IF NOT is_super THEN
        EXECUTE format('REVOKE %I FROM %I', owner, current_user);
    END IF;
END $$;

-- The role of a connection. One that may only read is a member of the reader. One that may write
-- becomes the owner as it logs in, and is nothing but that: what it makes belongs to the owner,
-- whatever role it goes back to. That setting is refused inside such a function, and a role may
-- change its own settings: so the service becomes the new role, sets it, and is released, all in
-- one transaction and before anybody can log in.
CREATE OR REPLACE FUNCTION pgtwin_admin.create_connection(
    database_id bigint, role_id bigint, environment text, schema_name text, read_only boolean,
    verifier text, connection_limit int, expires_at timestamptz
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner CONSTANT name := 'd' || database_id || '_' || environment;
    login CONSTANT name := 'd' || database_id || '_c' || role_id;
    has_options CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    PERFORM pgtwin_admin.check_place(database_id, environment, schema_name);
    PERFORM pgtwin_admin.check_id(role_id);
    PERFORM pgtwin_admin.check_verifier(verifier);
    IF read_only IS NULL OR connection_limit IS NULL OR connection_limit < 1 THEN
        RAISE EXCEPTION 'not a connection' USING ERRCODE = '22023';
    END IF;
    EXECUTE format(
        'CREATE ROLE %I LOGIN %s PASSWORD %L CONNECTION LIMIT %s VALID UNTIL %L', login,
        CASE WHEN read_only THEN 'INHERIT' ELSE 'NOINHERIT' END, verifier, connection_limit,
        coalesce(expires_at, 'infinity'));
    IF read_only THEN
        PERFORM pgtwin_admin.create_reader(database_id, environment, schema_name);
        EXECUTE format(
            CASE WHEN has_options THEN 'GRANT %I TO %I WITH INHERIT TRUE, SET FALSE'
                ELSE 'GRANT %I TO %I' END, owner || '_ro', login);
    ELSE
        PERFORM pgtwin_admin.let_become(owner, login);
        EXECUTE format('GRANT %I TO pgtwin_control', login);
    END IF;
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path TO %I, pgtwin_ext',
        login, current_database(), schema_name);
    IF read_only THEN
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_read_only TO on',
            login, current_database());
        RETURN NULL;
    END IF;
    RETURN format('SET LOCAL ROLE %1$I; ALTER ROLE %1$I IN DATABASE %2$I SET role TO %3$I;'
        ' SET LOCAL ROLE NONE', login, current_database(), owner);
END $$;

CREATE OR REPLACE FUNCTION pgtwin_admin.release_connection(database_id bigint, role_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    PERFORM pgtwin_admin.check_id(role_id);
    EXECUTE format('REVOKE %I FROM pgtwin_control', 'd' || database_id || '_c' || role_id);
END $$;

CREATE OR REPLACE FUNCTION pgtwin_admin.close_connection(database_id bigint, role_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    login CONSTANT name := 'd' || database_id || '_c' || role_id;
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    PERFORM pgtwin_admin.check_id(role_id);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        PERFORM pgtwin_admin.close_role(login);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION pgtwin_admin.drop_connection(database_id bigint, role_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    login CONSTANT name := 'd' || database_id || '_c' || role_id;
BEGIN
    PERFORM pgtwin_admin.close_connection(database_id, role_id);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format('DROP OWNED BY %I CASCADE', login);
        EXECUTE format('DROP ROLE %I', login);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION pgtwin_admin.version()
RETURNS int LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'SELECT 6';

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

-- The owner whose loan the service has signed, for this session and this environment.
CREATE OR REPLACE FUNCTION pgtwin_admin.lent_owner(token text, environment text)
RETURNS name LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF token IS DISTINCT FROM pgtwin_admin.signature(
        concat_ws(':', 'lend', pg_backend_pid(), session_user, environment))
        OR session_user !~ '^d\d{10,19}_ddl$' OR environment NOT IN ('prod', 'test')
    THEN
        RAISE EXCEPTION 'no such owner' USING ERRCODE = '42501';
    END IF;
    RETURN regexp_replace(session_user, 'ddl$', environment);
END $$;

-- A call about both environments of a database with owners apart is one transaction, and so one
-- session, of a login that may become neither owner. The service lends it one, for as long as it
-- takes to become it, and takes it back before anything of a tenant's is run. Nobody else ever sees
-- the loan: it is over in the transaction that makes it.
CREATE OR REPLACE FUNCTION pgtwin_rt.lend_owner(token text, environment text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pgtwin_admin.let_become(
        pgtwin_admin.lent_owner(token, environment), session_user::name);
END $$;

CREATE OR REPLACE FUNCTION pgtwin_rt.take_back_owner(token text, environment text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('REVOKE %I FROM %I',
        pgtwin_admin.lent_owner(token, environment), session_user);
END $$;

-- Ends the sessions of a database's logins. Where nobody is superuser, who may do that is a member
-- of the role: for a moment, for these roles are to be opened again as they were.
CREATE OR REPLACE FUNCTION pgtwin_admin.end_sessions(database_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_super CONSTANT boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    login name;
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    -- A transaction sees all sessions as they were when it first looked.
    PERFORM pg_stat_clear_snapshot();
    FOR login IN
        SELECT DISTINCT usename FROM pg_stat_activity
        WHERE starts_with(usename, 'd' || database_id || '_') AND pid <> pg_backend_pid()
        ORDER BY usename
    LOOP
        IF NOT is_super THEN
            EXECUTE format('GRANT %I TO %I', login, current_user);
        END IF;
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE usename = login AND pid <> pg_backend_pid();
        IF NOT is_super THEN
            EXECUTE format('REVOKE %I FROM %I', login, current_user);
        END IF;
    END LOOP;
END $$;

-- Shuts the doors of a database that stays as it is, and tells which: all that can log in, whatever
-- they are for, by their place in the index of names. Whoever copies the database is waited for.
CREATE OR REPLACE FUNCTION pgtwin_admin.close_database(database_id bigint)
RETURNS name[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    logins name[];
    login name;
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    PERFORM pg_advisory_xact_lock(database_id);
    logins := ARRAY(
        SELECT rolname FROM pg_roles
        WHERE rolname >= ('d' || database_id || '_')::name
          AND rolname < ('d' || database_id || '`')::name AND rolcanlogin
        ORDER BY rolname);
    FOREACH login IN ARRAY logins LOOP
        EXECUTE format('ALTER ROLE %I NOLOGIN', login);
    END LOOP;
    PERFORM pgtwin_admin.end_sessions(database_id);
    RETURN logins;
END $$;

-- Opens those doors again; one that is no more is passed over.
CREATE OR REPLACE FUNCTION pgtwin_admin.open_roles(database_id bigint, logins name[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    login name;
BEGIN
    PERFORM pgtwin_admin.check_id(database_id);
    FOR login IN
        SELECT rolname FROM pg_roles
        WHERE rolname = ANY (logins) AND starts_with(rolname, 'd' || database_id || '_')
        ORDER BY rolname
    LOOP
        EXECUTE format('ALTER ROLE %I LOGIN', login);
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgtwin_admin FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgtwin_admin TO pgtwin_control;
GRANT USAGE ON SCHEMA pgtwin_rt TO PUBLIC;
