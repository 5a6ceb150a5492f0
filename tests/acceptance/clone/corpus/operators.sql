-- Operators: infix and prefix, with commutator, negator and estimators, quoted types, used all over.
CREATE TYPE money_of AS (amount numeric, currency text);
CREATE FUNCTION plus(a money_of, b money_of) RETURNS money_of LANGUAGE sql IMMUTABLE
    RETURN ROW((a).amount + (b).amount, (a).currency)::money_of;
CREATE FUNCTION less(a money_of, b money_of) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN (a).amount < (b).amount;
CREATE FUNCTION not_less(a money_of, b money_of) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN (a).amount >= (b).amount;
CREATE FUNCTION more(a money_of, b money_of) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN (a).amount > (b).amount;
CREATE FUNCTION minus(a money_of) RETURNS money_of LANGUAGE sql IMMUTABLE RETURN ROW(-(a).amount, (a).currency)::money_of;
CREATE OPERATOR + (LEFTARG = money_of, RIGHTARG = money_of, FUNCTION = plus, COMMUTATOR = +);
CREATE OPERATOR <<< (LEFTARG = money_of, RIGHTARG = money_of, FUNCTION = less, COMMUTATOR = >>>, NEGATOR = !<<<,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR !<<< (LEFTARG = money_of, RIGHTARG = money_of, FUNCTION = not_less, NEGATOR = <<<);
CREATE OPERATOR >>> (LEFTARG = money_of, RIGHTARG = money_of, FUNCTION = more, COMMUTATOR = <<<);
CREATE OPERATOR !- (RIGHTARG = money_of, FUNCTION = minus);
CREATE FUNCTION same(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN lower(a) = lower(b);
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = same, COMMUTATOR = OPERATOR({schema}.=));
COMMENT ON OPERATOR <<< (money_of, money_of) IS 'less in amount';
COMMENT ON OPERATOR !- (NONE, money_of) IS 'minus';
CREATE TABLE prices (id int PRIMARY KEY, low money_of, high money_of, note text, CHECK (low <<< high));
CREATE INDEX big_ones ON prices (id) WHERE low >>> ROW(100, 'EUR')::money_of;
CREATE VIEW sums AS SELECT id, (low + high)::text AS total, (!- low)::text AS negative FROM prices;
CREATE VIEW by_note AS SELECT id FROM prices WHERE note OPERATOR({schema}.=) 'SAME';
INSERT INTO prices VALUES (1, ROW(1, 'EUR'), ROW(2, 'EUR'), 'same'), (2, ROW(10, 'EUR'), ROW(20, 'EUR'), 'other');
-- then: INSERT INTO prices VALUES (3, ROW(2, 'EUR'), ROW(1, 'EUR'))
-- then: SELECT id, total, negative FROM sums ORDER BY id
-- then: SELECT id FROM by_note
