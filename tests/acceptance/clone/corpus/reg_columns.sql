-- Columns that refer to objects: regclass, regtype, regproc and their kin, alone, in arrays and as defaults.
CREATE TYPE mood AS ENUM ('sad');
CREATE SEQUENCE numbers;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql RETURN $1;
CREATE FUNCTION g(mood) RETURNS mood LANGUAGE sql RETURN $1;
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE TEXT SEARCH CONFIGURATION conf (COPY = simple);
CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple);
CREATE COLLATION coll FROM "C";
CREATE TABLE "Targets" (id int PRIMARY KEY);
CREATE TABLE refs (
    id int PRIMARY KEY,
    class regclass DEFAULT '"Targets"'::regclass, type regtype DEFAULT 'mood'::regtype, proc regproc, procedure regprocedure DEFAULT 'g(mood)'::regprocedure,
    role regrole DEFAULT '{role}'::text::regrole, namespace regnamespace DEFAULT '{schema}'::regnamespace,
    oper regoper, operator regoperator, config regconfig DEFAULT 'conf'::regconfig, dictionary regdictionary, collation_ regcollation,
    classes regclass[], types regtype[], roles regrole[], by_sequence bigint DEFAULT nextval('numbers')
);
INSERT INTO refs VALUES (1, '"Targets"', 'mood', 'f', 'g(mood)', '{role}', '{schema}', '###', '###(int,int)', 'conf', 'dict', 'coll',
    '{"\"Targets\"",refs}', '{mood,mood[],int}', '{{app},{role}}', 7);
INSERT INTO refs VALUES (2, 'pg_class', 'int', 'now', 'lower(text)', 'pgtwin_control', 'pg_catalog', '^@', '+(int,int)', 'english', 'simple', '"C"',
    '{pg_class}', '{text[]}', '{pgtwin_control}', 8);
INSERT INTO refs (id, class, type, procedure, role, namespace, config, classes) VALUES (3, 0, 0, 0, 0, 0, 0, '{0,NULL}');
INSERT INTO refs (id, class, type, procedure, role, namespace, config) VALUES (4, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO refs (id, class, types) VALUES (5, 'numbers', '{"refs","refs[]"}');
INSERT INTO refs (id, class) VALUES (6, 4000000001);
-- then: INSERT INTO refs (id) VALUES (7) RETURNING class::text, type::text, procedure::text, config::text, by_sequence
-- then: SELECT id, class = '"Targets"'::regclass, type = 'mood'::regtype, proc = 'f'::regproc, role = '{role}'::regrole, namespace = '{schema}'::regnamespace FROM refs ORDER BY id
