-- Constraint triggers: deferrable, from another table, with WHEN.
CREATE TABLE limits (most int);
CREATE TABLE spent (id int PRIMARY KEY, amount int);
CREATE FUNCTION within_limit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM spent) > (SELECT most FROM limits) THEN
        RAISE EXCEPTION 'too much' USING ERRCODE = '23514', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER limit_now AFTER INSERT ON spent NOT DEFERRABLE FOR EACH ROW
    WHEN (NEW.amount > 0) EXECUTE FUNCTION within_limit();
CREATE CONSTRAINT TRIGGER limit_later AFTER UPDATE OF amount ON spent FROM limits
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION within_limit();
CREATE CONSTRAINT TRIGGER "Limit at Will" AFTER DELETE ON spent DEFERRABLE INITIALLY IMMEDIATE
    FOR EACH ROW EXECUTE FUNCTION within_limit('x');
COMMENT ON TRIGGER limit_later ON spent IS 'at the end';
INSERT INTO limits VALUES (100);
INSERT INTO spent VALUES (1, 50), (2, 40);
UPDATE limits SET most = 60;
-- then: INSERT INTO spent VALUES (3, 20)
-- then: INSERT INTO spent VALUES (4, 0) RETURNING id
-- then: UPDATE spent SET amount = 15 WHERE id = 1
-- then: UPDATE spent SET amount = 25 WHERE id = 1
