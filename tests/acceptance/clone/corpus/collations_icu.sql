-- ICU collations: nondeterministic, with rules, in keys.
-- needs: icu
CREATE COLLATION ignore_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE COLLATION german (PROVIDER = icu, LOCALE = 'de-u-co-phonebk');
CREATE TABLE names (name text COLLATE ignore_case PRIMARY KEY, other text COLLATE german UNIQUE);
INSERT INTO names VALUES ('Ann', 'ä'), ('Bob', 'ae');
-- then: INSERT INTO names VALUES ('ANN', 'x')
