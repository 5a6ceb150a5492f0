-- Aggregates: plain, moving, parallel, ordered-set, hypothetical, variadic; also as window functions.
CREATE FUNCTION add_up(state numeric, n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN coalesce(state, 0) + coalesce(n, 0);
CREATE FUNCTION take_off(state numeric, n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN coalesce(state, 0) - coalesce(n, 0);
CREATE FUNCTION finish(state numeric) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'sum ' || state;
CREATE AGGREGATE own_sum(numeric) (
    SFUNC = add_up, STYPE = numeric, FINALFUNC = finish, INITCOND = '0', COMBINEFUNC = add_up, PARALLEL = SAFE,
    MSFUNC = add_up, MINVFUNC = take_off, MSTYPE = numeric, MFINALFUNC = finish, MINITCOND = '0'
);
CREATE FUNCTION larger(a anyelement, b anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS
    'SELECT CASE WHEN $1 > $2 THEN $1 ELSE $2 END';
CREATE AGGREGATE largest(anyelement) (SFUNC = larger, STYPE = anyelement);
CREATE FUNCTION collect(state text[], word text) RETURNS text[] LANGUAGE sql IMMUTABLE RETURN state || word;
CREATE FUNCTION middle(state text[], fraction float8) RETURNS text LANGUAGE sql IMMUTABLE RETURN state[ceil(fraction * cardinality(state))];
CREATE AGGREGATE pick(fraction float8 ORDER BY word text) (
    SFUNC = collect, STYPE = text[], INITCOND = '{}', FINALFUNC = middle, FINALFUNC_MODIFY = READ_ONLY
);
CREATE FUNCTION count_args(state int, VARIADIC words text[]) RETURNS int LANGUAGE sql IMMUTABLE RETURN state + cardinality(words);
CREATE AGGREGATE counted(VARIADIC text[]) (SFUNC = count_args, STYPE = int, INITCOND = '0', SSPACE = 64);
CREATE AGGREGATE "Quoted Aggregate"(text) (SFUNC = collect, STYPE = text[], INITCOND = '{"it''s"}');
CREATE AGGREGATE rows_seen(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = '0');
COMMENT ON AGGREGATE own_sum(numeric) IS 'the own sum';
CREATE TABLE n (id int, word text);
INSERT INTO n SELECT i, 'w' || i FROM generate_series(1, 5) i;
CREATE VIEW over_aggregates AS
    SELECT own_sum(id) AS total, largest(id) AS most, pick(0.5) WITHIN GROUP (ORDER BY word DESC) AS middle,
        counted(word, word) AS args, "Quoted Aggregate"(word ORDER BY word) AS words, rows_seen(*) AS rows
    FROM n;
CREATE VIEW moving AS SELECT id, own_sum(id) OVER (ORDER BY id ROWS 1 PRECEDING) AS pairs FROM n;
-- then: SELECT total, most, middle, args, words, rows FROM over_aggregates
-- then: SELECT id, pairs FROM moving ORDER BY id
