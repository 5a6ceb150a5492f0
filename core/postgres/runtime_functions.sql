-- What a tenant's own sessions run: who the end user is, the stamps of his rows, and how a table
-- is opened to him. Owned as the role functions are.

-- The key of the context, as the two pads of HMAC (RFC 2104): SQL has no XOR of bytes.
CREATE TABLE IF NOT EXISTS pgtwin_admin.context_key (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    inner_pad bytea NOT NULL CHECK (length(inner_pad) = 64),
    outer_pad bytea NOT NULL CHECK (length(outer_pad) = 64)
);

CREATE OR REPLACE FUNCTION pgtwin_admin.signature(message text)
RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(outer_pad || sha256(inner_pad || convert_to(message, 'UTF8'))), 'hex')
    FROM pgtwin_admin.context_key
$$;

-- Begins a call of an end user: sets the context, for this transaction and no other. The service
-- signs for whom it is; what the setting holds is signed for the moment at which the transaction
-- began, so that a context that someone kept is nothing later, in this session or another.
CREATE OR REPLACE FUNCTION pgtwin_rt.enter(token text, app text, uid text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF token IS DISTINCT FROM pgtwin_admin.signature(
        concat_ws(':', 'enter', pg_backend_pid(), session_user, app, uid))
    THEN
        RAISE EXCEPTION 'no such user' USING ERRCODE = '42501';
    END IF;
    PERFORM set_config('pgtwin.ctx', concat_ws(':', pgtwin_admin.signature(concat_ws(
        ':', extract(epoch FROM transaction_timestamp()), pg_backend_pid(), session_user, app, uid
    )), app, uid), true);
END $$;

-- Whose rows the session may see now: '{app}:{uid}', and '{uid}' where that can't be another
-- application's user. NULL without the context that `enter` set in this transaction: then a
-- policy admits no row.
CREATE OR REPLACE FUNCTION pgtwin_rt.ctx()
RETURNS text[] LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given CONSTANT text := current_setting('pgtwin.ctx', true);
    app CONSTANT text := split_part(given, ':', 2);
    uid CONSTANT text := substr(given, 67 + length(app));
BEGIN
    IF coalesce(given, '') = '' OR left(given, 64) IS DISTINCT FROM pgtwin_admin.signature(
        concat_ws(':', extract(epoch FROM transaction_timestamp()), pg_backend_pid(),
                  session_user, app, uid))
    THEN
        RETURN NULL;
    END IF;
    RETURN CASE
        WHEN position(':' IN uid) = 0 AND app <> '' THEN ARRAY[app || ':' || uid, uid]
        WHEN app <> '' THEN ARRAY[app || ':' || uid]
        WHEN position(':' IN uid) = 0 THEN ARRAY[uid]
    END;
END $$;

-- One sequence for all numbers rows, so that ids made in the same millisecond differ.
CREATE SEQUENCE IF NOT EXISTS pgtwin_rt.row_number AS int MAXVALUE 4194303 CYCLE;
GRANT USAGE ON SEQUENCE pgtwin_rt.row_number TO PUBLIC;

-- An id as the service makes them: milliseconds since 2024, then 22 bits.
CREATE OR REPLACE FUNCTION pgtwin_rt.row_id()
RETURNS bigint LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ((extract(epoch FROM clock_timestamp()) * 1000)::bigint - 1704067200000) << 22
        | nextval('pgtwin_rt.row_number')
$$;

-- Stamps an end user's rows, whatever he sends. The arguments name the columns that there are:
-- `uid`, with the characters that it takes (0: any number), and those of id, create_time and
-- update_time that can be stamped. The context is not verified here: the policy, which comes
-- after this trigger, admits nothing under a forged one. The owner, who has none, stamps nothing.
CREATE OR REPLACE FUNCTION pgtwin_rt.stamp()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given CONSTANT text := current_setting('pgtwin.ctx', true);
    app CONSTANT text := split_part(given, ':', 2);
    bare CONSTANT text := substr(given, 67 + length(app));
    own CONSTANT text := CASE WHEN app = '' THEN bare ELSE app || ':' || bare END;
    room CONSTANT int := TG_ARGV[0];
BEGIN
    IF coalesce(given, '') = '' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF room > 0 AND length(own) > room THEN
            RAISE EXCEPTION 'the user "%" has % characters, and the column uid of "%" takes %',
                own, length(own), TG_TABLE_NAME, room USING ERRCODE = 'PGT01';
        END IF;
        NEW.uid := own;
        IF 'id' = ANY (TG_ARGV) THEN
            NEW.id := pgtwin_rt.row_id();
        END IF;
        IF 'create_time' = ANY (TG_ARGV) THEN
            NEW.create_time := now();
        END IF;
    ELSE
        IF NEW.uid IS DISTINCT FROM OLD.uid AND NEW.uid <> own
            AND (NEW.uid <> bare OR position(':' IN bare) > 0)
        THEN
            RAISE EXCEPTION 'a row of "%" can''t be given to another user', TG_TABLE_NAME
                USING ERRCODE = 'PGT02';
        END IF;
        NEW.uid := OLD.uid;
        IF 'id' = ANY (TG_ARGV) THEN
            NEW.id := OLD.id;
        END IF;
        IF 'create_time' = ANY (TG_ARGV) THEN
            NEW.create_time := OLD.create_time;
        END IF;
    END IF;
    IF 'update_time' = ANY (TG_ARGV) THEN
        NEW.update_time := now();
    END IF;
    RETURN NEW;
END $$;

-- Opens what the owner of an environment has in its schema to the environment's end users, in the
-- owner's own session: tables with a character column `uid` row by row, others whole, views as
-- those who ask. What has lost its `uid` keeps its row security: nobody sees more than before.
-- Gives the number of things that it had to do. It runs after every DDL, and mostly finds one
-- table in want of something: so the query looks at little of the others, and nowhere, neither by
-- a sequential scan nor by a hashed EXISTS, at those of all databases.
CREATE OR REPLACE FUNCTION pgtwin_rt.admit(schema_name text)
RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    app CONSTANT name := current_user || '_app';
    reader CONSTANT name := (SELECT rolname FROM pg_roles WHERE rolname = current_user || '_ro');
    done int := 0;
    what record;
    statement text;
BEGIN
    FOR what IN
        SELECT format('%I.%I', schema_name, c.relname) AS place, c.relkind, c.relrowsecurity,
               own.arguments, own.arguments IS NOT NULL AS is_scoped, t.arguments AS stamped,
               has.*
        FROM pg_depend d
        JOIN pg_class c ON c.oid = d.objid
        LEFT JOIN (pg_attribute u JOIN pg_type y ON y.oid = u.atttypid AND y.typcategory = 'S')
            ON u.attrelid = c.oid AND u.attname = 'uid' AND u.attgenerated = ''
            AND c.relkind IN ('r', 'p')
        CROSS JOIN LATERAL (
            SELECT array_agg(CASE WHEN a.attname <> 'uid' THEN a.attname::text
                                  WHEN a.atttypmod > 4 THEN (a.atttypmod - 4)::text
                                  ELSE '0' END
                             ORDER BY a.attname <> 'uid', a.attname) AS arguments
            FROM pg_attribute a
            WHERE a.attrelid = u.attrelid AND a.attname IN ('uid', 'id', 'create_time', 'update_time')
              AND a.attgenerated = '' AND CASE a.attname
                  WHEN 'uid' THEN true
                  WHEN 'id' THEN a.atttypid = 'bigint'::regtype AND (
                      SELECT true FROM pg_constraint k WHERE k.conrelid = a.attrelid
                      AND k.contype = 'f' AND a.attnum = ANY (k.conkey) LIMIT 1) IS NULL
                  ELSE a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype) END
        ) AS own
        LEFT JOIN LATERAL (
            -- Those of a trigger that is called for the owner's rows too are never right.
            SELECT CASE WHEN g.tgqual IS NULL THEN '{}' ELSE array_remove(
                string_to_array(encode(g.tgargs, 'escape'), '\000'), '') END AS arguments
            FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'pgtwin_stamp'
        ) AS t ON c.relhastriggers
        CROSS JOIN LATERAL (
            SELECT (SELECT true FROM pg_policy p WHERE p.polrelid = c.oid
                    AND p.polname = 'pgtwin_rows' LIMIT 1) IS NOT NULL AS has_policy,
                   (SELECT true FROM pg_index i WHERE i.indrelid = c.oid
                    AND i.indkey[0] = u.attnum LIMIT 1) IS NOT NULL AS has_index,
                   reader IS NULL OR (SELECT true FROM pg_policy p WHERE p.polrelid = c.oid
                    AND p.polname = 'pgtwin_reader' LIMIT 1) IS NOT NULL AS is_readable,
                   c.relkind <> 'v' OR coalesce('security_invoker=true' = ANY (c.reloptions), false)
                       AS is_invoker,
                   CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(app, c.oid, 'USAGE')
                        ELSE has_table_privilege(app, c.oid, 'SELECT')
                         AND has_table_privilege(app, c.oid, 'INSERT')
                         AND has_table_privilege(app, c.oid, 'UPDATE')
                         AND has_table_privilege(app, c.oid, 'DELETE') END AS is_granted
        ) AS has
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_namespace'::regclass
          AND d.refobjid = quote_ident(schema_name)::regnamespace AND d.deptype = 'n'
          AND c.relkind IN ('r', 'p', 'v', 'S') AND c.relowner = current_user::regrole
          AND (NOT is_granted OR NOT is_invoker
               OR CASE WHEN own.arguments IS NULL THEN t.arguments IS NOT NULL
                  ELSE NOT c.relrowsecurity OR NOT has_policy OR NOT is_readable OR NOT has_index
                   OR t.arguments IS DISTINCT FROM own.arguments
                  AND (c.relkind = 'r' OR t.arguments IS NOT NULL) END)
    LOOP
        FOREACH statement IN ARRAY array_remove(ARRAY[
            CASE WHEN what.is_scoped AND NOT what.relrowsecurity THEN
                format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', what.place) END,
            CASE WHEN what.is_scoped AND NOT what.has_policy THEN format(
                'CREATE POLICY pgtwin_rows ON %s TO %I'
                ' USING (uid = ANY ((SELECT pgtwin_rt.ctx())::text[]))'
                ' WITH CHECK (uid = ANY ((SELECT pgtwin_rt.ctx())::text[]))', what.place, app) END,
            CASE WHEN what.is_scoped AND NOT what.is_readable THEN
                format('CREATE POLICY pgtwin_reader ON %s FOR SELECT TO %I USING (true)',
                    what.place, reader) END,
            -- A partitioned table's rows are stamped where they go to.
            CASE WHEN what.stamped IS NOT NULL
                    AND (NOT what.is_scoped OR what.stamped <> what.arguments) THEN
                format('DROP TRIGGER pgtwin_stamp ON %s', what.place) END,
            CASE WHEN what.is_scoped AND what.relkind = 'r'
                    AND what.stamped IS DISTINCT FROM what.arguments THEN
                format('CREATE TRIGGER pgtwin_stamp BEFORE INSERT OR UPDATE ON %s'
                    ' FOR EACH ROW WHEN (current_setting(''pgtwin.ctx'', true) <> '''')'
                    ' EXECUTE FUNCTION pgtwin_rt.stamp(%s)', what.place,
                    (SELECT string_agg(quote_literal(a), ', ') FROM unnest(what.arguments) a)) END,
            CASE WHEN what.is_scoped AND NOT what.has_index THEN
                format('CREATE INDEX ON %s (uid)', what.place) END,
            CASE WHEN NOT what.is_invoker THEN
                format('ALTER VIEW %s SET (security_invoker = true)', what.place) END,
            CASE WHEN NOT what.is_granted AND what.relkind = 'S' THEN
                format('GRANT USAGE ON SEQUENCE %s TO %I', what.place, app) END,
            CASE WHEN NOT what.is_granted AND what.relkind <> 'S' THEN
                format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', what.place, app) END
        ], NULL) LOOP
            EXECUTE statement;
            done := done + 1;
        END LOOP;
    END LOOP;
    RETURN done;
END $$;

-- The control schema's owner adds what writes into it.
GRANT CREATE ON SCHEMA pgtwin_rt TO pgtwin_owner;
GRANT USAGE ON SCHEMA pgtwin_admin TO pgtwin_owner;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgtwin_admin FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgtwin_admin.signature(text) TO pgtwin_owner;
