-- Temporal keys: WITHOUT OVERLAPS and a foreign key with PERIOD.
-- from: 18
CREATE TABLE rooms (
    room int4range,
    during daterange,
    note text,
    CONSTRAINT room_times PRIMARY KEY (room, during WITHOUT OVERLAPS)
);
CREATE TABLE bookings (
    id int PRIMARY KEY,
    room int4range,
    during daterange,
    UNIQUE (room, during WITHOUT OVERLAPS),
    CONSTRAINT in_a_room FOREIGN KEY (room, PERIOD during) REFERENCES rooms (room, PERIOD during)
);
INSERT INTO rooms VALUES ('[1,2)', '[2024-01-01,2024-02-01)', 'a'), ('[1,2)', '[2024-02-01,2024-03-01)', 'b');
INSERT INTO bookings VALUES (1, '[1,2)', '[2024-01-15,2024-02-15)');
-- then: INSERT INTO rooms VALUES ('[1,2)', '[2024-01-10,2024-01-11)', 'refused')
-- then: INSERT INTO bookings VALUES (2, '[1,2)', '[2024-03-15,2024-04-15)')
-- then: INSERT INTO bookings VALUES (3, '[1,2)', '[2024-02-20,2024-02-25)') RETURNING id
