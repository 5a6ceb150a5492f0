-- Columns of every other type of the system: network, bits, geometry, oids, snapshots, JSON paths, text search.
CREATE TABLE network (i inet, c cidr, m macaddr, m8 macaddr8);
CREATE TABLE bits (b bit(5), vb bit varying, vb3 varbit(3), one bit);
CREATE TABLE shapes (p point, l line, s lseg, b box, h path, g polygon, c circle);
CREATE TABLE numbers_of_the_system (o oid, oid_ oid, x xid, x8 xid8, c cid, t tid, l pg_lsn, s pg_snapshot, ts txid_snapshot, n name, ch "char", v oidvector, iv int2vector);
CREATE TABLE searched (v tsvector, q tsquery);
CREATE TABLE documents (j json, b jsonb, p jsonpath);
INSERT INTO network VALUES ('10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05'), ('::1', '2001:db8::/32', NULL, NULL);
INSERT INTO bits VALUES (B'10101', B'', B'101', B'1'), (B'00000', B'0101010101', NULL, NULL);
INSERT INTO shapes VALUES ('(1,2)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),5>'), ('(NaN,Infinity)', NULL, NULL, NULL, '((0,0))', NULL, '<(0,0),0>');
INSERT INTO numbers_of_the_system VALUES (4294967295, 1, '4294967295', '18446744073709551615', '7', '(4294967295,65535)', 'FFFFFFFF/FFFFFFFF', '10:20:10,14', '10:20:10,14', 'a name', 'c', '1 2 3', '1 -2'), (NULL, NULL, NULL, NULL, NULL, '(0,1)', '0/0', NULL, NULL, '', '\377', '', '');
INSERT INTO searched VALUES ('''a'':1A,2B ''it''''s'' ''odd word'':3', '!( a & b:*A | c ) <-> d'), ('', '');
INSERT INTO documents VALUES (E'{"b": 1,  "a": [1, 2], "b": "\\u00e9 \\u0000"}', '{"a": {"b": [null, true, 1.50, "é\\"]}}', 'strict $.a[*] ? (@ > 1 && @.b like_regex "^x" flag "i")'), ('null', 'null', '$'), (' [] ', '"x"', '$.**{2 to last}');
