-- Defaults that find their sequence by text at run time, with and without the schema's name.
CREATE SEQUENCE by_name;
CREATE SEQUENCE "By Name";
CREATE FUNCTION take(sequence_name text) RETURNS bigint LANGUAGE sql AS
    'SELECT nextval($1::regclass)';
CREATE TABLE late (
    a bigint DEFAULT nextval(('{schema}.by_name'::text)::regclass),
    b bigint DEFAULT nextval('{schema}."By Name"'::text::regclass),
    c bigint DEFAULT take('{schema}.by_name'),
    note text
);
INSERT INTO late (note) VALUES ('one'), ('two');
-- then: INSERT INTO late (note) VALUES ('next') RETURNING a, b, c
