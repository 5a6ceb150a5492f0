-- Functions with SQL-standard bodies, which depend on tables, views, sequences and each other.
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 2;
CREATE FUNCTION a_fourfold(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN twice(twice(n));
CREATE SEQUENCE ticks;
CREATE TABLE ledger (id int PRIMARY KEY DEFAULT nextval('ticks'), amount int DEFAULT a_fourfold(1));
CREATE VIEW high AS SELECT * FROM ledger WHERE amount > a_fourfold(2);
CREATE FUNCTION add_entry(amount int) RETURNS int LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO ledger (amount) VALUES (add_entry.amount);
    UPDATE ledger SET amount = ledger.amount + 1 WHERE ledger.amount < 0;
    SELECT max(id) FROM ledger;
END;
CREATE FUNCTION high_ones() RETURNS SETOF high LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT * FROM high h WHERE EXISTS (SELECT FROM ledger l WHERE l.id = h.id);
END;
CREATE FUNCTION empty_body() RETURNS void LANGUAGE sql BEGIN ATOMIC END;
CREATE PROCEDURE wipe(below int DEFAULT a_fourfold(1)) LANGUAGE sql
BEGIN ATOMIC
    DELETE FROM ledger WHERE id < below;
END;
CREATE FUNCTION next_tick() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT nextval('ticks'); END;
INSERT INTO ledger (amount) VALUES (5), (50);
-- then: SELECT add_entry(99)
-- then: SELECT id, amount FROM high_ones() ORDER BY id
-- then: CALL wipe()
-- then: SELECT next_tick()
-- then: DROP FUNCTION twice(int)
