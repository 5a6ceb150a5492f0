-- An attached table, whose parent got a column later: no CREATE TABLE gives this order again.
-- refused: attached
CREATE TABLE parents (a int, b int);
CREATE TABLE attached (own int, b int, a int);
ALTER TABLE attached INHERIT parents;
ALTER TABLE parents ADD late int;
INSERT INTO attached VALUES (1, 2, 3, 4);
