-- Privileges on tables and views: to PUBLIC, to the app role, with grant option, taken from the owner.
CREATE TABLE open_one (id int PRIMARY KEY, note text);
INSERT INTO open_one VALUES (1, 'x');
CREATE TABLE closed_one (id int PRIMARY KEY);
CREATE TABLE written_off (id int PRIMARY KEY);
CREATE VIEW a_view AS SELECT * FROM open_one;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM open_one;
GRANT SELECT ON open_one TO PUBLIC;
GRANT SELECT, INSERT ON open_one TO {app} WITH GRANT OPTION;
GRANT UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON open_one TO {app};
GRANT ALL ON closed_one TO {app};
REVOKE DELETE, TRIGGER ON closed_one FROM {app};
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON written_off FROM {role};
GRANT SELECT ON a_view, kept TO {app};
GRANT INSERT ON a_view TO PUBLIC;
GRANT ALL ON a_view TO {role} WITH GRANT OPTION;
GRANT SELECT ON written_off TO {app};
REVOKE ALL ON written_off FROM {app};
INSERT INTO closed_one VALUES (1);
-- then: INSERT INTO written_off VALUES (1)
-- then: SELECT has_table_privilege('{app}', 'open_one', 'INSERT WITH GRANT OPTION')
