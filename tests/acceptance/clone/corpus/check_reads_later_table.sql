-- Checks that read other tables, which a copy may fill later than the table with the check.
CREATE TABLE z_allowed (word text PRIMARY KEY);
INSERT INTO z_allowed VALUES ('yes'), ('no');
CREATE FUNCTION is_allowed(wanted text) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = {schema} AS $$
BEGIN RETURN EXISTS (SELECT FROM z_allowed WHERE word = wanted); END $$;
CREATE TABLE a_words (word text CONSTRAINT known CHECK (is_allowed(word)));
CREATE DOMAIN allowed AS text CHECK (is_allowed(VALUE));
CREATE TABLE b_words (word allowed);
CREATE INDEX by_allowed ON a_words (word);
INSERT INTO a_words VALUES ('yes');
INSERT INTO b_words VALUES ('no');
-- then: INSERT INTO a_words VALUES ('maybe')
-- then: INSERT INTO b_words VALUES ('maybe')
-- then: INSERT INTO a_words VALUES ('no')
