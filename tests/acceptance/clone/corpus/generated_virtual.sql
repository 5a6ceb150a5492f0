-- Virtual generated columns beside stored ones.
-- from: 18
CREATE TABLE virtual_ones (
    id int PRIMARY KEY,
    price numeric NOT NULL,
    gross numeric GENERATED ALWAYS AS (price * 1.2),
    net numeric GENERATED ALWAYS AS (price * 0.8) VIRTUAL,
    stored numeric GENERATED ALWAYS AS (price * 2) STORED,
    label text GENERATED ALWAYS AS (upper('n' || id)) VIRTUAL
);
INSERT INTO virtual_ones (id, price) VALUES (1, 10), (2, 20);
CREATE VIEW over_virtual AS SELECT id, gross, label FROM virtual_ones;
-- then: INSERT INTO virtual_ones (id, price) VALUES (3, 30) RETURNING gross, net, stored, label
-- then: INSERT INTO virtual_ones (id, price, gross) VALUES (4, 30, 1)
