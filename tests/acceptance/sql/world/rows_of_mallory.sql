INSERT INTO notes (title, body, n, tags, doc) VALUES
    ('mine 1', 'the first note', 1, '{a,b}', '{"k": 1, "list": [1, 2, 3], "nested": {"x": "y"}}'),
    ('mine 2', 'the second note', 2, '{b,c}', '{"k": 2}');
INSERT INTO shared_colors (name, rank) VALUES ('red', 1), ('green', 2), ('blue', 3);
INSERT INTO parents (name) VALUES ('first'), ('second');
INSERT INTO children (parent_id, name)
    SELECT id, kind || ' of first' FROM parents, (VALUES ('a'), ('b')) AS kinds (kind)
    WHERE name = 'first';
