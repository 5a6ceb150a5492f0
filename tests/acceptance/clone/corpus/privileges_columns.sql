-- Privileges on single columns, beside and without privileges on the table.
CREATE TABLE accounts (id int PRIMARY KEY, name text, balance numeric, "Odd, ""Name""" text, secret text);
CREATE VIEW shown AS SELECT id, name FROM accounts;
GRANT SELECT (id, name), UPDATE (name), INSERT (id, name, "Odd, ""Name""") ON accounts TO {app};
GRANT SELECT (balance) ON accounts TO {app} WITH GRANT OPTION;
GRANT REFERENCES (id) ON accounts TO PUBLIC;
GRANT DELETE ON accounts TO {app};
GRANT SELECT (name), UPDATE (name) ON shown TO {app};
REVOKE UPDATE (name) ON shown FROM {app};
INSERT INTO accounts VALUES (1, 'ann', 5, 'x', 's');
-- then: SELECT has_column_privilege('{app}', 'accounts', 'name', 'SELECT'), has_column_privilege('{app}', 'accounts', 'secret', 'SELECT')
