-- Rules: instead, also, with conditions, several actions, returning, disabled, on views and tables.
CREATE TABLE stored (id int PRIMARY KEY, note text DEFAULT 'none', hidden boolean DEFAULT false);
CREATE TABLE log (line text);
INSERT INTO stored VALUES (1, 'one', false), (2, 'two', true);
CREATE VIEW shown AS SELECT id, note FROM stored WHERE NOT hidden;
CREATE RULE shown_insert AS ON INSERT TO shown DO INSTEAD
    INSERT INTO stored (id, note) VALUES (NEW.id, NEW.note) RETURNING id, note;
CREATE RULE shown_update AS ON UPDATE TO shown DO INSTEAD (
    UPDATE stored SET note = NEW.note WHERE id = OLD.id;
    INSERT INTO log VALUES ('changed ' || OLD.id)
);
CREATE RULE shown_delete AS ON DELETE TO shown DO INSTEAD UPDATE stored SET hidden = true WHERE id = OLD.id;
CREATE RULE logged AS ON INSERT TO stored DO ALSO INSERT INTO log VALUES ('it''s new: ' || NEW.id);
CREATE RULE kept AS ON DELETE TO stored WHERE OLD.id < 100 DO INSTEAD NOTHING;
CREATE RULE "Quiet Rule" AS ON UPDATE TO stored WHERE NEW.note IS NULL DO INSTEAD NOTHING;
CREATE RULE silenced AS ON INSERT TO log DO INSTEAD NOTHING;
ALTER TABLE log DISABLE RULE silenced;
CREATE RULE only_replicas AS ON DELETE TO log DO INSTEAD NOTHING;
ALTER TABLE log ENABLE REPLICA RULE only_replicas;
CREATE RULE in_any_case AS ON UPDATE TO log DO INSTEAD NOTHING;
ALTER TABLE log ENABLE ALWAYS RULE in_any_case;
COMMENT ON RULE kept ON stored IS 'nothing below 100 is deleted';
INSERT INTO stored VALUES (3, 'three');
CREATE TABLE swallows (id int);
INSERT INTO swallows VALUES (1), (2);
CREATE RULE nothing_enters AS ON INSERT TO swallows DO INSTEAD NOTHING;
CREATE TABLE diverted (id int);
INSERT INTO diverted VALUES (1);
CREATE RULE elsewhere AS ON INSERT TO diverted DO INSTEAD INSERT INTO swallows VALUES (NEW.id);
-- then: INSERT INTO shown VALUES (4, 'four') RETURNING id, note
-- then: UPDATE shown SET note = 'changed' WHERE id = 1
-- then: DELETE FROM shown WHERE id = 1
-- then: DELETE FROM stored
-- then: SELECT line FROM log ORDER BY line
-- then: SELECT id, note, hidden FROM stored ORDER BY id
