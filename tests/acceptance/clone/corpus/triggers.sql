-- Triggers that fire before and after, by row and by statement, WHEN, OF columns; none fires while copying.
CREATE TABLE log (n bigint GENERATED ALWAYS AS IDENTITY, line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SET search_path = {schema} AS $$
BEGIN
    INSERT INTO log (line) VALUES (concat_ws(' ', TG_NAME, TG_WHEN, TG_OP, TG_LEVEL, TG_ARGV[0], TG_ARGV[1]));
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FUNCTION raise_value() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.value := NEW.value + 1; RETURN NEW; END';
CREATE TABLE watched (id int PRIMARY KEY, value int DEFAULT 0, name text);
CREATE TRIGGER b_before BEFORE INSERT OR UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER a_raise BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION raise_value();
CREATE TRIGGER after_row AFTER UPDATE OF value, name ON watched FOR EACH ROW
    WHEN (OLD.value IS DISTINCT FROM NEW.value AND NEW.name <> 'it''s') EXECUTE FUNCTION note('arg', 'it''s \ "odd"');
CREATE TRIGGER after_statement AFTER INSERT OR TRUNCATE ON watched FOR EACH STATEMENT EXECUTE FUNCTION note('');
CREATE TRIGGER "Before Statement" BEFORE DELETE ON watched EXECUTE FUNCTION note(1, 2.5);
COMMENT ON TRIGGER a_raise ON watched IS 'raises by one';
INSERT INTO watched VALUES (1, 10, 'a'), (2, 20, 'b');
UPDATE watched SET value = value * 2 WHERE id = 1;
CREATE TRIGGER refuses BEFORE UPDATE ON log FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
-- then: SELECT count(*) FROM log
-- then: INSERT INTO watched VALUES (3, 30, 'c') RETURNING value
-- then: UPDATE watched SET value = 5, name = 'z' WHERE id = 2
-- then: DELETE FROM watched WHERE id = 1
-- then: SELECT n, line FROM log ORDER BY n
