-- Columns of other tables' row types, of views' and in arrays, over tables with dropped columns.
CREATE TABLE z_parts (id int, gone text, name text);
ALTER TABLE z_parts DROP COLUMN gone;
ALTER TABLE z_parts ADD COLUMN weight numeric DEFAULT 1;
CREATE VIEW y_view AS SELECT name, weight FROM z_parts;
CREATE TABLE a_things (id int PRIMARY KEY, main z_parts, spare z_parts[], seen y_view);
CREATE TABLE b_nested (thing a_things, things a_things[]);
INSERT INTO z_parts VALUES (1, 'wheel', 2.5), (2, 'axle', 9);
INSERT INTO a_things SELECT 1, p, ARRAY[p, NULL, p], v FROM z_parts p, y_view v WHERE p.id = 1 AND v.name = 'axle';
INSERT INTO a_things VALUES (2, NULL, '{}', ROW(NULL, NULL)), (3, ROW(NULL, NULL, NULL), NULL, NULL);
INSERT INTO b_nested SELECT t, ARRAY[t] FROM a_things t;
-- then: SELECT (main).name, (spare[3]).weight, (seen).name FROM a_things WHERE id = 1
-- then: SELECT ((thing).main).name FROM b_nested WHERE (thing).id = 1
