-- Tables of which every column fills itself: generated, identity and serial ones alone.
CREATE TABLE all_generated (a int GENERATED ALWAYS AS (1) STORED, b text GENERATED ALWAYS AS ('x' || 'y') STORED);
INSERT INTO all_generated DEFAULT VALUES;
INSERT INTO all_generated DEFAULT VALUES;
CREATE TABLE only_identity (id int GENERATED ALWAYS AS IDENTITY);
INSERT INTO only_identity SELECT FROM generate_series(1, 4);
DELETE FROM only_identity WHERE id = 2;
CREATE TABLE only_serial (id serial);
INSERT INTO only_serial SELECT FROM generate_series(1, 3);
-- then: INSERT INTO only_identity DEFAULT VALUES RETURNING id
-- then: INSERT INTO only_serial DEFAULT VALUES RETURNING id
