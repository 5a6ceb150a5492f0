-- Special values: NaN, infinities, signed zero, smallest and largest, dates before Christ, intervals.
CREATE TABLE special (
    id int PRIMARY KEY, f4 float4, f8 float8, n numeric, d date, ts timestamp, tz timestamptz, i interval, t time, tt timetz,
    small smallint, big bigint, m money, c char(5), v varchar(3), u uuid, b boolean, long_n numeric(30, 10)
);
INSERT INTO special VALUES
    (1, 'NaN', 'NaN', 'NaN', 'infinity', 'infinity', 'infinity', '1 year -2 mons 3 days -04:05:06.789', '24:00', '24:00+15:59', -32768, -9223372036854775808, '-92233720368547758.08', 'ab', '', '00000000-0000-0000-0000-000000000000', NULL, -12345678901234567890.0123456789),
    (2, 'Infinity', '-Infinity', 'Infinity', '-infinity', '-infinity', '-infinity', '-178000000 years', '00:00', '00:00-15:59', 32767, 9223372036854775807, '92233720368547758.07', '', 'é漢😀', 'ffffffff-ffff-ffff-ffff-ffffffffffff', true, 0),
    (3, '-0', '-0', '-Infinity', '4714-11-24 BC', '4714-11-24 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '0', '12:34:56.123456', '12:34:56.123456+02', 0, 0, 0, '     ', NULL, NULL, false, NULL),
    (4, 1.1754944e-38, 2.2250738585072014e-308, 1e-1000, '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '1 microsecond', NULL, NULL, NULL, NULL, NULL, E'a\nb', E'\\', NULL, NULL, 0.0000000001),
    (5, 3.4028235e38, 1.7976931348623157e308, ('1' || repeat('0', 2000))::numeric, '0001-01-01 BC', NULL, NULL, 'P1Y2M3DT4H5M6.7S', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (6, 0.1, 0.1, 1.10, '2024-02-29', '2024-02-29 23:59:60', '1883-11-18 12:00:00+00', '-00:00:00.000001', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1.5);
