CREATE TABLE notes (
    id BIGSERIAL PRIMARY KEY,
    uid VARCHAR(64) NOT NULL,
    create_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    update_time TIMESTAMP,
    title VARCHAR,
    body TEXT,
    n BIGINT,
    tags TEXT[],
    doc JSONB
);
CREATE TABLE shared_colors (name TEXT PRIMARY KEY, rank INT);
CREATE TABLE parents (id BIGSERIAL PRIMARY KEY, uid VARCHAR(64) NOT NULL, name TEXT);
CREATE TABLE children (
    id BIGSERIAL PRIMARY KEY,
    uid VARCHAR(64) NOT NULL,
    parent_id BIGINT REFERENCES parents (id),
    name TEXT
);
