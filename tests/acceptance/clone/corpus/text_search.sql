-- Text search configurations and dictionaries with options and mappings, used by columns and indexes.
CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple, STOPWORDS = english, ACCEPT = false);
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, LANGUAGE = german, STOPWORDS = german);
CREATE TEXT SEARCH DICTIONARY "Odd Dictionary" (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION copied (COPY = english);
CREATE TEXT SEARCH CONFIGURATION own (PARSER = "default");
ALTER TEXT SEARCH CONFIGURATION own ADD MAPPING FOR asciiword, word WITH plain, stems;
ALTER TEXT SEARCH CONFIGURATION own ADD MAPPING FOR int, uint, float WITH simple;
ALTER TEXT SEARCH CONFIGURATION copied ALTER MAPPING FOR asciiword WITH "Odd Dictionary", english_stem;
ALTER TEXT SEARCH CONFIGURATION copied DROP MAPPING IF EXISTS FOR email, url;
COMMENT ON TEXT SEARCH CONFIGURATION own IS 'german';
CREATE TABLE pages (
    id int PRIMARY KEY,
    body text,
    words tsvector GENERATED ALWAYS AS (to_tsvector('own'::regconfig, coalesce(body, ''))) STORED,
    wanted tsquery
);
CREATE INDEX by_words ON pages USING gin (words);
CREATE INDEX by_body ON pages USING gin (to_tsvector('copied'::regconfig, body));
INSERT INTO pages (id, body, wanted) VALUES (1, 'Die Katzen und the dogs 42', 'katz & !hund'), (2, NULL, NULL);
CREATE VIEW found AS SELECT id FROM pages WHERE words @@ to_tsquery('own', 'Katze');
-- then: INSERT INTO pages (id, body) VALUES (3, 'Der Hund') RETURNING words::text
-- then: SELECT to_tsvector('copied', 'foxes jump')::text, to_tsvector('own', 'Hunde the')::text
