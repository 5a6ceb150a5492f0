-- Named not-null constraints, NO INHERIT, NOT VALID over rows with NULL, and renamed.
-- from: 18
CREATE TABLE named_not_null (
    id int CONSTRAINT "Id must be there" NOT NULL,
    name text NOT NULL,
    kept int CONSTRAINT only_in_parent NOT NULL NO INHERIT,
    later text
);
CREATE TABLE heir (own int) INHERITS (named_not_null);
INSERT INTO named_not_null VALUES (1, 'a', 1, NULL), (2, 'b', 2, 'x');
INSERT INTO heir (id, name) VALUES (3, 'c');
ALTER TABLE named_not_null RENAME CONSTRAINT named_not_null_name_not_null TO "Name";
ALTER TABLE named_not_null ADD CONSTRAINT not_yet NOT NULL later NOT VALID;
ALTER TABLE heir ADD CONSTRAINT heir_own NOT NULL own NOT VALID;
COMMENT ON CONSTRAINT "Id must be there" ON named_not_null IS 'a not-null with a comment';
-- then: INSERT INTO named_not_null VALUES (NULL, 'a', 1, 'x')
-- then: INSERT INTO named_not_null VALUES (4, 'a', 1, NULL)
-- then: INSERT INTO heir VALUES (4, 'a', NULL, 'x', 1) RETURNING id
