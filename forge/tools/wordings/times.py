"""Everyday problems of hours, dates, years and ages that one expression solves, and how people put them."""

from __future__ import annotations

import random

from forge.tools.declaration import Drawn, Intent
from forge.tools.wordings.slots import Slot, everyday_problem, whole_number


def day_of_month(low: int, high: int) -> Slot:
    """A day as people say it, such as 3rd."""

    def draw(rng: random.Random) -> tuple[str, str]:
        day = rng.randint(low, high)
        ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        return f"{day}{ending}", str(day)

    return draw


def any_word(*words: str) -> Slot:
    """A word that only makes the sentence."""

    def draw(rng: random.Random) -> tuple[str, str]:
        word = rng.choice(words)
        return word, word

    return draw


def year(low: int, high: int) -> Slot:
    """A year, never in groups of digits."""

    def draw(rng: random.Random) -> tuple[str, str]:
        number = str(rng.randint(low, high))
        return number, number

    return draw


def clock_minute(rng: random.Random) -> tuple[str, str]:
    """Minutes of a clock, with two digits, and their number."""
    minute = rng.choice((0, 5, 15, 30, 30, 45, rng.randint(1, 59)))
    return f"{minute:02}", str(minute)


# fmt: off
_MONTHS = any_word("january", "march", "april", "may", "june", "july", "august", "october", "december")
_NAMES = any_word("tom", "ann", "my brother", "my sister", "the girl", "lena", "my cousin", "sam")
# The larger unit, the smaller one that is asked for, how many of it, the most of the larger.
_TWO_UNITS = (
    (("minutes", "min"), ("seconds", "sec", "secs"), "60", 50),
    (("days",), ("hours", "h"), "24", 20),
    (("weeks",), ("days",), "7", 20),
    (("years",), ("months",), "12", 20),
    (("feet", "ft", "foot"), ("inches", "in"), "12", 12),
    (("kg", "kilos"), ("grams", "g"), "1000", 20),
    (("meters", "m"), ("cm", "centimeters"), "100", 20),
    (("km",), ("meters", "m"), "1000", 20),
    (("euros", "dollars"), ("cents",), "100", 40),
    (("dozen",), ("eggs",), "12", 12),
)


def pick_measure_of_two_units(rng: random.Random) -> Drawn:
    """Such as 5 feet 11 inches, in inches."""
    large, small, factor, high = rng.choice(_TWO_UNITS)
    a, b = str(rng.randint(2, high)), str(rng.randint(2, int(factor) - 1))
    return {"a": a, "A": a, "b": b, "B": b, "u": rng.choice(large), "v": rng.choice(small), "K": factor}, None


