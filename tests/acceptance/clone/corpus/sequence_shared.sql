-- One sequence for the keys of two tables, and of a view over both.
CREATE SEQUENCE shared_ids START 10 INCREMENT 2;
CREATE TABLE cats (id bigint PRIMARY KEY DEFAULT nextval('shared_ids'), name text);
CREATE TABLE dogs (id bigint PRIMARY KEY DEFAULT nextval('shared_ids'), name text);
CREATE VIEW animals AS SELECT id, name FROM cats UNION ALL SELECT id, name FROM dogs;
INSERT INTO cats (name) VALUES ('Minka'), ('Tom');
INSERT INTO dogs (name) VALUES ('Rex');
-- then: INSERT INTO cats (name) VALUES ('next') RETURNING id
-- then: INSERT INTO dogs (name) VALUES ('next') RETURNING id
-- then: SELECT id, name FROM animals ORDER BY id
