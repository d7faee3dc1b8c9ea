CREATE TABLE teachers (
  teacher_id INTEGER PRIMARY KEY,
  name TEXT,
  subject TEXT,
  hourly_rate REAL,
  joined TEXT
);
INSERT INTO teachers VALUES (1, 'Oona Brandt', 'violin', 34, '2012-09-01');
INSERT INTO teachers VALUES (2, 'Piet Lammers', 'piano', 36, '2008-01-15');
INSERT INTO teachers VALUES (3, 'Dorota Wilk', 'flute', 31, '2019-09-01');
INSERT INTO teachers VALUES (4, 'Samir Haddad', 'guitar', 27, '2021-02-10');
INSERT INTO teachers VALUES (5, 'Greta Lindqvist', 'cello', 38, '2015-09-01');
INSERT INTO teachers VALUES (6, 'Tom Ashby', 'trumpet', 30, '2017-04-20');
INSERT INTO teachers VALUES (7, 'Lucia Ferro', 'piano', 35, '2022-09-01');

CREATE TABLE pupils (
  id INTEGER PRIMARY KEY,
  full_name TEXT,
  age INTEGER,
  plays TEXT,
  level TEXT,
  monthly_fee REAL
);
INSERT INTO pupils VALUES (1, 'Mila Horvat', 9, 'violin', 'beginner', 48);
INSERT INTO pupils VALUES (2, 'Jonas Petrie', 12, 'piano', 'middle', 56);
INSERT INTO pupils VALUES (3, 'Ada Nwosu', 15, 'cello', 'advanced', 72);
INSERT INTO pupils VALUES (4, 'Finn Callahan', 8, 'trumpet', 'beginner', 48);
INSERT INTO pupils VALUES (5, 'Rosa Delmas', 11, 'flute', 'middle', 56);
INSERT INTO pupils VALUES (6, 'Emil Strand', 17, 'piano', 'advanced', 72);
INSERT INTO pupils VALUES (7, 'Nora Kessler', 10, 'guitar', 'beginner', 48);
INSERT INTO pupils VALUES (8, 'Leo Baptiste', 13, 'violin', 'middle', 56);
INSERT INTO pupils VALUES (9, 'Ivy Thornton', 7, 'piano', 'beginner', 48);
INSERT INTO pupils VALUES (10, 'Karim Saleh', 14, 'violin', 'advanced', 72);

CREATE TABLE instruments (
  id INTEGER PRIMARY KEY,
  item TEXT,
  family TEXT,
  maker TEXT,
  rent_month REAL,
  bought_on TEXT
);
INSERT INTO instruments VALUES (1, 'half-size violin', 'strings', 'Stentor', 9.50, '2016-08-30');
INSERT INTO instruments VALUES (2, 'full-size violin', 'strings', 'Yamaha', 14.00, '2018-03-12');
INSERT INTO instruments VALUES (3, 'student cello', 'strings', 'Gewa', 22.00, '2014-10-05');
INSERT INTO instruments VALUES (4, 'alto saxophone', 'woodwind', 'Jupiter', 26.50, '2020-01-22');
INSERT INTO instruments VALUES (5, 'concert flute', 'woodwind', 'Pearl', 18.00, '2019-06-17');
INSERT INTO instruments VALUES (6, 'clarinet', 'woodwind', 'Buffet', 16.00, '2017-11-03');
INSERT INTO instruments VALUES (7, 'trumpet', 'brass', 'Bach', 15.00, '2013-05-28');
INSERT INTO instruments VALUES (8, 'baritone horn', 'brass', 'Besson', 24.00, '2021-09-09');
