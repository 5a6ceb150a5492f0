-- XML columns.
-- needs: xml
CREATE TABLE documents (id int PRIMARY KEY, x xml DEFAULT '<empty/>', xs xml[]);
INSERT INTO documents VALUES (1, '<a b="c">it''s &amp; more<!-- x --></a>', ARRAY['<x/>'::xml]), (2, NULL, NULL), (3, 'just text', '{}');
CREATE INDEX by_b ON documents (((xpath('/a/@b', x))::text[]));
-- then: INSERT INTO documents (id) VALUES (4) RETURNING x::text
