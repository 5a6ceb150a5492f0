-- Standalone sequences: called and not called, all options, negative, cycling, used up.
CREATE SEQUENCE plain;
CREATE SEQUENCE called_once;
CREATE SEQUENCE narrow AS smallint;
CREATE SEQUENCE middling AS integer START 7;
CREATE SEQUENCE optional INCREMENT BY 10 MINVALUE 5 MAXVALUE 500 START WITH 15 CACHE 20 CYCLE;
CREATE SEQUENCE falling INCREMENT BY -3 MAXVALUE 10 MINVALUE -100 START WITH 10;
CREATE SEQUENCE falling_far AS bigint INCREMENT BY -1;
CREATE SEQUENCE set_uncalled;
CREATE SEQUENCE set_called;
CREATE SEQUENCE used_up MAXVALUE 2;
CREATE SEQUENCE about_to_cycle MAXVALUE 3 CYCLE;
CREATE SEQUENCE largest MAXVALUE 9223372036854775807;
CREATE SEQUENCE moved_start START 5;
SELECT nextval('called_once');
SELECT nextval('narrow') FROM generate_series(1, 5);
SELECT nextval('falling') FROM generate_series(1, 2);
SELECT setval('set_uncalled', 77, false), setval('set_called', 77, true);
SELECT nextval('used_up') FROM generate_series(1, 2);
SELECT nextval('about_to_cycle') FROM generate_series(1, 3);
SELECT setval('largest', 9223372036854775806);
ALTER SEQUENCE moved_start START 50;
-- then: SELECT nextval('plain'), nextval('called_once'), nextval('narrow'), nextval('middling')
-- then: SELECT nextval('optional'), nextval('falling'), nextval('falling_far')
-- then: SELECT nextval('set_uncalled'), nextval('set_called')
-- then: SELECT nextval('used_up')
-- then: SELECT nextval('about_to_cycle'), nextval('largest'), nextval('moved_start')
