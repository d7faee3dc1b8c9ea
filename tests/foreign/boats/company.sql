CREATE TABLE boats (
  id INTEGER PRIMARY KEY,
  boat_name TEXT,
  type TEXT,
  seats INTEGER,
  price_per_hour REAL,
  last_checked TEXT
);
INSERT INTO boats VALUES (1, 'Marigold', 'dinghy', 3, 24, '2024-04-12');
INSERT INTO boats VALUES (2, 'Swallow', 'dinghy', 2, 22.5, '2024-04-13');
INSERT INTO boats VALUES (3, 'Old Tilda', 'rowing boat', 4, 14, '2024-03-30');
INSERT INTO boats VALUES (4, 'Pike', 'rowing boat', 3, 12, '2024-05-02');
INSERT INTO boats VALUES (5, 'Duckling', 'pedal boat', 4, 16, '2024-05-06');
INSERT INTO boats VALUES (6, 'Froggy', 'pedal boat', 4, 16, '2024-05-07');
INSERT INTO boats VALUES (7, 'Kestrel', 'keelboat', 6, 45, '2024-04-20');
INSERT INTO boats VALUES (8, 'Aurora', 'keelboat', 5, 39, '2024-04-22');
INSERT INTO boats VALUES (9, 'Otter', 'kayak', 1, 9, '2024-05-11');
INSERT INTO boats VALUES (10, 'Minnow', 'kayak', 2, 13, '2024-05-12');
INSERT INTO boats VALUES (11, 'Nixie', 'dinghy', 2, 21, '2024-04-15');

CREATE TABLE teachers (
  name TEXT,
  teaches TEXT,
  hourly_pay REAL,
  started_on TEXT
);
INSERT INTO teachers VALUES ('Mirko Dahl', 'beginners', 27, '2019-05-01');
INSERT INTO teachers VALUES ('Anneke Visser', 'racing', 29.5, '2016-06-15');
INSERT INTO teachers VALUES ('Joao Pinto', 'kids', 25, '2022-04-01');
INSERT INTO teachers VALUES ('Ruth Calloway', 'racing', 31, '2012-05-20');
INSERT INTO teachers VALUES ('Sami Lehto', 'kids', 24, '2023-05-01');
INSERT INTO teachers VALUES ('Claire Aubry', 'beginners', 28, '2018-07-01');
INSERT INTO teachers VALUES ('Bodo Krantz', 'kids', 23, '2024-04-15');

CREATE TABLE bookings (
  booking_no INTEGER PRIMARY KEY,
  customer TEXT,
  boat_id INTEGER,
  day TEXT,
  hours REAL,
  status TEXT
);
INSERT INTO bookings VALUES (501, 'Ortmann family', 5, '2024-06-01', 2, 'paid');
INSERT INTO bookings VALUES (502, 'R. Quist', 7, '2024-06-01', 4, 'paid');
INSERT INTO bookings VALUES (503, 'Hanna Weil', 9, '2024-06-02', 1, 'open');
INSERT INTO bookings VALUES (504, 'Scout Group Birch', 3, '2024-06-02', 5, 'open');
INSERT INTO bookings VALUES (505, 'Dr. Nagy', 1, '2024-06-08', 3, 'paid');
INSERT INTO bookings VALUES (506, 'Yusuf Demir', 10, '2024-06-08', 2, 'cancelled');
INSERT INTO bookings VALUES (507, 'Ilse Fromm', 6, '2024-06-09', 1.5, 'paid');
INSERT INTO bookings VALUES (508, 'Ben Tully', 2, '2024-06-09', 6, 'open');
INSERT INTO bookings VALUES (509, 'Carla Moser', 8, '2024-06-15', 3, 'cancelled');
