-- Inheritance: rows at each level, own columns, overridden defaults, own constraints.
CREATE TABLE places (id serial PRIMARY KEY, name text DEFAULT 'place', size int CHECK (size > 0), tag text DEFAULT 'place');
CREATE TABLE cities (mayor text, name text DEFAULT 'city') INHERITS (places);
CREATE TABLE z_capitals (country text UNIQUE) INHERITS (cities);
ALTER TABLE cities ALTER COLUMN size SET DEFAULT 7;
ALTER TABLE z_capitals ALTER COLUMN size SET NOT NULL;
ALTER TABLE cities ADD PRIMARY KEY (id);
ALTER TABLE ONLY cities ALTER COLUMN tag SET DEFAULT 'city';
ALTER TABLE places ADD CONSTRAINT short CHECK (length(name) < 20);
ALTER TABLE places ADD CONSTRAINT top_only CHECK (id < 1000) NO INHERIT;
CREATE TABLE a_orphan () INHERITS (places);
ALTER TABLE a_orphan NO INHERIT places;
INSERT INTO places (name, size) VALUES ('sea', 1);
INSERT INTO cities (mayor) VALUES ('Ann');
INSERT INTO z_capitals (country, size) VALUES ('fr', 3);
-- then: INSERT INTO cities (mayor) VALUES ('Bob') RETURNING id, name, size, tag
-- then: INSERT INTO z_capitals (country, size) VALUES ('de', -1)
-- then: SELECT id, name, tag FROM places ORDER BY id
-- then: ALTER TABLE places DROP COLUMN tag
-- then: SELECT count(*) FROM ONLY places
