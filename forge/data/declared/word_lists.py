"""Words that slots of our own are filled with."""

from __future__ import annotations

_TEXT = """
city: Paris Rome Lima Oslo Cairo Tokyo Boston Lisbon Vienna Delhi Toronto Nairobi Prague Dublin
country: France Peru Norway Egypt Japan Portugal Austria India Canada Kenya Ireland Chile Poland
language: French Spanish Latin German Dutch Turkish Hindi Swedish Greek Italian
animal: cat dog horse spider whale parrot snail zebra owl shark hedgehog camel bee
person: Einstein Mozart Cleopatra Shakespeare Darwin Napoleon Picasso Newton Gandhi Homer
relative: mother father sister brother aunt uncle cousin neighbor boss teacher grandmother
food: pizza sushi soup pancakes curry lasagna noodles salad tacos dumplings cheesecake
sport: football tennis hockey chess rugby basketball cricket golf volleyball
feeling: tired happy hungry bored sad excited confused proud nervous lonely fine
color: red blue green yellow black white purple orange brown gray
name: Ada Alan Amir Anna Ben Carla Chen Clara David Elena Emma Farid Grace Hana Igor Ines Jack Jonas Karim Kate Leila
name: Leo Lucy Maria Mia Nina Noah Olga Omar Paul Priya Rosa Ruth Sam Sara Tariq Tom Vera Yuki Zoe
month: January February March April May June July August September October November December
day: Monday Tuesday Wednesday Thursday Friday Saturday Sunday
common: the a an my our your his her its to of in on at for with from by and or is are was be do does did it i you me we
common: what how who when where why which that this there all some any not no up down out off please can could
question: what how who why when where which is are do does can did has have was
"""


def _read_word_lists(text: str) -> dict[str, tuple[str, ...]]:
    lists: dict[str, tuple[str, ...]] = {}
    for line in text.strip().splitlines():
        name, _, words = line.partition(":")
        lists[name] = (*lists.get(name, ()), *words.split())
    return lists


WORD_LISTS = _read_word_lists(_TEXT)
