"""Values of every type that a table can hold, as PostgreSQL reads them."""

# Types of the test's own; `pair` has what its text form must quote.
MADE = """
CREATE TYPE mood AS ENUM ('a', 'b c', 'd"e', 'f,g', 'NULL');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE pair_of_pairs AS (first pair, others pair[], at timestamp);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN int_list AS int[];
CREATE TYPE mood_range AS RANGE (subtype = mood);
"""

SAMPLES: dict[str, list[str]] = {
    '"char"': ["a", "", "\\"],
    "aclitem": ["=r/postgres"],
    "bigint": ["0", "-9223372036854775808", "9223372036854775807"],
    "bit": ["1", "0"],
    "bit varying": ["", "0101"],
    "boolean": ["t", "f"],
    "box": ["(1,1),(0,0)", "(1e300,2.5),(-1,-0)"],
    "bytea": ["\\x", "\\x00ff5c27", "a\\\\b"],
    "character": ["x", "'"],
    "character varying": ["", "NULL", " padded ", 'quo"te', "back\\slash", "é😀", "{},;"],
    "cid": ["5"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32"],
    "circle": ["<(1,2),3>"],
    "date": [
        "2024-02-29", "0044-03-15 BC", "infinity", "-infinity", "5874897-12-31", "4713-01-01 BC",
    ],
    "datemultirange": ["{}", "{[2024-01-01,2024-02-01),[2025-01-01,)}"],
    "daterange": ["empty", "(,)", "[2024-01-01,infinity)", "(,2024-01-01)"],
    "double precision": [
        "0", "-0", "NaN", "Infinity", "-Infinity", "0.1", "5e-324", "1e308", "1e15", "1e16",
    ],
    "inet": ["10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::1/64"],
    "int2vector": ["", "1 2 3"],
    "int4multirange": ["{}", "{[1,3),[5,)}"],
    "int4range": ["empty", "(,)", "[1,5)", "(,5)"],
    "int8multirange": ["{(,)}"],
    "int8range": ["[1,9223372036854775807)"],
    "int_list": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}"],
    "integer": ["-2147483648", "2147483647"],
    "interval": [
        "1 year 2 mons -3 days 04:05:06.789", "-00:00:01", "-1 mons +1 days", "00:00:00",
        "178000000 years", "-178000000 years",
    ],
    "json": ['{"a":1,  "a":2}', "[1.50, 1e400]", '"\\ud800"', "null", '{\n"a": "\\n"}', "0.10"],
    "jsonb": ['{"a": [1, 2.50, "é\\"\\\\"]}', "null", '"text"', "true", "1e400"],
    "jsonpath": ['$."a"[*]?(@ > 1)'],
    "line": ["{1,2,3}"],
    "lseg": ["[(1,2),(3,4)]"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "money": ["$1,234.56", "-$0.01"],
    "mood": ["a", "b c", 'd"e', "f,g", "NULL"],
    "mood_multirange": ["{}", '{["b c",)}'],
    "mood_range": ["empty", '["b c","f,g"]', "[NULL,NULL]"],
    "name": ["", "a name", 'quo"te'],
    "numeric": [
        "0", "-0.000", "NaN", "Infinity", "-Infinity", "1.500", "1e-20", "1e1000",
        "12345678901234567890.123456789012345678901234567890",
    ],
    "nummultirange": ["{[1.50,2.5),[Infinity,NaN]}", "{}"],
    "numrange": ["empty", "(,)", "[1.50,Infinity]", "[-Infinity,NaN)"],
    "oid": ["0", "4294967295"],
    "oidvector": ["", "1 4294967295"],
    "pair": ['(1,"a ""b"" \\\\ c")', "(,)", '(,"")', "(5,NULL)", '(1,"x,y(z)")'],
    "pair_of_pairs": [
        '("(1,""a """"b"""""")","{""(1,x)"",NULL,""(2,\\\\""y z\\\\"")""}","2024-01-01 00:00:00")',
        "(,,)",
    ],
    "path": ["((1,2),(3,4))", "[(1,2),(3,4)]"],
    "pg_lsn": ["16/B374D848"],
    "pg_snapshot": ["10:20:10,14,15"],
    "point": ["(1.5,-2)", "(Infinity,NaN)"],
    "polygon": ["((0,0),(1,1),(1,0))"],
    "positive": ["1", "5"],
    "real": ["0", "-0", "NaN", "-Infinity", "0.1", "3.4028235e38", "1e-45", "16777216"],
    "refcursor": ["a cursor"],
    "regclass": ["pg_class", "0"],
    "regcollation": ['"C"'],
    "regconfig": ["simple"],
    "regdictionary": ["simple"],
    "regnamespace": ["pg_catalog"],
    "regoper": ["||/"],
    "regoperator": ["*(integer,integer)"],
    "regproc": ["now"],
    "regprocedure": ["sum(integer)"],
    "regrole": ["postgres"],
    "regtype": ["integer", "mood"],
    "smallint": ["-32768", "32767"],
    "text": [
        "", "NULL", "null", " padded ", 'quo"te', "back\\slash", "'", "é😀\u2028", "{a,b}", "(a)",
        "line\nbreak\r\t\x01\x7f", "[1:2]={a}", "\\x00",
    ],
    "tid": ["(0,1)", "(4294967295,65535)"],
    "time without time zone": ["00:00:00", "24:00:00", "12:34:56.789012"],
    "time with time zone": ["12:34:56.7+05:30", "00:00:00-15:59:59"],
    "timestamp without time zone": [
        "2024-01-02 03:04:05.678901", "infinity", "-infinity", "0044-03-15 12:00:00 BC",
        "294276-12-31 23:59:59.999999", "4713-11-24 00:00:00 BC", "0001-01-01 00:00:00",
    ],
    "timestamp with time zone": [
        "2024-01-02 03:04:05.678901+02", "infinity", "-infinity", "0044-03-15 12:00:00+00 BC",
        "294276-12-31 23:59:59.999999+00",
    ],
    "tsmultirange": ['{["2024-01-01 00:00:00",)}'],
    "tsquery": ["'a' & !'b c':*"],
    "tsrange": ["empty", '["2024-01-01 00:00:00","2024-01-02 00:00:00.5"]'],
    "tstzmultirange": ['{["2024-01-01 00:00:00+00",)}'],
    "tstzrange": ["(,)", '["2024-01-01 00:00:00+00",infinity]'],
    "tsvector": ["'a':1A 'b c':2,3 'it''s'"],
    "txid_snapshot": ["10:20:10,14,15"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "vector": ["[1,2.5,-3e-05]"],
    "halfvec": ["[1,2.5]"],
    "sparsevec": ["{1:1.5,3:2}/5"],
    "xid": ["4294967295"],
    "xid8": ["18446744073709551615"],
    "xml": ['<a b="c">d &amp; e</a>'],
}  # fmt: skip

# Their input functions refuse every value.
NOT_STORABLE = {
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
}
