-- A view that leans on a primary key (GROUP BY the key alone), and views over that one.
CREATE TABLE customers (id int PRIMARY KEY, name text, city text);
CREATE TABLE sales (id int PRIMARY KEY, customer int REFERENCES customers, amount numeric);
CREATE VIEW sums AS
    SELECT c.id, c.name, c.city, sum(s.amount) AS total
    FROM customers c LEFT JOIN sales s ON s.customer = c.id GROUP BY c.id;
CREATE VIEW over_sums AS SELECT city, max(total) AS highest FROM sums GROUP BY city;
CREATE MATERIALIZED VIEW kept_sums AS SELECT * FROM sums;
CREATE VIEW over_kept AS SELECT name FROM kept_sums;
CREATE RULE no_delete AS ON DELETE TO over_sums DO INSTEAD NOTHING;
INSERT INTO customers VALUES (1, 'Ann', 'Ulm'), (2, 'Bob', 'Ulm');
INSERT INTO sales VALUES (1, 1, 5), (2, 1, 7), (3, 2, 1);
REFRESH MATERIALIZED VIEW kept_sums;
COMMENT ON VIEW sums IS 'leans on the key of customers';
