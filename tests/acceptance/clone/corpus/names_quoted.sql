-- Names that need quotes: mixed case, spaces, reserved words, signs, newlines and backslashes.
CREATE TYPE "Type; DROP TABLE x" AS ENUM ('A a', 'b"b');
CREATE TYPE "pair of ""them""" AS ("First One" int, "select" text);
CREATE DOMAIN "user" AS text CONSTRAINT "check" CHECK (VALUE <> '');
CREATE SEQUENCE "Number's";
CREATE TABLE "Mixed Case" ("Id" serial PRIMARY KEY, "select" "Type; DROP TABLE x" DEFAULT 'b"b', "a.b" text, "per%cent" int, "'single'" text);
CREATE TABLE "order" ("from" int PRIMARY KEY, "group" "user", "desc" bigint DEFAULT nextval('"Number''s"'), "table" "pair of ""them""");
CREATE TABLE "back\slash" ("new
line" int, "tab	tab" int, "$$" int, "$1" int, ":name" text, " " int, "-- comment" int, "/* comment */" int);
CREATE TABLE "dot.dot" (id int REFERENCES "order" ("from"));
CREATE TABLE "1digit" ("2digit" int CHECK ("2digit" > 0));
CREATE TABLE "ctid_like" ("TABLEOID" int, "Ctid" int);
CREATE INDEX "index ""of"" order" ON "order" ("group", ("desc" + 1));
CREATE VIEW "a View" AS SELECT "from" AS "From", "group" || 'x' AS "Group""" FROM "order";
CREATE FUNCTION "a function"("an arg" int, OUT "a.result" int) LANGUAGE sql RETURN "an arg" + 1;
CREATE FUNCTION "trigger"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW."per%cent" := 100; RETURN NEW; END';
CREATE TRIGGER "Trig ""ger" BEFORE INSERT ON "Mixed Case" FOR EACH ROW EXECUTE FUNCTION "trigger"('it''s');
CREATE POLICY "po licy" ON "Mixed Case" USING ("a.b" IS NOT NULL);
GRANT SELECT ("select", "a.b") ON "Mixed Case" TO {app};
COMMENT ON COLUMN "back\slash"."new
line" IS 'odd';
COMMENT ON TABLE "back\slash" IS 'odd too';
INSERT INTO "Mixed Case" ("a.b", "'single'") VALUES ('x', 'y');
INSERT INTO "order" VALUES (1, 'g', DEFAULT, ROW(1, 's'));
INSERT INTO "back\slash" VALUES (1, 2, 3, 4, '5', 6, 7, 8);
INSERT INTO "dot.dot" VALUES (1);
INSERT INTO "1digit" VALUES (1);
-- then: INSERT INTO "Mixed Case" ("a.b") VALUES ('next') RETURNING "Id", "per%cent"
-- then: INSERT INTO "order" VALUES (2, '')
-- then: INSERT INTO "order" VALUES (3, 'x') RETURNING "desc"
-- then: SELECT "From", "Group""" FROM "a View" ORDER BY 1
