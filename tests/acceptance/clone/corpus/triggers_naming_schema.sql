-- Trigger arguments and conditions whose text names the schema.
CREATE TEXT SEARCH CONFIGURATION plain_words (COPY = simple);
CREATE TABLE documents (id int PRIMARY KEY, title text, body text, found tsvector, place text);
CREATE TRIGGER words BEFORE INSERT OR UPDATE ON documents FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger(found, '{schema}.plain_words', title, body);
CREATE FUNCTION stamp_place() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.place := (TG_ARGV[0]::regclass)::oid = TG_RELID; RETURN NEW; END';
CREATE TRIGGER place BEFORE INSERT ON documents FOR EACH ROW
    WHEN (NEW.title <> '{schema}.documents') EXECUTE FUNCTION stamp_place('{schema}.documents');
INSERT INTO documents VALUES (1, 'The Fox', 'jumps');
-- then: INSERT INTO documents VALUES (2, 'Next', 'words') RETURNING found::text, place
