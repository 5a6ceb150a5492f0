-- A child with a column of its own, whose parent got another one later.
-- refused: children
CREATE TABLE parents (a int);
CREATE TABLE children (own int) INHERITS (parents);
ALTER TABLE parents ADD COLUMN late text DEFAULT 'late';
INSERT INTO children VALUES (1, 2, 'x');
