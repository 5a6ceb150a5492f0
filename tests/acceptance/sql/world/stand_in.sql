-- As much of the service as the corpora need to be tried on a bare PostgreSQL: row security and
-- the stamp of one environment, with a context that is not signed. Run as a superuser.
CREATE SCHEMA stand_in_rt;
CREATE FUNCTION stand_in_rt.ctx() RETURNS text[] LANGUAGE sql STABLE
    RETURN string_to_array(current_setting('pgtwin.ctx', true), '|');
-- Its arguments are the columns that it sets.
CREATE FUNCTION stand_in_rt.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    columns text[] := string_to_array(TG_ARGV[0], ',');
BEGIN
    IF TG_OP = 'UPDATE' AND NOT NEW.uid = ANY (stand_in_rt.ctx()) THEN
        RAISE insufficient_privilege USING MESSAGE = 'uid of another';
    END IF;
    IF TG_OP = 'INSERT' THEN NEW.uid := (stand_in_rt.ctx())[1]; ELSE NEW.uid := OLD.uid; END IF;
    IF 'id' = ANY (columns) THEN
        IF TG_OP = 'INSERT' THEN NEW.id := nextval('stand_in_rt.ids'); ELSE NEW.id := OLD.id; END IF;
    END IF;
    IF 'create_time' = ANY (columns) THEN
        IF TG_OP = 'INSERT' THEN NEW.create_time := now(); ELSE NEW.create_time := OLD.create_time; END IF;
    END IF;
    IF 'update_time' = ANY (columns) THEN NEW.update_time := now(); END IF;
    RETURN NEW;
END $$;
CREATE SEQUENCE stand_in_rt.ids START 7000000000000000000;
GRANT USAGE ON SCHEMA stand_in_rt TO PUBLIC;
GRANT USAGE ON SEQUENCE stand_in_rt.ids TO PUBLIC;

-- Row security, stamp and rights for every table of a schema, as after every DDL.
CREATE PROCEDURE stand_in_rt.admit(namespace text, app text) LANGUAGE plpgsql AS $$
DECLARE
    t record;
BEGIN
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', namespace, app);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', namespace, app);
    FOR t IN
        SELECT c.oid::regclass AS name, c.relkind, (
            SELECT string_agg(i.attname, ',') FROM pg_attribute i
            WHERE i.attrelid = c.oid AND i.attidentity <> 'a' AND (i.attname, i.atttypid) IN (
                ('id', 'int8'::regtype), ('create_time', 'timestamp'::regtype),
                ('update_time', 'timestamp'::regtype))
        ) AS columns
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'uid'
        WHERE c.relnamespace = namespace::regnamespace AND c.relkind IN ('r', 'p')
            AND a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)
            AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name);
        EXECUTE format(
            'CREATE POLICY pgtwin_rows ON %s TO %I USING (uid = ANY ((SELECT stand_in_rt.ctx())::text[])) '
            'WITH CHECK (uid = ANY ((SELECT stand_in_rt.ctx())::text[]))', t.name, app);
        -- A partition can't be attached to a table whose trigger has the name of its own.
        CONTINUE WHEN t.relkind = 'p';
        EXECUTE format(
            'CREATE TRIGGER pgtwin_stamp BEFORE INSERT OR UPDATE ON %s FOR EACH ROW '
            'EXECUTE FUNCTION stand_in_rt.stamp(%L)', t.name, coalesce(t.columns, ''));
    END LOOP;
END $$;