_TWO_UNITS_INTENT = Intent(
    "two_units", "{A}*{K}+{B}", pick_measure_of_two_units, (), (
        "{a} {u} {b} {v} in {v}", "{a} {u} and {b} {v} in {v}", "how many {v} are {a} {u} and {b} {v}?",
        "convert {a} {u} {b} {v} to {v}", "[what is|whats] {a} {u} {b} {v} in {v}?", "{a} {u} {b} {v} to {v}",
        "{a} {u} plus {b} {v}, how many {v}?", "{a} {u} and {b} {v} is how many {v}?", "{a} {u} {b} {v} = ? {v}",
        "{a} {u} and {b} more {v}, in {v}?", "total {v} in {a} {u} and {b} {v}?", "turn {a} {u} and {b} {v} into {v}",
        "how many {v} is that: {a} {u}, {b} {v}?", "i need {a} {u} {b} {v} in {v} only", "all in {v}: {a} {u} {b} {v}",
        "it is {a} {u} and {b} {v}, what's that just in {v}?", "can you express {a} {u} and {b} {v} in {v}?",
        "in {v}, how much are {a} {u} and {b} {v}?",
    ), 1.5,
)
_SPAN = {"a": year(1900, 2010), "b": year(2011, 2060)}
_HOUR = {"a": whole_number(1, 11, 0), "b": whole_number(12, 23, 0)}
YEAR_PROBLEMS = (
    everyday_problem("years", "{B}-{A}", _SPAN,
        "born in {a}, how old in {b}?", "how many years from {a} to {b}?", "from {a} to {b}, how many years?",
        "how old is someone in {b} who was born {a}?", "years between {a} and {b}?", "{a} until {b} is how long?",
        "i was born in {a}, how old am i in {b}?", "how many years between {a} and {b}?",
        "[she|he] was born in {a}, [her|his] age in {b}?", "how old will i be in {b} if i was born in {a}?",
        "{a} to {b} how many years", "married in {a}, which anniversary is {b}?", "how long is it from {a} until {b}?",
        "the house was built in {a}, how old is it in {b}?", "we married in {a}. in {b} that's how many years?",
        "a company founded in {a}, how old in {b}?", "year of birth {a}, age in {b}?", "born {a} died {b}, how old?",
        "grandpa was born in {a} and died in {b}, how old did he get?", "my car is from {a}, how old is it in {b}?",
        "it's {b} now and i'm born {a}, my age?", "how many years passed from {a} to {b}?",
        "in {b}, how long ago was {a}?",
        "what age in {b} for a person born in {a}?", "he worked there from {a} to {b}, how many years?",
        "since {a} we live here, in {b} how many years will it be?", "how many birthdays from {a} to {b}?",
        "the contract runs from {a} to {b}, how many years?", "{b} is how many years after {a}?",
        "someone born in {a} turns how old in {b}?", "how far apart are the years {a} and {b}?",
        "our club started in {a}; which jubilee do we have in {b}?", weight=2),
    everyday_problem("later", "{A}+{B}", {"a": year(1900, 2030), "b": whole_number(2, 99, 0)},
        "what year is {b} years after {a}?", "{b} years after {a}?", "{a} plus {b} years",
        "in {a} he started, {b} years later it was?", "born in {a}, when do i turn {b}?",
        "{b} years from {a} is what year?",
        "what year will it be {b} years after {a}?", "when will someone born in {a} be {b}?",
        "{a} and {b} years later?",
        "i was born in {a}, in what year am i {b}?", "which year is {b} years after {a}?", "{b} years later than {a}?",
        "we married in {a}, when is our {b} year anniversary?", "if it is {a} now, what year in {b} years?",
        "bought in {a} with {b} years of warranty, until what year?",
        "in which year will a child born in {a} turn {b}?",
        "loan from {a}, runs {b} years, ends when?", "started in {a}, lasted {b} years. which year did it end?",
        "year {a}, add {b} years", "she was born in {a} and lived {b} years, when did she die?",
        "count {b} years on from {a}",
        "born {a}, {b}th birthday in which year?", "a tree planted in {a}, when is it {b} years old?",
        "the king came in {a} and ruled for {b} years, until when?",
        "my passport is from {a}, valid {b} years, till what year?"),
    everyday_problem("earlier", "{A}-{B}", {"a": year(1950, 2050), "b": whole_number(2, 99, 0)},
        "what year was {b} years before {a}?", "{b} years before {a}?", "i am {b} in {a}, what year was i born?",
        "{a} minus {b} years", "he died in {a} aged {b}, when was he born?", "if i'm {b} in {a}, when was i born?",
        "she turned {b} in {a}, birth year?", "which year is {b} years before {a}?",
        "it is {a}, what year was it {b} years ago?",
        "year of birth if someone is {b} in {a}?", "in {a} the house was {b} years old, built when?",
        "aged {b} in {a}, born in?",
        "{b} years earlier than {a}?", "our {b} year anniversary is in {a}, when did we marry?",
        "{b} years back from {a}, what year?",
        "my dad is {b} this year, {a}. what year was he born?", "count back {b} years from {a}",
        "{a}, {b} years ago it was?",
        "he was {b} years old in {a}. which year was he born in?", "in {a} the club turned {b}, when was it founded?"),
    everyday_problem("older", "{A}+{B}", {"a": whole_number(2, 80), "b": whole_number(2, 30)},
        "my brother is {a}, i am {b} years older, my age?",
        "she is {a} and he is {b} years older, how old is he?", "i am {a} now, how old in {b} years?",
        "a boy is {a}, his sister {b} years older. her age?",
        "tom is {a}, ann is {b} years older, how old is ann?", "how old will i be in {b} years if i am {a} now?",
        "i'm {a}, my sister is {b} years older, how old is she?", "[im|i am] {a}, age in {b} years?",
        "{a} years old, and in {b} years?",
        "she's {b} years older than me and i'm {a}. how old is she?", "{b} years older than {a} is what age?",
        "my dog is {a}, how old is he in {b} years?", "in {b} years, how old is someone who is {a} today?",
        "my wife is {a}, i'm {b} older. so i am?", "lisa is {b} years older than max, who is {a}. how old is lisa?",
        "i'm {a} and want to stop working in {b} years, how old will i be then?", "he's {a} now. {b} years from now?",
        "mum was {b} when i was born, i'm {a} now, how old is mum?",
        "my son is {a}. what age is he {b} years from now?",
        "a man is {a}, his brother is {b} years older. age of the brother?",
        "older by {b} years than a girl of {a}, how old?",
        "they met when she was {a}, that was {b} years ago. her age now?", "{b} years ago i was {a}, how old am i now?",
        "the cat is {a}, the dog {b} years older. how old is the dog?",
        "if my cousin is {a} and i am {b} years older, my age is?", "turned {a} today! how old in {b} years?"),
    everyday_problem("younger", "{A}-{B}", {"a": whole_number(32, 80), "b": whole_number(2, 30)},
        "i am {a}, she is {b} years younger, how old is she?",
        "he is {a} and his wife {b} years younger, her age?", "i am {a} now, how old was i {b} years ago?",
        "mum is {a}, dad {b} years younger. dad's age?", "i'm {a}, my brother is {b} years younger, how old is he?",
        "how old was i {b} years ago if i'm {a} now?", "{b} years younger than {a}?",
        "{b} years ago, how old was a man of {a}?", "my sister is {b} years younger than me, i'm {a}. her age?",
        "tom is {a}, ann is {b} years younger, how old is ann?",
        "she's {a}, her sister {b} years younger. how old is the sister?",
        "im {a} and my gf is {b} years younger, her age?",
        "he's {a} now, what age was he {b} years ago?", "{a} years old today, and {b} years ago?",
        "we met {b} years ago, i'm {a}. how old was i?", "i am {a} and had my son when i was {b}, how old is he?",
        "my uncle is {a}, his wife is {b} years younger, so she is?",
        "paul is {b} years younger than eva, who is {a}. how old is paul?",
        "i'm {a} and have worked here for {b} years, at what age did i start?",
        "the father is {a}, he was {b} when his daughter was born, her age?",
        "if she is {a} and he is {b} years younger, how old is he?",
        "younger by {b} years than someone of {a}, how old is that?",
        "i started smoking {b} years ago, i'm {a}, how old was i then?",
        "take a woman of {a}: how old was she {b} years ago?",
        "the oak is {a} years old, the birch {b} years younger, its age?"),
    everyday_problem("ages_apart", "{B}-{A}", {"a": whole_number(2, 40), "b": whole_number(41, 90), "n": _NAMES},
        "i am {a}, my dad is {b}, how many years apart?", "{n} is {a} and i'm {b}, age difference?",
        "how much older is someone of {b} than someone of {a}?", "i'm {a}, she's {b}, age gap?",
        "age difference between {a} and {b}?",
        "{n} is {a}, mum is {b}. how old was mum when {n} was born?", "i am {a} now, how many years until i'm {b}?",
        "i'm {a} and retire at {b}, how many years left?", "years until i turn {b} if i'm {a}?",
        "{n} is {a}, how long until {b}?", "my mother is {b}, i am {a}. how old was she when i was born?",
        "he's {b} and his wife's {a}, how much older is he?",
        "age gap of {b} and {a}?", "how many years to go till {b} when you're {a}?",
        "from age {a} to {b}, how many years?", "aged {a} now, pension at {b}, how many years do i still work?",
        "grandma is {b} and {n} {a}, what's the difference in age?"),
    everyday_problem("times_as_old", "{A}*{B}", {"a": whole_number(4, 18), "b": whole_number(2, 5)},
        "i am {a}, my mum is {b} times as old, how old is she?", "tom is {a}, dad {b} times as old. dad's age?",
        "she is {a} and he's {b} times older, his age?", "{b} times as old as a boy of {a}, how old?",
        "my aunt is {b} times my age and i'm {a}. her age?", "my son is {a}, i am {b} times as old, my age?",
        "if a girl is {a} and her teacher {b} times as old, how old is the teacher?",
        "{b} times the age of someone who is {a}?", "the kid is {a}. his father is {b} times that old. father's age?",
        "dad's {b} times as old as me, i'm {a}, so he is?"),
)
DATE_PROBLEMS = (
    everyday_problem("days_until", "{B}-{A}", {"a": day_of_month(2, 15), "b": day_of_month(16, 30), "n": _MONTHS},
        "from the {a} to the {b}, how many days?", "today is the {a}, the party is on the {b}, days left?",
        "how many days from the {a} until the {b}?",
        "it is the {a}, when i leave it's the {b}, how long do i wait?", "how many days between the {a} and the {b}?",
        "days between {n} {a} and {n} {b}?", "from {n} {a} to {n} {b}, how many days?",
        "{a} to {b} of {n}, how many days?", "it's the {a} today, how many days till the {b}?",
        "we arrive on the {a} and leave on the {b}, how many nights?",
        "how many nights from the {a} to the {b} of {n}?",
        "my birthday is on the {b}, today's the {a}, how long to go?",
        "hotel from {n} {a} to {b}, number of nights?", "check in {a}, check out {b}, nights?",
        "today {a}, deadline {b}, days left?", "payday is the {b} and it's only the {a}, how many days to wait?",
        "the exam is on {n} {b}, now it's the {a}. how many days?",
        "how long is it from the {a} of {n} to the {b}?", "days from {a} to {b}?",
        "school starts on the {b}, today is the {a}. days left?",
        "rent is due on the {b}, it's the {a} today. how many days do i have?",
        "between {n} {a} and {b}, how many days are that?", "how many more days until {n} {b} if it's {n} {a}?",
        "i ordered on the {a}, it came on the {b}, how many days did it take?",
        "if today is the {a}, in how many days is the {b}?",
        "i was ill from the {a} to the {b}, that's how many nights?"),
    everyday_problem("date_later", "{A}+{B}", {"a": day_of_month(1, 17), "b": whole_number(2, 11), "n": _MONTHS},
        "today is the {a}, what date is it in {b} days?", "what date is {b} days after the {a}?",
        "{b} days after the {a}?",
        "it's {n} {a}, which date in {b} days?", "{b} days from {n} {a}, what day of the month?",
        "the {a} plus {b} days?",
        "delivery in {b} days, today is the {a}, which date?", "i leave on the {a} for {b} days, back on which date?",
        "ordered on the {a}, arrives {b} days later. date?", "we arrive {n} {a} and stay {b} nights, when do we leave?",
        "if it is the {a} now, what will be the date {b} days later?", "starting {n} {a}, {b} days on, which date?"),
    everyday_problem("date_weeks_later", "{A}+7*{B}",
        {"a": day_of_month(1, 9), "b": whole_number(2, 2, 0.6), "n": _MONTHS},
        "today is the {a}, what date is it in {b} weeks?", "what date is {b} weeks after the {a}?",
        "{b} weeks after {n} {a}?",
        "it's {n} {a}, the date in {b} weeks?", "{b} weeks from the {a}, what date?", "the {a} plus {b} weeks?",
        "i'm away for {b} weeks from the {a}, back on which date?",
        "appointment in {b} weeks, now it's {n} {a}. what date?"),
)
CLOCK_PROBLEMS = (
    everyday_problem("time", "{A}*60+{B}", {"a": whole_number(2, 23, 0), "b": whole_number(2, 59, 0)},
        "{a} hours and {b} minutes in minutes", "{a} h {b} min in minutes",
        "how many minutes are {a} hours {b} minutes?", "{a} hours {b} minutes, in minutes?",
        "[whats|what is] {a}h {b}m in minutes?", "{a}h{b} in minutes", "how many minutes is {a} hours and {b} minutes?",
        "convert {a} hours {b} minutes to minutes", "a film of {a} hours {b} minutes, how many minutes?",
        "{a} hrs {b} mins to minutes", "the movie lasts {a} h {b} min, in minutes that's?",
        "the train takes {a} hours and {b} minutes, how many minutes?",
        "{a} hours {b} minutes is how many minutes?", "i slept {a} hours and {b} minutes, how many minutes?",
        "total minutes in {a} hours {b} minutes?", "flight time {a} h {b} min, minutes?",
        "turn {a} hours and {b} minutes into minutes",
        "my run took {a} hours and {b} minutes. in minutes?", "how long is {a} hours {b} min in minutes only?",
        "{a}h {b}min = ? min", "a video runs {a} hours, {b} minutes, what's that in minutes?",
        "{a} hours plus {b} minutes makes how many minutes?",
        "we waited {a} hours and {b} minutes! how many minutes was that?", "in minutes: {a} hours {b}",
        "i worked {a} hours {b} minutes today, give it to me in minutes",
        "the flight is {a}h{b}m long, minutes in total?", weight=1.5),
    everyday_problem("clock", "({C}*60+{D})-({A}*60+{B})",
        {"a": whole_number(6, 12, 0), "b": clock_minute, "c": whole_number(13, 22, 0), "d": clock_minute},
        "from {a}:{b} to {c}:{d}, how many minutes?",
        "minutes from {a}:{b} to {c}:{d}?", "{a}:{b} to {c}:{d} in minutes",
        "how many minutes between {a}:{b} and {c}:{d}?", "how many minutes from {a}:{b} until {c}:{d}?",
        "it's {a}:{b}, the train leaves at {c}:{d}, how many minutes?", "{a}:{b} - {c}:{d} how many minutes",
        "the film starts at {a}:{b} and ends at {c}:{d}, minutes?", "minutes between {a}:{b} and {c}:{d}",
        "i worked from {a}:{b} to {c}:{d}, how many minutes is that?", "departure {a}:{b}, arrival {c}:{d}, minutes?",
        "now {a}:{b}, bus at {c}:{d}, minutes to wait?", "leave at {a}:{b}, get there at {c}:{d}, how many minutes?",
        "the lesson goes from {a}:{b} till {c}:{d}, how many minutes?",
        "class from {a}:{b} to {c}:{d}, length in minutes?",
        "how long in minutes from {a}:{b} to {c}:{d}?", "in minutes, how long is {a}:{b} to {c}:{d}?",
        "slept from {a}:{b} till {c}:{d}. minutes?", "it is {a}:{b} now. how many minutes until {c}:{d}?",
        "start {a}:{b}, end {c}:{d}, how many minutes?", "meeting {a}:{b} to {c}:{d}, duration in minutes?",
        "we left at {a}:{b} and arrived at {c}:{d}, how many minutes did we need?",
        "how many minutes does a shift from {a}:{b} to {c}:{d} last?",
        "parked from {a}:{b} to {c}:{d}, minutes please", "time from {a}:{b} to {c}:{d} in min?"),
    everyday_problem("clock_hours", "({C}*60+{D}-{A}*60-{B})/60",
        {"a": whole_number(6, 12, 0), "b": clock_minute, "c": whole_number(13, 22, 0), "d": clock_minute},
        "from {a}:{b} to {c}:{d}, how many hours?", "hours from {a}:{b} to {c}:{d}?", "{a}:{b} to {c}:{d} in hours",
        "how many hours between {a}:{b} and {c}:{d}?", "i worked from {a}:{b} to {c}:{d}, how many hours?",
        "my shift is {a}:{b} to {c}:{d}, how many hours is that?", "{a}:{b} - {c}:{d} how many hours",
        "how many hours is it from {a}:{b} till {c}:{d}?", "open from {a}:{b} to {c}:{d}, hours?",
        "started at {a}:{b}, finished at {c}:{d}, hours worked?", "i clocked in at {a}:{b} and out at {c}:{d}. hours?",
        "flight leaves {a}:{b} and lands {c}:{d}, how many hours?",
        "work day {a}:{b} till {c}:{d}, how many hours do i get paid?", "how long in hours from {a}:{b} to {c}:{d}?"),
    everyday_problem("whole_hours", "{B}-{A}", _HOUR,
        "from {a} to {b} o'clock, how many hours?", "how many hours from {a} to {b} o'clock?",
        "from {a}h to {b}h, how many hours?",
        "the shop is open from {a} to {b}, how many hours?", "i work from {a} to {b}, hours?",
        "it's {a} o'clock, hours until {b}?",
        "hours between {a} and {b} o'clock?", "start at {a}, finish at {b}, how many hours?",
        "shift from {a} until {b}, how many hours?", "it is {a} now, the show is at {b}, how many hours to wait?",
        "the bus left at {a} and came at {b}, how many hours did it take?",
        "how many hours until {b} o'clock when it's {a} now?"),
    everyday_problem("am_to_pm", "12+{B}-{A}", {"a": whole_number(5, 11, 0), "b": whole_number(1, 11, 0)},
        "from {a}am to {b}pm, how many hours?", "how many hours from {a} am to {b} pm?",
        "hours between {a}am and {b}pm?",
        "i work {a}am to {b}pm, how many hours is that?", "{a}am to {b}pm how many hours", "{a} am - {b} pm, hours?",
        "we left at {a} am and arrived at {b} pm, how many hours?", "how long is it from {a}am till {b}pm?",
        "from {a} in the morning till {b} pm, how many hours?", "shift starts {a}am, ends {b}pm. hours?",
        "open {a} am until {b} pm, how many hours a day?", "it's {a}am, how many hours until {b}pm?",
        "if i start at {a} am and stop at {b} pm how many hours did i work?",
        "a flight takes off {a}am and lands {b}pm, hours?"),
    everyday_problem("pm_to_am", "12-{A}+{B}", {"a": whole_number(8, 11, 0), "b": whole_number(4, 10, 0)},
        "i slept from {a}pm to {b}am, how many hours?", "how many hours from {a} pm to {b} am?",
        "{a}pm to {b}am how many hours",
        "hours of sleep from {a} pm until {b} am?", "bed at {a}pm, up at {b}am, how many hours of sleep?",
        "from {a}pm till {b}am, hours?", "night shift {a}pm to {b}am, how many hours?",
        "hours between {a}pm and {b}am?", "if i go to bed at {a} pm and get up at {b} am, how long do i sleep?",
        "from {a} at night to {b} in the morning, how many hours?"),
    everyday_problem("oclock_later", "{A}+{B}", {"a": whole_number(6, 14, 0), "b": whole_number(2, 8)},
        "it is {a} o'clock, what time in {b} hours?", "{b} hours after {a} o'clock?",
        "start at {a}:00, lasts {b} hours, ends when?",
        "it's {a} o'clock now, {b} hours later it's?", "what time is {b} hours after {a}:00?",
        "{a} o'clock plus {b} hours?", "i start work at {a} and stay {b} hours, until when?",
        "the train leaves at {a}:00 and takes {b} hours, arrival?",
        "party starts at {a} o'clock and goes {b} hours, over at?",
        "if it's {a} o'clock and i sleep {b} hours, when do i wake up?"),
    everyday_problem("oclock_earlier", "{A}-{B}", {"a": whole_number(11, 22, 0), "b": whole_number(2, 8)},
        "it is {a} o'clock, what time was it {b} hours ago?", "{b} hours before {a} o'clock?",
        "what time is {b} hours before {a}:00?",
        "i must be there at {a}:00, it takes {b} hours, when do i leave?", "{a} o'clock minus {b} hours?",
        "dinner at {a} o'clock, the roast needs {b} hours, when do i start?",
        "it ended at {a}:00 after {b} hours, it began when?",
        "it's {a} o'clock here and {b} hours earlier in new york, time there?"),
)
TIME_PROBLEMS = (_TWO_UNITS_INTENT, *YEAR_PROBLEMS, *DATE_PROBLEMS, *CLOCK_PROBLEMS)
# fmt: on
