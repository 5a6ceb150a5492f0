-- Sequences owned by a column, with and without being its default, and let go again.
CREATE SEQUENCE numbers;
CREATE TABLE with_default (id bigint NOT NULL DEFAULT nextval('numbers'), note text);
ALTER SEQUENCE numbers OWNED BY with_default.id;
CREATE TABLE without_default (id bigint, note text);
CREATE SEQUENCE owned_only OWNED BY without_default.id;
CREATE TABLE let_go (id serial, note text);
ALTER SEQUENCE let_go_id_seq OWNED BY NONE;
CREATE TABLE changed_default (id serial, note text);
ALTER TABLE changed_default ALTER COLUMN id DROP DEFAULT;
CREATE TABLE two_owned (id int, note text);
CREATE SEQUENCE first_owned OWNED BY two_owned.id;
CREATE SEQUENCE second_owned OWNED BY two_owned.id;
CREATE TABLE borrows (id bigint DEFAULT nextval('numbers') + 1000);
INSERT INTO with_default (note) VALUES ('a'), ('b');
INSERT INTO let_go (note) VALUES ('a');
INSERT INTO borrows DEFAULT VALUES;
SELECT nextval('owned_only'), nextval('second_owned');
-- then: INSERT INTO with_default (note) VALUES ('next') RETURNING id
-- then: INSERT INTO borrows DEFAULT VALUES RETURNING id
-- then: INSERT INTO let_go (note) VALUES ('next') RETURNING id
-- then: DROP TABLE let_go
-- then: SELECT nextval('let_go_id_seq')
-- then: DROP TABLE without_default
-- then: SELECT nextval('owned_only')
