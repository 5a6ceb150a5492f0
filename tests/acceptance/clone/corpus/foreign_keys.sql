-- Foreign keys: every action, match full, composite, to a unique index, several to one table.
CREATE TABLE countries (code text PRIMARY KEY, name text UNIQUE);
CREATE TABLE cities (country text, city text, zip int, PRIMARY KEY (country, city));
CREATE UNIQUE INDEX by_zip ON cities (zip);
CREATE TABLE a_people (
    id int PRIMARY KEY,
    born_in text REFERENCES countries ON DELETE CASCADE ON UPDATE CASCADE,
    lives_in text DEFAULT 'de' REFERENCES countries (code) ON DELETE SET DEFAULT ON UPDATE SET NULL,
    likes text CONSTRAINT "likes a country" REFERENCES countries (name) ON DELETE SET NULL,
    hates text REFERENCES countries ON DELETE RESTRICT ON UPDATE RESTRICT,
    country text,
    city text,
    zip int REFERENCES cities (zip),
    CONSTRAINT home FOREIGN KEY (country, city) REFERENCES cities MATCH FULL ON DELETE NO ACTION
);
INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France'), ('it', 'Italy');
INSERT INTO cities VALUES ('de', 'Ulm', 89073), ('fr', 'Lille', 59000);
INSERT INTO a_people VALUES
    (1, 'fr', 'fr', 'Germany', NULL, 'de', 'Ulm', NULL),
    (2, 'it', 'de', 'France', 'de', NULL, NULL, NULL);
-- then: INSERT INTO a_people (id, country) VALUES (3, 'de')
-- then: INSERT INTO a_people (id, born_in) VALUES (3, 'xx')
-- then: DELETE FROM cities WHERE city = 'Ulm'
-- then: UPDATE countries SET code = 'FR' WHERE code = 'fr'
-- then: DELETE FROM countries WHERE code = 'it'
-- then: SELECT id, born_in, lives_in, likes, hates FROM a_people ORDER BY id
