-- Primary keys and unique constraints with every option.
CREATE TABLE named_key (id int, part text, CONSTRAINT "The Key" PRIMARY KEY (part, id));
CREATE TABLE including_key (
    id int, payload text, more text,
    PRIMARY KEY (id) INCLUDE (payload),
    UNIQUE (more) INCLUDE (payload, id)
);
CREATE TABLE nulls_not_distinct (a int, b int, UNIQUE NULLS NOT DISTINCT (a, b));
CREATE TABLE deferrable_keys (
    id int PRIMARY KEY DEFERRABLE INITIALLY IMMEDIATE,
    place int UNIQUE DEFERRABLE INITIALLY DEFERRED,
    other int UNIQUE NOT DEFERRABLE
);
CREATE TABLE packed (id int PRIMARY KEY WITH (fillfactor = 70), x int UNIQUE WITH (fillfactor = 50));
CREATE TABLE from_index (id int NOT NULL, code text);
CREATE UNIQUE INDEX code_index ON from_index (code);
CREATE UNIQUE INDEX id_index ON from_index (id);
ALTER TABLE from_index ADD CONSTRAINT code_once UNIQUE USING INDEX code_index;
ALTER TABLE from_index ADD PRIMARY KEY USING INDEX id_index;
CREATE TABLE twice_unique (a int, UNIQUE (a), CONSTRAINT again UNIQUE (a));
CREATE TABLE no_key (a int);
INSERT INTO named_key VALUES (1, 'a'), (1, 'b');
INSERT INTO including_key VALUES (1, 'p', 'm'), (2, 'p', 'n');
INSERT INTO nulls_not_distinct VALUES (1, NULL), (NULL, NULL);
INSERT INTO deferrable_keys VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO from_index VALUES (1, 'x'), (2, NULL);
INSERT INTO no_key VALUES (1), (1), (NULL);
-- then: INSERT INTO nulls_not_distinct VALUES (1, NULL)
-- then: UPDATE deferrable_keys SET place = 3 - place RETURNING id, place
-- then: UPDATE deferrable_keys SET other = 3 - other
-- then: INSERT INTO from_index VALUES (3, 'x')
-- then: INSERT INTO named_key VALUES (1, 'a')
