-- Statement triggers with transition tables.
CREATE TABLE stock (id int PRIMARY KEY, amount int);
CREATE TABLE totals (line text);
CREATE FUNCTION sum_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO totals SELECT format('%s -> %s', (SELECT sum(amount) FROM before), (SELECT sum(amount) FROM after));
    ELSE
        INSERT INTO totals SELECT format('%s of %s', count(*), sum(amount)) FROM after;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER on_insert AFTER INSERT ON stock REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION sum_changes();
CREATE TRIGGER on_update AFTER UPDATE ON stock REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION sum_changes();
INSERT INTO stock VALUES (1, 10), (2, 20);
UPDATE stock SET amount = amount + 1;
-- then: INSERT INTO stock VALUES (3, 30), (4, 40)
-- then: UPDATE stock SET amount = 0 WHERE id < 3
-- then: SELECT line FROM totals ORDER BY line
