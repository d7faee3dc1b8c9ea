"""Talk that needs no tool: greetings, thanks, what the agent is and can do, and all that it cannot do or does not know.

Every sort of talk has one plain answer. Without such rows an agent that is tuned on calls alone calls a tool on
everything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from forge.tools.content import CARDS, TABLES
from forge.tools.declaration import Drawn, Intent
from forge.tools.drawing import pick_made_up_tool_word, pick_tool_argument_word

ABILITIES = "I can calculate, search documents, read files, query the database and run small code."
TALK_ANSWERS: dict[str, str] = {
    "greeting": "Hello! What can I do for you?",
    "how_are_you": "I am fine, thank you. What can I do for you?",
    "thanks": "You are welcome!",
    "praise": "Thank you, I am glad to help!",
    "farewell": "Goodbye!",
    "abilities": ABILITIES,
    "self": f"I am a small agent. {ABILITIES}",
    "cannot": f"I cannot do that. {ABILITIES}",
    "changes": f"I cannot change that. {ABILITIES}",
    "unknown": f"I do not know that. {ABILITIES}",
    "statement": f"I do not know what you need. {ABILITIES}",
    "nonsense": f"I do not understand that. {ABILITIES}",
}


@dataclass(frozen=True)
class TalkSubjects:
    """What is talked about, in the form in which tools tell how they are asked."""

    name: str
    frames: tuple[str, ...]
    intents: tuple[Intent, ...]


def pick_talk_slots(rng: random.Random) -> Drawn:
    """Names, things and numbers that talk may be about."""
    products = [str(row[0]) for row in TABLES["products"][1]]
    people = [str(row[0]) for table in ("customers", "employees") for row in TABLES[table][1]]
    cities = [str(row[1]) for row in TABLES["customers"][1]] + [title for title, text in CARDS if "capital" in text]
    product, person, city = rng.choice(products), rng.choice(people), rng.choice(cities)
    return {
        "w": pick_tool_argument_word(rng),
        "e": product,
        "es": f"{product[:-1]}ves" if product.endswith("f") else f"{product}s",
        "p": person if rng.random() < 0.7 else person.lower(),
        "c": city if rng.random() < 0.7 else city.lower(),
        "l": rng.choice(("french", "german", "spanish", "japanese", "italian", "latin", "chinese", "polish", "dutch")),
        "y": str(rng.randint(1950, 2030)),
        "n": str(rng.randint(2, 12)),
        "t": rng.choice(
            ("maths", "cooking", "football", "music", "numbers", "history", "words", "films", "rain", "cats")
        ),
        "f": rng.choice(
            ("pizza", "taxi", "coffee", "book", "sandwich", "ticket", "bike", "cake", "hotel room", "table")
        ),
    }, None


def pick_nonsense_for_dialogue(rng: random.Random) -> Drawn:
    """Letters that mean nothing."""
    letters = "".join(rng.choice("asdfghjklqwertzuiop") for _ in range(rng.randint(3, 8)))
    return {"x": pick_made_up_tool_word(rng), "z": letters}, None


def _talk_intent(name: str, weight: float, *sentences: str) -> Intent:
    draw = pick_nonsense_for_dialogue if name == "nonsense" else pick_talk_slots
    return Intent(name, "", draw, (), sentences, weight)


# fmt: off
_GREETINGS = (
    "hi", "hello", "hey", "hi there", "hello there", "good morning", "hey there", "hiya", "heya", "morning",
    "good evening",
    "good afternoon", "hello [agent|you|friend]",
    "hey you", "yo", "hi, [nice|good] to meet you", "greetings", "hi, is anybody there?", "hello, are you there?",
    "good day", "hi, it's me again", "hello again", "hi, i am {p}", "hey, {p} here",
    "hallo", "guten tag", "bonjour", "howdy", "hi hi", "hello hello", "good morning to you", "i'm back",
    "hi everyone", "nice to meet you",
    "hey, anyone in?",
)
_HOW_ARE_YOU = (
    "how are you?", "how are you doing?", "hows it going?", "how do you do?", "hi, how are you?", "how is your day?",
    "are you ok?", "all good?", "you alright?", "how do you feel today?",
    "hello, how are you?", "what's up?", "whats new?", "sup?", "are you well?", "hey, how is it going?",
    "had a good day?", "how have you been?",
)
_THANKS = (
    "thanks", "thank you", "thx", "ty", "thanks [so much|a bunch|for that|for your help]", "thank you very much",
    "many thanks", "ok thanks", "great, thank you", "thank you so much", "cheers", "thanks again",
    "perfect, thanks", "[that's|thats] all, thanks", "ok, thank you", "thanks for [the answer|helping me]",
    "danke", "merci", "much appreciated", "nice, thanks", "thanks, that's what i needed", "wonderful, thank you",
)
_PRAISE = (
    "well done", "good job", "great", "nice", "that was great", "you are [good|great|clever|smart|helpful]",
    "[cool|awesome|perfect|excellent|super]", "good answer", "that helped", "you did well", "very good", "i like you",
    "that's right", "correct", "wow, that was fast", "good work", "nice work", "impressive", "brilliant",
    "exactly what i wanted", "that helps a lot",
)
_FAREWELLS = (
    "goodbye", "see you", "bye bye", "good night", "see you later", "cya", "[that's|thats] all for today",
    "i have to go", "have a nice day", "see you [tomorrow|soon|next week]", "talk to you later", "until later",
    "ok bye", "i am off", "i'm done, bye", "goodnight", "farewell", "take care", "thanks, bye", "so long", "bye, {p}",
)
_ABILITIES = (
    "what can you do for me?", "what are you able to do?", "what can i ask?", "how can you help me?",
    "what do you do?", "can you help me?", "i need help", "help me", "what can i ask you?", "what are you good at?",
    "what tools do you have?", "how does this work?", "what can this thing do?", "what are your abilities?",
    "show me what you can do", "tell me what you can do", "what kind of questions can i ask?", "what do you know?",
    "what are you for?", "give me some examples of what you can do", "list your tools", "what are your tools?",
    "can you [calculate|do sums|count]?", "can you [search|read files|look things up]?", "what else can you do?",
    "which things can you do?",
    "can you use a database?", "what is possible here?", "how do i use you?", "what should i ask you?",
)
_SELF = (
    "who is this?", "what are you?", "what is your name?", "whats your name?",
    "are you [a robot|human|a person|real|an ai|a computer|a program]?", "do you have a name?",
    "tell me about yourself", "who am i talking to?", "who made you?",
    "what kind of thing are you?", "who are you exactly?", "introduce yourself", "are you alive?", "how old are you?",
    "where are you?", "are you a bot?", "who built you?", "what model are you?", "are you chatgpt?",
    "so who are you, then?", "what is this?",
)
_CANNOT = (
    "tell me a [story|riddle|poem|secret|funny thing]",
    "write [a poem|a song|an essay|a letter|a story|a mail] about {w}", "play [some music|a song|a game|a video]",
    "translate {w} [to|into] {l}", "order [a|me a] {f}", "book a [flight|trip|room|table] [to|in] {c}",
    "set an alarm for {n}", "remind me to [call {p}|buy {es}|eat] at {n}", "send [a mail|a message|an email] to {p}",
    "call {p}", "draw [me|] a [house|tree|dog|picture of {w}]", "sing [something|a song]",
    "turn [on|off] the [light|heating|radio]", "open the [door|window|browser]",
    "buy [me|] [a|some] {f}", "take a picture", "make me a [coffee|sandwich|website]", "how do you say {w} in {l}?",
    "tell me something funny", "drive me to {c}", "show me a [picture|video|map] of {c}",
    "find me a [job|hotel|doctor|restaurant] in {c}",
    "google {w}", "say {w} in {l}", "start a [timer|game|download]", "[wake me|call me|text me] at {n}",
    "post this on the internet", "recommend a [book|film|song|restaurant]", "write my homework about {w}",
    "print this page",
    "what is {w} in {l}?", "come here", "make a joke about {w}", "install a program", "summarize the news",
    "help me with my love life", "can you cook?", "can you dance?", "explain this picture", "pay my bill",
    "[order|get|book|find] me a {f}", "recommend [me|us] a [good|] [place|movie|song]", "call a taxi to {c}",
)
_CHANGES = (
    "[set|change|raise] the price of the {e} to {n}", "delete {p} from the [database|customers|list]",
    "add a new [customer|product|employee] [called|named] {p}", "[change|raise|set] {p}'s salary to {n}000",
    "order {n} {es} for {p}", "remove the {e} from the products",
    "[write|save] this [to|into] a file", "delete the file {w}.txt", "rename {w}.txt", "move {p} to another team",
    "fire {p}", "hire {p}", "sell {n} {es}", "give {p} more money", "make the {e} cheaper",
    "create a file called {w}.txt", "put {n} {es} into stock",
    "update the database", "change {p}'s city to {c}", "drop the table", "make the {es} free",
    "cancel the orders of {p}", "add {w} to my list", "write {w} into my diary",
)
_UNKNOWN = (
    "who won [the match|the game|the race|the election] in {y}?", "what time is it?", "what day is it [today|]?",
    "whats the time?", "whats the weather in {c}?", "will it rain [tomorrow|in {c}]?",
    "what do you think [of|about] {t}?", "do you like {t}?", "what is the best {f} in {c}?",
    "whats your favorite [color|food|film|animal]?", "who will win [the match|the election|tomorrow]?",
    "why is the sky blue?", "what is love?", "how many people live in {c}?",
    "who is the [president|mayor|king] of {c}?", "how do i get to {c}?", "how far is {c}?", "what happened in {y}?",
    "how many {es} will we sell next [year|week|month]?", "what will {p} do tomorrow?", "whats the news?",
    "what is my name?", "how old am i?", "where do i live?", "should i [buy a house|learn {t}|call {p}]?",
    "whats my password?", "is {p} nice?", "who is my best friend?", "are you [happy|sad|tired|hungry]?",
    "what is on tv?", "what does {w} mean?", "what is the meaning of {w}?", "what's the date?",
    "which [movie|film] should i watch [tonight|with {p}]?", "my [head|foot|arm] hurts, what can i do?",
    "i feel sick, what can i do?", "what will the price of {es} be in {y}?", "when will i die?",
    "which {l} film should i watch?",
    "who invented {t}?", "how do i cook {w}?", "is there a god?", "what does {p} look like?", "does {p} love me?",
    "what should i eat?", "why did {p} leave?", "when is the next bus to {c}?", "who sings this song?",
    "how tall is {p}?", "what is {p}'s phone number?", "does {p} have children?", "what color is the {e}?",
    "who made the {e}?", "how heavy is the {e}?", "what is the price of bitcoin?", "when does the shop open?",
    "what did i ask before?", "can you [love|feel|think]?",
)
_STATEMENTS = (
    "{es} are nice", "i like {t}", "i love {c}", "{c} is a beautiful city", "my friend {p} is nice",
    "{p} is my friend", "i had a {e} once", "numbers are hard", "i hate maths", "{w} is a nice word",
    "the moon is beautiful tonight", "i read a file yesterday", "i am [sad|tired|bored|hungry|happy]",
    "it's raining", "i bought a {e} yesterday", "files are boring", "my {e} is broken", "the {e} is pretty",
    "i think {p} earns enough", "i know python", "i was in {c} in {y}", "{t} is fun", "our database is big",
    "i forgot what i wanted", "never mind", "ok", "hmm", "yes", "no", "maybe later", "that's wrong",
    "you are [wrong|stupid|slow]", "i don't believe you", "i ate an apple", "my dog is called {w}",
    "there are animals in {c}", "i want to sleep", "today is a good day", "i don't know", "let me think",
    "{p} and {p} are late", "i have a lot of {es}", "i love you", "the weather is nice",
)
_NONSENSE = ("{z}", "{z} {x}", "{x} {z} {x}", "{x} {x}", "{z} {z}", "{z}?", "{x} {z}", "??? {z}", "{x}{z}",
    "{z} {x} {z}", "{z} {z} {x}", "la la {x}", "{x} bla {z}", "bla bla {z}")
# fmt: on
TALK = TalkSubjects(
    "talk",
    ("{}",),
    (
        _talk_intent("greeting", 12, *_GREETINGS),
        _talk_intent("how_are_you", 4, *_HOW_ARE_YOU),
        _talk_intent("thanks", 8, *_THANKS),
        _talk_intent("praise", 4, *_PRAISE),
        _talk_intent("farewell", 6, *_FAREWELLS),
        _talk_intent("abilities", 9, *_ABILITIES),
        _talk_intent("self", 6, *_SELF),
        _talk_intent("cannot", 18, *_CANNOT),
        _talk_intent("changes", 8, *_CHANGES),
        _talk_intent("unknown", 22, *_UNKNOWN),
        _talk_intent("statement", 12, *_STATEMENTS),
        _talk_intent("nonsense", 3, *_NONSENSE),
    ),
)
