-- Deferrable and NOT VALID foreign keys, and ON DELETE SET NULL for some of the columns.
CREATE TABLE parents (tenant int, id int, PRIMARY KEY (tenant, id));
CREATE TABLE children (
    id int PRIMARY KEY,
    tenant int NOT NULL,
    parent int,
    step_parent int DEFAULT 1,
    CONSTRAINT now FOREIGN KEY (tenant, parent) REFERENCES parents
        ON DELETE SET NULL (parent) DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT later FOREIGN KEY (tenant, step_parent) REFERENCES parents
        ON DELETE SET DEFAULT (step_parent) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE orphans (id int PRIMARY KEY, tenant int, parent int);
INSERT INTO parents VALUES (1, 1), (1, 2), (1, 3);
INSERT INTO children VALUES (1, 1, 2, 3), (2, 1, 3, 2);
INSERT INTO orphans VALUES (1, 9, 9), (2, 1, 1);
-- commit
ALTER TABLE orphans ADD CONSTRAINT unchecked FOREIGN KEY (tenant, parent) REFERENCES parents NOT VALID;
ALTER TABLE children ADD CONSTRAINT third FOREIGN KEY (tenant, parent) REFERENCES parents NOT DEFERRABLE NOT VALID;
ALTER TABLE children VALIDATE CONSTRAINT third;
ALTER TABLE children DROP CONSTRAINT third;
-- then: INSERT INTO orphans VALUES (3, 9, 9)
-- then: DELETE FROM parents WHERE id = 3
-- then: SELECT id, tenant, parent, step_parent FROM children ORDER BY id
