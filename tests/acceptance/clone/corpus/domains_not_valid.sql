-- Domain constraints that were added NOT VALID over columns whose values break them.
CREATE DOMAIN code AS text;
CREATE TABLE coded (id int PRIMARY KEY, c code, second code);
INSERT INTO coded VALUES (1, 'bad code', 'worse'), (2, 'good', NULL);
ALTER DOMAIN code ADD CONSTRAINT no_blank CHECK (VALUE !~ ' ') NOT VALID;
ALTER DOMAIN code ADD CONSTRAINT not_empty CHECK (VALUE <> '') NOT VALID;
ALTER DOMAIN code VALIDATE CONSTRAINT not_empty;
-- then: INSERT INTO coded VALUES (3, 'also bad')
-- then: INSERT INTO coded VALUES (4, '')
