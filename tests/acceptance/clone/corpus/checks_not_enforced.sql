-- Constraints that are written down and not enforced, with rows that break them.
-- from: 18
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE lax (
    id int PRIMARY KEY,
    n int CONSTRAINT n_is_positive CHECK (n > 0) NOT ENFORCED,
    parent int CONSTRAINT has_parent REFERENCES parents NOT ENFORCED,
    strict int CHECK (strict > 0) ENFORCED
);
INSERT INTO lax VALUES (1, -1, 77, 1), (2, 1, NULL, 2);
CREATE TABLE enforced_later (parent int);
INSERT INTO enforced_later VALUES (5);
ALTER TABLE enforced_later
    ADD CONSTRAINT later FOREIGN KEY (parent) REFERENCES parents NOT ENFORCED;
-- then: INSERT INTO lax VALUES (3, -3, 88, 1) RETURNING id
-- then: INSERT INTO lax VALUES (4, -3, 88, -1)
