-- Check constraints: named, unnamed, over columns, over own functions, NO INHERIT, NOT VALID.
CREATE FUNCTION is_even(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN RETURN n % 2 = 0; END';
CREATE TABLE checked (
    id int PRIMARY KEY CHECK (id > 0),
    low int CONSTRAINT low_is_low CHECK (low < 100),
    high int,
    note text CHECK (note <> 'it''s \ bad'),
    even int CHECK (is_even(even)),
    CONSTRAINT "Low below High" CHECK (low < high),
    CHECK (low IS NOT NULL OR high IS NOT NULL),
    CONSTRAINT only_here CHECK (high < 1000) NO INHERIT
);
INSERT INTO checked VALUES (1, 1, 2, 'fine', 2), (2, -5, 999, NULL, NULL);
INSERT INTO checked VALUES (3, 50, 60, 'forbidden word', 4);
ALTER TABLE checked ADD CONSTRAINT not_yet CHECK (note !~ 'forbidden') NOT VALID;
ALTER TABLE checked ADD CONSTRAINT validated CHECK (id < 1000000) NOT VALID;
ALTER TABLE checked VALIDATE CONSTRAINT validated;
-- then: INSERT INTO checked VALUES (-1, 1, 2)
-- then: INSERT INTO checked VALUES (4, 3, 2)
-- then: INSERT INTO checked VALUES (5, 1, 2, 'forbidden')
-- then: INSERT INTO checked VALUES (6, 1, 2, 'x', 3)
-- then: INSERT INTO checked VALUES (7, 1, 2, 'x', 4)
