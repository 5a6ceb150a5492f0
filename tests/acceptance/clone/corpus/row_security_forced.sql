-- Row security forced upon the owner, whose policies hide rows from the owner too.
CREATE TABLE forced (id int PRIMARY KEY, visible boolean, note text);
INSERT INTO forced VALUES (1, true, 'seen'), (2, false, 'hidden'), (3, NULL, 'hidden too');
ALTER TABLE forced ENABLE ROW LEVEL SECURITY;
ALTER TABLE forced FORCE ROW LEVEL SECURITY;
CREATE POLICY only_visible ON forced USING (visible) WITH CHECK (visible);
CREATE TABLE shut (id int PRIMARY KEY);
INSERT INTO shut VALUES (1), (2);
ALTER TABLE shut ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE TABLE forced_only (id int);
ALTER TABLE forced_only FORCE ROW LEVEL SECURITY;
INSERT INTO forced_only VALUES (1);
-- then: SELECT id FROM forced ORDER BY id
-- then: INSERT INTO forced VALUES (4, false)
-- then: INSERT INTO shut VALUES (3)
