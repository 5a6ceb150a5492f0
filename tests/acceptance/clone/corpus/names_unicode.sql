-- Names in other scripts, and names of exactly 63 bytes that are alike until the last byte.
CREATE TABLE "客户" ("编号" serial PRIMARY KEY, "имя" text DEFAULT 'ñ', "😀" int);
CREATE TABLE ééééééééééééééééééééééééééééééé (id int PRIMARY KEY);
CREATE TABLE ééééééééééééééééééééééééééééééée (id serial PRIMARY KEY);
CREATE TABLE a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets1 (
    a_column_of_exactly_sixty_three_bytes_that_is_as_long_as_it_ge1 serial,
    CONSTRAINT a_key_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets_1 PRIMARY KEY (a_column_of_exactly_sixty_three_bytes_that_is_as_long_as_it_ge1)
);
ALTER TABLE a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets1
    ADD COLUMN a_column_of_exactly_sixty_three_bytes_that_is_as_long_as_it_ge2 int GENERATED ALWAYS AS IDENTITY;
CREATE TABLE a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets2 (
    a_column_of_exactly_sixty_three_bytes_that_is_as_long_as_it_ge1 bigserial UNIQUE REFERENCES a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets1,
    other int CHECK (other > 0)
);
CREATE INDEX ON a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets2 (other);
CREATE INDEX ON a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets2 (other DESC);
CREATE TYPE a_type_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets1 AS ENUM ('a', 'a_label_of_exactly_sixty_three_bytes_as_long_as_a_label_can_be_');
CREATE TYPE a_type_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets2 AS (a a_type_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets1[]);
CREATE VIEW "Обзор" AS SELECT "编号" AS "N°", "имя" FROM "客户";
CREATE FUNCTION "größe"("wörter" text) RETURNS int LANGUAGE sql RETURN length("wörter");
COMMENT ON TABLE "客户" IS '顾客 😀';
INSERT INTO "客户" ("имя", "😀") VALUES ('Иван', 1), ('Zoë', 2);
INSERT INTO ééééééééééééééééééééééééééééééé VALUES (1);
INSERT INTO a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets1 DEFAULT VALUES;
INSERT INTO a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets2 (other) VALUES (1);
-- then: INSERT INTO "客户" DEFAULT VALUES RETURNING "编号", "имя"
-- then: INSERT INTO ééééééééééééééééééééééééééééééée DEFAULT VALUES RETURNING id
-- then: INSERT INTO a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets1 DEFAULT VALUES
-- then: INSERT INTO a_name_of_exactly_sixty_three_bytes_that_is_as_long_as_it_gets2 DEFAULT VALUES
