-- Row security: permissive and restrictive policies for each command and role, with subqueries.
CREATE TABLE members (name text PRIMARY KEY, team int);
CREATE TABLE notes (id int PRIMARY KEY, uid varchar(64), team int, body text);
CREATE FUNCTION team_of(member text) RETURNS int LANGUAGE sql STABLE SECURITY DEFINER SET search_path = {schema}
    AS 'SELECT team FROM members WHERE name = member';
INSERT INTO members VALUES ('ann', 1), ('bob', 2);
INSERT INTO notes VALUES (1, 'ann', 1, 'a'), (2, 'bob', 2, 'b'), (3, 'x:ann', 1, 'c');
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO {app};
GRANT SELECT ON members TO {app};
CREATE POLICY everyone ON notes USING (true);
CREATE POLICY own_rows ON notes FOR SELECT TO {app} USING (uid = current_setting('pgtwin.uid', true));
CREATE POLICY "Insert Own" ON notes FOR INSERT TO {app}, PUBLIC WITH CHECK (uid IS NOT NULL AND body <> 'it''s');
CREATE POLICY update_team ON notes AS RESTRICTIVE FOR UPDATE TO {app} USING (team = team_of(uid)) WITH CHECK (team > 0);
CREATE POLICY never_delete ON notes AS RESTRICTIVE FOR DELETE TO {app}, {role} USING (false);
CREATE POLICY by_query ON notes FOR ALL TO {app}
    USING (EXISTS (SELECT FROM members m WHERE m.name = notes.uid AND m.team = notes.team));
COMMENT ON POLICY own_rows ON notes IS 'whose uid it is';
CREATE TABLE enabled_without_policy (id int);
ALTER TABLE enabled_without_policy ENABLE ROW LEVEL SECURITY;
INSERT INTO enabled_without_policy VALUES (1);
CREATE TABLE policy_without_enabling (id int);
CREATE POLICY asleep ON policy_without_enabling USING (id > 5);
INSERT INTO policy_without_enabling VALUES (1), (9);
-- then: DELETE FROM notes WHERE id = 1
-- then: SELECT id FROM notes ORDER BY id
