-- Partitions attached later: other order of columns, dropped columns, indexes and constraints of their own, detached ones.
CREATE TABLE readings (id bigint NOT NULL, at date NOT NULL, value numeric DEFAULT 0, CONSTRAINT plausible CHECK (value < 1000))
    PARTITION BY RANGE (at);
CREATE TABLE readings_2024 (gone text, value numeric DEFAULT 4, at date NOT NULL, id bigint NOT NULL, CONSTRAINT plausible CHECK (value < 1000));
ALTER TABLE readings_2024 DROP COLUMN gone;
ALTER TABLE readings_2024 ADD CONSTRAINT own_key PRIMARY KEY (id, at);
CREATE INDEX own_index ON readings_2024 (value);
ALTER TABLE readings ATTACH PARTITION readings_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE readings_2025 PARTITION OF readings FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
ALTER TABLE readings ADD PRIMARY KEY (id, at);
CREATE INDEX by_value ON ONLY readings (value);
CREATE INDEX readings_2025_by_value ON readings_2025 (value);
ALTER INDEX by_value ATTACH PARTITION own_index;
ALTER INDEX by_value ATTACH PARTITION readings_2025_by_value;
CREATE INDEX never_complete ON ONLY readings (at);
CREATE TABLE was_2023 PARTITION OF readings FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
INSERT INTO readings VALUES (3, '2023-03-03', 3);
ALTER TABLE readings DETACH PARTITION was_2023;
INSERT INTO readings (id, at, value) VALUES (1, '2024-02-02', 1), (2, '2025-02-02', 2);
ALTER TABLE readings_2025 ALTER COLUMN value SET DEFAULT 9;
-- then: INSERT INTO readings_2024 (id, at) VALUES (4, '2024-04-04') RETURNING value
-- then: INSERT INTO readings (id, at) VALUES (4, '2024-04-04')
-- then: INSERT INTO readings_2025 (id, at) VALUES (5, '2025-05-05') RETURNING value
-- then: INSERT INTO readings (id, at) VALUES (6, '2023-05-05')
