-- Stored generated columns: over own functions, own types, other columns, indexed and checked.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE FUNCTION slug(words text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN lower(replace(words, ' ', '-'));
CREATE TABLE generated (
    id int PRIMARY KEY,
    price numeric NOT NULL,
    amount int NOT NULL DEFAULT 1,
    total numeric GENERATED ALWAYS AS (price * amount) STORED,
    title text,
    slug text GENERATED ALWAYS AS (slug(title)) STORED,
    mood mood GENERATED ALWAYS AS (CASE WHEN price > 10 THEN 'sad'::mood ELSE 'happy' END) STORED,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', coalesce(title, ''))) STORED,
    CONSTRAINT total_is_positive CHECK (total >= 0)
);
CREATE UNIQUE INDEX ON generated (slug);
CREATE INDEX generated_words ON generated USING gin (words);
INSERT INTO generated (id, price, amount, title)
VALUES (1, 9.99, 3, 'Red Apples'), (2, 20, 1, 'Green Pears'), (3, 0, 0, NULL);
CREATE TABLE generated_first (
    doubled int GENERATED ALWAYS AS (n * 2) STORED,
    n int
);
INSERT INTO generated_first (n) VALUES (1), (2), (NULL);
CREATE TABLE generated_expression_dropped (
    n int, twice int GENERATED ALWAYS AS (n * 2) STORED
);
INSERT INTO generated_expression_dropped (n) VALUES (3);
ALTER TABLE generated_expression_dropped ALTER COLUMN twice DROP EXPRESSION;
UPDATE generated_expression_dropped SET twice = 0;
-- then: INSERT INTO generated (id, price, amount, title) VALUES (4, 2, 2, 'New One') RETURNING total, slug, mood::text
-- then: INSERT INTO generated (id, price, total) VALUES (5, 1, 1)
-- then: INSERT INTO generated (id, price, amount) VALUES (6, -1, 1)
