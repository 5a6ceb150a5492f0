-- Dropped columns at each end, in the middle, beside keys, defaults, comments and privileges.
CREATE TABLE gaps (first int, id int PRIMARY KEY, second text, kept text DEFAULT 'k', third int DEFAULT 3, last int);
INSERT INTO gaps VALUES (1, 10, 's', 'a', 3, 9), (2, 20, 't', 'b', 3, 8);
CREATE INDEX by_kept ON gaps (kept);
CREATE STATISTICS kept_and_id ON kept, id FROM gaps;
COMMENT ON COLUMN gaps.second IS 'goes away';
COMMENT ON COLUMN gaps.kept IS 'stays';
GRANT SELECT (kept, second) ON gaps TO {app};
ALTER TABLE gaps DROP COLUMN first, DROP COLUMN second, DROP COLUMN third, DROP COLUMN last;
ALTER TABLE gaps ADD COLUMN second int DEFAULT 22;
CREATE TABLE refers (id int, gone int, gap int REFERENCES gaps, CHECK (gap > 1));
ALTER TABLE refers DROP COLUMN gone;
INSERT INTO refers VALUES (1, 10);
CREATE VIEW over_gaps AS SELECT * FROM gaps;
-- then: INSERT INTO gaps (id) VALUES (30) RETURNING kept, second
-- then: INSERT INTO refers VALUES (2, 11)
