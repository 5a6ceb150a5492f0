-- Procedures: arguments of each mode, transaction control, security definer, overloads, comments.
CREATE TABLE done (id int GENERATED ALWAYS AS IDENTITY, what text);
CREATE PROCEDURE remember(what text) LANGUAGE sql AS $$INSERT INTO done (what) VALUES (remember.what)$$;
CREATE PROCEDURE remember(what text, times int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..times LOOP CALL remember(what || i); END LOOP;
END $$;
CREATE PROCEDURE counted(INOUT total bigint, VARIADIC words text[] DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
    SELECT count(*) + total INTO total FROM done;
END $$;
CREATE PROCEDURE answer(IN a int, OUT b int) LANGUAGE plpgsql AS 'BEGIN b := a * 2; END';
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO done (what) VALUES ('kept');
    COMMIT;
    INSERT INTO done (what) VALUES ('lost');
    ROLLBACK;
END $$;
CREATE PROCEDURE guarded() LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema} AS 'BEGIN CALL remember(''guarded''); END';
COMMENT ON PROCEDURE remember(text) IS 'one line';
CALL remember('first');
-- then: CALL remember('again', 2)
-- then: CALL counted(100)
-- then: CALL answer(4, NULL)
-- then: CALL guarded()
-- then: CALL commits()
-- then: SELECT id, what FROM done ORDER BY id
