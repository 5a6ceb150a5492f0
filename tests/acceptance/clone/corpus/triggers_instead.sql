-- INSTEAD OF triggers on views, and a view over such a view.
CREATE TABLE people (id int PRIMARY KEY, first text, last text);
CREATE VIEW full_names AS SELECT id, first || ' ' || last AS name FROM people;
CREATE FUNCTION split_name() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'DELETE' THEN DELETE FROM people WHERE id = OLD.id; RETURN OLD; END IF;
    INSERT INTO people VALUES (NEW.id, split_part(NEW.name, ' ', 1), split_part(NEW.name, ' ', 2))
    ON CONFLICT (id) DO UPDATE SET first = EXCLUDED.first, last = EXCLUDED.last;
    RETURN NEW;
END $body$;
CREATE TRIGGER write_name INSTEAD OF INSERT OR UPDATE OR DELETE ON full_names
    FOR EACH ROW EXECUTE FUNCTION split_name();
CREATE VIEW names_only AS SELECT name, id FROM full_names WHERE id < 100;
INSERT INTO full_names VALUES (1, 'Ann Able'), (2, 'Bob Best');
-- then: INSERT INTO full_names VALUES (3, 'Cid Cole') RETURNING name
-- then: UPDATE names_only SET name = 'Ann Apt' WHERE id = 1
-- then: DELETE FROM full_names WHERE id = 2
-- then: SELECT id, first, last FROM people ORDER BY id
