-- Foreign keys to, from and between partitioned tables, and to one partition alone.
CREATE TABLE accounts (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE accounts_eu PARTITION OF accounts FOR VALUES IN ('eu');
CREATE TABLE accounts_us PARTITION OF accounts FOR VALUES IN ('us');
CREATE TABLE orders (
    id int, account int, region text, PRIMARY KEY (id),
    CONSTRAINT of_account FOREIGN KEY (account, region) REFERENCES accounts ON DELETE CASCADE
);
CREATE TABLE events (
    id int, account int, region text, at date,
    CONSTRAINT by_account FOREIGN KEY (account, region) REFERENCES accounts DEFERRABLE
) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 (id int, account int, region text, at date);
ALTER TABLE events_2025 ADD CONSTRAINT by_account FOREIGN KEY (account, region) REFERENCES accounts DEFERRABLE;
ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE only_eu (account int, region text, FOREIGN KEY (account, region) REFERENCES accounts_eu);
ALTER TABLE events_2024 ADD CONSTRAINT own_one FOREIGN KEY (id) REFERENCES orders;
INSERT INTO accounts VALUES (1, 'eu'), (2, 'us');
INSERT INTO orders VALUES (1, 1, 'eu'), (2, 2, 'us');
INSERT INTO events VALUES (1, 1, 'eu', '2024-05-05'), (7, 2, 'us', '2025-05-05');
INSERT INTO only_eu VALUES (1, 'eu');
-- then: INSERT INTO events VALUES (1, 3, 'eu', '2024-05-05')
-- then: INSERT INTO events VALUES (3, 1, 'eu', '2024-05-05')
-- then: INSERT INTO only_eu VALUES (2, 'us')
-- then: DELETE FROM accounts WHERE id = 2
-- then: INSERT INTO orders VALUES (3, 1, 'eu') RETURNING id
