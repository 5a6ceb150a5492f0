-- Exclusion constraints: overlap, partial, deferrable, over expressions, by hash and by btree.
CREATE TABLE reservations (
    room int,
    during tsrange,
    cancelled boolean DEFAULT false,
    CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&) WHERE (NOT cancelled),
    EXCLUDE USING gist (int4range(room, room + 1) WITH &&, during WITH &&) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE circles (c circle, EXCLUDE USING gist (c WITH &&) WITH (fillfactor = 80));
CREATE TABLE hashed (t text, EXCLUDE USING hash (t WITH =));
CREATE TABLE lowered (t text, CONSTRAINT "Once, lowered" EXCLUDE USING btree (lower(t) WITH =));
INSERT INTO reservations VALUES (1, '[2024-01-01,2024-01-02)', false), (2, '[2024-01-01,2024-01-02)', true);
INSERT INTO circles VALUES ('<(0,0),1>'), ('<(5,5),1>');
INSERT INTO hashed VALUES ('a'), (NULL), (NULL);
INSERT INTO lowered VALUES ('A');
-- then: INSERT INTO reservations VALUES (3, '[2024-01-01 12:00,2024-01-02)')
-- then: INSERT INTO circles VALUES ('<(0,0),2>')
-- then: INSERT INTO hashed VALUES ('a')
-- then: INSERT INTO lowered VALUES ('a')
