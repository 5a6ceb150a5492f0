-- Tables that are clustered on an index, on their key, and no more.
CREATE TABLE by_index (id int PRIMARY KEY, n int);
CREATE INDEX "Cluster Me" ON by_index (n DESC);
INSERT INTO by_index SELECT n, -n FROM generate_series(1, 20) n;
CLUSTER by_index USING "Cluster Me";
CREATE TABLE by_key (id int CONSTRAINT the_key PRIMARY KEY);
ALTER TABLE by_key CLUSTER ON the_key;
CREATE TABLE by_unique (id int, CONSTRAINT once UNIQUE (id));
ALTER TABLE by_unique CLUSTER ON once;
CREATE TABLE no_more (id int PRIMARY KEY);
ALTER TABLE no_more CLUSTER ON no_more_pkey;
ALTER TABLE no_more SET WITHOUT CLUSTER;
