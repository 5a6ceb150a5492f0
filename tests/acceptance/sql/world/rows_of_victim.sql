INSERT INTO notes (title, body, n, tags, doc) VALUES
    ('CANARY-VICTIM 1', 'body CANARY-VICTIM', 100, '{CANARY-VICTIM}', '{"k": "CANARY-VICTIM"}'),
    ('CANARY-VICTIM 2', 'body CANARY-VICTIM', 101, '{CANARY-VICTIM}', '{"k": "CANARY-VICTIM"}');
INSERT INTO parents (name) VALUES ('CANARY-VICTIM parent');
INSERT INTO children (parent_id, name) SELECT id, 'CANARY-VICTIM child' FROM parents;
