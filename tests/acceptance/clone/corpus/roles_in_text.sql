-- Functions, policies, views and checks whose text names the owner and the app role.
CREATE TABLE guarded (id int PRIMARY KEY, who text DEFAULT '{role}' CHECK (who <> '{app}'));
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY for_the_app ON guarded USING (current_user = '{app}' OR pg_has_role('{role}', 'MEMBER'));
CREATE VIEW who_am_i AS SELECT current_user = '{role}' AS is_owner;
CREATE FUNCTION may_read() RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN RETURN has_table_privilege('{app}', 'guarded', 'SELECT'); END$$;
CREATE FUNCTION is_owned() RETURNS boolean LANGUAGE sql
    AS $$SELECT pg_get_userbyid(relowner) = '{role}' FROM pg_class WHERE oid = 'guarded'::regclass$$;
GRANT SELECT ON guarded TO {app};
INSERT INTO guarded (id) VALUES (1);
-- then: INSERT INTO guarded (id) VALUES (2) RETURNING who = current_user
-- then: INSERT INTO guarded VALUES (3, '{app}')
-- then: SELECT may_read(), is_owned(), is_owner FROM who_am_i
