-- Tables and sequences whose owner took all privileges away, his own included, with rows inside.
-- refused: locked_away
CREATE TABLE locked_away (id int PRIMARY KEY, note text);
INSERT INTO locked_away VALUES (1, 'still here'), (2, 'and here');
CREATE SEQUENCE locked_numbers;
SELECT nextval('locked_numbers');
CREATE TABLE read_only (id int PRIMARY KEY);
INSERT INTO read_only VALUES (1);
REVOKE ALL ON locked_away FROM {role};
REVOKE ALL ON SEQUENCE locked_numbers FROM {role};
REVOKE SELECT ON read_only FROM {role};
