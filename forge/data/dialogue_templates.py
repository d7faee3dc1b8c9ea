"""Wording of the tool and persona dialogues: frames per split, cores per intent, topics and styles.

A user turn is a *frame* ("Please {}.") around a *core* ("reverse the word {w}"). Frames of val and test never
occur in train, but every word of them does, in other combinations: the held-out turns ask for recombination,
not for unknown vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Frames:
    """Sentence frames of one tool; `{}` takes the core."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


# fmt: off
FRAMES: dict[str, Frames] = {
    "calculator": Frames(
        train=(
            "What is {}?", "What's {}?", "Compute {}.", "Calculate {}.", "Please compute {}.",
            "Please calculate {}.",
            "Work out {}.", "Find {}.", "Tell me {}.", "How much is {}?", "Can you calculate {}?",
            "Can you work out {}?", "I need {}.", "Give me {}.", "Could you tell me {}?",
            "I want to know {}.",
            "{}?", "{}, please.",
        ),
        val=("Please work out {}.", "Could you compute {}?", "Can you find {}?", "I need to know {}."),
        test=(
            "Could you calculate {}?", "Please find {}.", "Can you compute {}, please?", "Please give me {}.",
            "Could you work out {}?",
        ),
    ),
    "code_executor": Frames(
        train=(
            "{}.", "Please {}.", "Can you {}?", "I want you to {}.", "Use code to {}.", "Run code to {}.",
            "With Python, {}.", "Write code to {}.", "Use Python to {}.", "{} with code.", "{} in Python.",
            "Please use code to {}.", "Could you {}?", "Go ahead and {}.",
        ),
        val=(
            "Please run code to {}.", "Can you {} in Python?", "Could you use code to {}?",
            "I want to {} with code.",
        ),
        test=(
            "Can you use Python to {}?", "Could you {} with code?", "Please {} in Python.",
            "I want you to use code to {}.",
        ),
    ),
    "run": Frames(
        train=(
            "Run {}", "Execute {}", "Please run {}", "Please execute {}", "Run the code {}",
            "Run this code: {}",
            "Execute the code {}", "What does {} print?", "Can you run {}?", "What is the output of {}?",
            "Show me the output of {}", "Use Python to run {}", "Tell me what {} prints",
            "Could you execute {}?",
        ),
        val=(
            "Can you execute {}?", "Please run the code {}", "Tell me the output of {}",
            "Use Python to execute {}",
        ),
        test=(
            "Could you run {}?", "Please execute the code {}", "Execute this code: {}",
            "Show me what {} prints",
        ),
    ),
    "search": Frames(
        train=(
            "Look up {}.", "Search for {}.", "Tell me about {}.", "What do you know about {}?",
            "Find facts about {}.",
            "Please look up {}.", "Please search for {}.", "Can you look up {}?", "Search {}.",
            "I want to know about {}.", "What can you find about {}?", "Give me a fact about {}.",
            "Tell me a fact about {}.", "Look for facts about {}.", "Could you tell me about {}?", "Find {}.",
        ),
        val=("Can you search for {}?", "Please find facts about {}.", "Could you look up {}?",
        "I want a fact about {}."),
        test=(
            "Could you search for {}?", "Please tell me about {}.", "Can you find a fact about {}?",
            "Look up facts about {}.",
        ),
    ),
    "file_reader": Frames(
        train=(
            "Read the file {}.", "Read {}.", "Open {}.", "Open the file {}.", "What does {} say?",
            "What is in {}?",
            "What is in the file {}?", "Show me {}.", "Show me the file {}.", "Please read {}.",
            "Please open {}.",
            "Can you read the file {}?", "Can you open {}?", "What is written in {}?",
            "Tell me what {} says.",
            "Could you show me {}?",
        ),
        val=("Please read the file {}.", "Can you show me {}?", "Could you open the file {}?",
        "Tell me what is in {}."),
        test=(
            "Please open the file {}.", "Could you read {}?", "Can you show me the file {}?",
            "Tell me what is written in {}.",
        ),
    ),
    "database_query": Frames(
        train=(
            "What is {}?", "What's {}?", "Find {}.", "Tell me {}.", "Show me {}.", "Give me {}.", "Get {}.",
            "Please find {}.", "Please show me {}.", "Can you find {}?", "Can you tell me {}?", "I need {}.",
            "I want to know {}.", "Check {}.", "Could you check {}?", "{}, please.",
        ),
        val=("Please tell me {}.", "Could you find {}?", "I need to know {}.", "Can you check {}?"),
        test=("Please check {}.", "Could you tell me {}?", "Can you show me {}?", "Please get {}."),
    ),
}


@dataclass(frozen=True)
class Intent:
    """One thing a user may want: cores that fit the tool's frames, and the argument text of the call.

    `extra` are whole sentences (train, val, test) that no frame produces.
    """

    name: str
    tool: str
    frames: str
    cores: tuple[str, ...]
    argument: str
    weight: int = 1
    extra: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] = ((), (), ())


def _calc(name: str, argument: str, *cores: str, weight: int = 1) -> Intent:
    return Intent(name, "calculator", "calculator", cores, argument, weight)


def _code(name: str, argument: str, *cores: str, weight: int = 1) -> Intent:
    return Intent(name, "code_executor", "code_executor", cores, argument, weight)


def _lookup(
    column: str, table: str, cores: tuple[str, ...], extra: tuple[tuple[str, ...], tuple[str, ...],
    tuple[str, ...]]
) -> Intent:
    argument = f"SELECT {column} FROM {table} WHERE name='{{e}}'"
    return Intent(f"{table}.{column}", "database_query", "database_query", cores, argument, 4, extra)


INTENTS: tuple[Intent, ...] = (
    _calc("add", "{a}+{b}", "{a} plus {b}", "{a} + {b}", "{a}+{b}", "the sum of {a} and {b}", weight=2),
    _calc("subtract", "{a}-{b}", "{a} minus {b}", "{a} - {b}", "{a}-{b}", "{a} take away {b}", weight=2),
    _calc("multiply", "{a}*{b}", "{a} times {b}", "{a} * {b}", "{a}*{b}", "{a} multiplied by {b}",
          "the product of {a} and {b}", weight=3),
    _calc("divide", "{a}/{b}", "{a} divided by {b}", "{a} / {b}", "{a}/{b}", "{a} over {b}", weight=2),
    _calc("power", "{a}**{b}", "{a} to the power of {b}", "{a}**{b}", "{a} to the power {b}"),
    _calc("remainder", "{a}%{b}", "{a} modulo {b}", "the remainder of {a} divided by {b}", "{a} mod {b}"),
    _calc("gcd", "gcd({a},{b})", "the gcd of {a} and {b}", "the greatest common divisor of {a} and {b}",
          "gcd({a},{b})"),
    _calc("lcm", "lcm({a},{b})", "the lcm of {a} and {b}", "the least common multiple of {a} and {b}",
          "lcm({a},{b})"),
    _calc("sqrt", "sqrt({a})", "the square root of {a}", "sqrt({a})", "the root of {a}"),
    _calc("mixed", "{a}+{b}*{c}", "{a} plus {b} times {c}", "{a} + {b} * {c}", "{a}+{b}*{c}"),
    _calc("grouped", "({a}+{b})*{c}", "({a} + {b}) * {c}", "({a}+{b})*{c}",
    "the sum of {a} and {b}, times {c}"),
    _code("reverse", "print('{w}'[::-1])", "reverse the word {w}", "reverse {w}", "spell {w} backwards",
          "write {w} backwards", "reverse the letters of {w}", weight=4),
    _code("length", "print(len('{w}'))", "find the length of {w}", "get the length of the word {w}",
          "measure the length of {w}", "count the length of {w}", weight=2),
    _code("upper", "print('{w}'.upper())", "put {w} in capitals", "write {w} in capitals",
          "make {w} uppercase", "turn the word {w} into uppercase", weight=2),
    _code("repeat", "print('{w}'*{n})", "repeat {w} {n} times", "repeat the word {w} {n} times",
          "write {w} {n} times"),
    _code("sort", "print(''.join(sorted('{w}')))", "sort the letters of {w}",
    "put the letters of {w} in order",
          "order the letters of {w}"),
    _code("letter", "print('{w}'.count('{c}'))", "count the letter {c} in {w}", "count every {c} in {w}",
          "count how often {c} is in {w}"),
    _code("sum", "print(sum(range({n})))", "sum the numbers below {n}", "add the numbers below {n}",
          "add all numbers below {n}"),
    Intent("run", "code_executor", "run", ("{code}",), "{code}", 3),
    Intent("topic", "search", "search", ("{e}",), "{q}", 6,
           (("What about {e}?", "Say something about {e}.", "Do you know {e}?"), ("Do you know about {e}?",),
            ("Can you say something about {e}?",))),
    Intent("person", "search", "search", ("{e}",), "{q}", 1,
           (("Who is {e}?", "Who was {e}?", "Tell me who {e} is.", "Do you know who {e} was?"),
            ("Do you know who {e} is?",), ("Tell me who {e} was.",))),
    Intent("file", "file_reader", "file_reader", ("{e}",), "{e}"),
    _lookup("price", "products", ("the price of the {e}", "the price of {e}", "the {e} price"),
            (("How much does the {e} cost?", "What does the {e} cost?"), ("How much does a {e} cost?",),
             ("What does a {e} cost?",))),
    _lookup("stock", "products", ("the stock of the {e}", "the stock of {e}", "the {e} stock"),
            (("How much stock of the {e} is left?", "How much {e} stock do we have?"),
             ("How much {e} stock is left?",), ("How much stock of the {e} do we have?",))),
    _lookup("city", "customers", ("the city of {e}", "the city of customer {e}", "the home city of {e}"),
            (("Which city is {e} in?", "In which city does {e} live?"), ("Which city does {e} live in?",),
             ("In which city is {e}?",))),
    _lookup("orders", "customers", ("the orders of {e}", "the number of orders of {e}",
    "the orders of customer {e}"),
            (("How many orders does {e} have?", "How many orders did {e} place?"),
             ("How many orders did customer {e} place?",), ("How many orders does customer {e} have?",))),
    _lookup("team", "employees", ("the team of {e}", "the team of employee {e}", "the work team of {e}"),
            (("Which team is {e} in?", "In which team does {e} work?"), ("Which team does {e} work in?",),
             ("In which team is {e}?",))),
    _lookup("salary", "employees", ("the salary of {e}", "the salary of employee {e}",
    "the yearly salary of {e}"),
            (("How much does {e} earn?", "What does {e} earn?"), ("What does employee {e} earn?",),
             ("How much does employee {e} earn?",))),
    Intent("count", "database_query", "database_query",
           ("the number of {e}", "the total number of {e}", "the count of {e}"), "SELECT COUNT(*) FROM {e}",
           1,
           (("How many {e} do we have?", "How many {e} are there?"), ("How many {e} are in total?",),
            ("How many {e} do we have in total?",))),
)
# fmt: off
_WORDS_TEXT = (
    "apple anchor autumn bakery banana basket beach bicycle bird bottle branch bread bridge brother "
    "bucket button cabin camera candle canvas carrot castle cellar cherry circle cloud coffee copper "
    "corner cotton cradle crystal desert dinner doctor dragon drawer eagle engine evening fabric falcon "
    "farmer feather fiddle finger flower forest fountain friend galaxy garden garlic ginger glass goose "
    "grape guitar hammer harbor helmet hill honey horse island jacket jungle kettle kitchen kitten "
    "ladder lamp lantern lemon letter library light lizard lunch magnet maple marble market meadow "
    "melon metal mirror monkey morning mountain mouse needle noodle ocean onion orange orchid oven "
    "owner oyster paddle paint palace panther paper parade parcel pencil pepper picnic pillow pirate "
    "planet plate pocket poem potato prairie prince pumpkin puppet puzzle rabbit raven ribbon river "
    "robin rocket roof saddle sailor salad sandal school shadow sheep shelter silver singer sister "
    "spring squash stable station stone summer sunset table teapot temple thunder ticket tiger timber "
    "tomato tower train tunnel turtle valley velvet village violin wagon walnut water whistle window "
    "winter wizard wolf wonder yogurt zipper"
)
WORDS = tuple(_WORDS_TEXT.split())
CONSONANTS, VOWELS = "bdfghklmnprstvz", "aeiou"
# fmt: on

PEOPLE = ("Einstein", "Curie", "Darwin", "Newton", "Mozart", "Shakespeare", "Lovelace")

# fmt: off
# (topic, definition of at most five words, field)
CONCEPTS: tuple[tuple[str, str, str], ...] = (
    ("gravity", "a pull between masses", "physics"),
    ("magnetism", "a force between magnets", "physics"),
    ("friction", "a force that slows motion", "physics"),
    ("energy", "the ability to do work", "physics"),
    ("sound", "a wave moving through air", "physics"),
    ("light", "a wave that eyes see", "physics"),
    ("heat", "energy flowing to colder things", "physics"),
    ("electricity", "a flow of charge", "physics"),
    ("lightning", "a spark between clouds", "weather"),
    ("rain", "water falling from clouds", "weather"),
    ("snow", "ice falling from clouds", "weather"),
    ("wind", "air that moves", "weather"),
    ("fog", "a cloud near the ground", "weather"),
    ("thunder", "the sound of lightning", "weather"),
    ("erosion", "the wearing away of land", "geology"),
    ("lava", "melted rock above the ground", "geology"),
    ("sand", "small grains of rock", "geology"),
    ("granite", "a hard rock of crystals", "geology"),
    ("photosynthesis", "plants making food from light", "biology"),
    ("evolution", "slow change of species", "biology"),
    ("digestion", "the breaking down of food", "biology"),
    ("sleep", "a daily state of rest", "biology"),
    ("yeast", "a tiny living fungus", "biology"),
    ("pollen", "fine powder from flowers", "biology"),
    ("blood", "a fluid that carries oxygen", "biology"),
    ("memory", "the storing of experience", "psychology"),
    ("attention", "the focus of the mind", "psychology"),
    ("software", "a set of computer instructions", "computing"),
    ("recursion", "a function that calls itself", "computing"),
    ("encryption", "the hiding of data", "computing"),
    ("sorting", "putting items in order", "computing"),
    ("caching", "keeping copies for fast access", "computing"),
    ("rhythm", "a pattern of beats", "music"),
    ("harmony", "notes sounding well together", "music"),
    ("melody", "a line of single notes", "music"),
    ("money", "a means of exchange", "economics"),
    ("trade", "the exchange of goods", "economics"),
    ("inflation", "a rise of prices", "economics"),
    ("algebra", "math with letters", "mathematics"),
    ("geometry", "the study of shapes", "mathematics"),
    ("probability", "a measure of chance", "mathematics"),
    ("democracy", "rule by the people", "politics"),
)

# (activity, first step, second step); a step has two or three words
ACTIVITIES: tuple[tuple[str, str, str], ...] = (
    ("bake bread", "mix the dough", "let it rise"),
    ("boil an egg", "heat the water", "wait eight minutes"),
    ("make tea", "boil some water", "steep the leaves"),
    ("cook rice", "rinse the grains", "simmer them gently"),
    ("plant a tree", "dig a hole", "water the roots"),
    ("grow herbs", "sow the seeds", "keep soil moist"),
    ("paint a wall", "clean the surface", "roll on paint"),
    ("fix a tire", "remove the wheel", "patch the hole"),
    ("wash a sweater", "use cold water", "dry it flat"),
    ("learn chess", "learn the moves", "play short games"),
    ("learn guitar", "practice three chords", "play slow songs"),
    ("write a poem", "pick an image", "find a rhythm"),
    ("write a letter", "greet the reader", "state your news"),
    ("draw a face", "sketch an oval", "place the eyes"),
    ("run faster", "warm up first", "sprint short distances"),
    ("sleep better", "dim the lights", "avoid late coffee"),
    ("save money", "track your spending", "set a budget"),
    ("study well", "take short notes", "test yourself often"),
    ("clean a window", "spray the glass", "wipe it dry"),
    ("tie a knot", "cross the ends", "pull them tight"),
    ("train a dog", "give clear signals", "reward good behavior"),
    ("debug a program", "reproduce the error", "isolate the cause"),
)

GREETINGS = Frames(
    train=("Hello!", "Hi there!", "Good morning!", "Hey!", "Hi!", "Good afternoon!", "Hello there!",
           "Nice to meet you!", "Hey there!", "Hello, good morning!"),
    val=("Hi, good morning!", "Hey, nice to meet you!"),
    test=("Hello, good afternoon!", "Hi, nice to meet you!", "Hey, good morning!"),
)
CONCEPT_QUESTIONS = (
    "What is {t}?", "Explain {t}.", "What does {t} mean?", "Please explain {t}.", "Can you explain {t}?",
    "Define {t}.", "Describe {t}.", "What exactly is {t}?",
)
ACTIVITY_QUESTIONS = (
    "How do I {t}?", "How can I {t}?", "How should I {t}?", "Explain how to {t}.", "Help me {t}.",
    "What is the way to {t}?",
)


@dataclass(frozen=True)
class Style:
    """How a persona answers one kind of question: an opening, one of the middles, a closing."""

    openings: tuple[str, ...]
    middles: tuple[str, ...]
    closings: tuple[str, ...]


STYLES: dict[str, dict[str, Style]] = {
    "helpful": {
        "concept": Style(
            ("Happy to help! ", "Of course! ", "Sure thing! ", "Good question! ", "Gladly! ", "No problem! "),
            ("{T} is {d}.", "{T} is just {d}."),
            (" Just ask for more!", " I hope that helps!", " Anything else I can do?", " I am here for you.",
             " Want me to go on?", " Always glad to help!"),
        ),
        "activity": Style(
            ("Happy to help! ", "Of course! ", "Sure thing! ", "Great idea! ", "Gladly! ", "No problem! "),
            ("Just {a}, then {b}.", "You {a} and {b}."),
            (" You can do it!", " I am here for you.", " Have fun with it!", " Shout if you get stuck!",
             " Tell me how it goes!", " I hope that helps!"),
        ),
        "greeting": Style(
            ("Hello and welcome! ", "Hi, great to see you! ", "Hey there, friend! ",
            "Hello, so nice to meet you! ",
             "Hi, I am glad you came! ", "Welcome, make yourself at home! "),
            ("How can I help", "What can I do for you", "What can I help with"),
            (" today?", " now?", "?", " this time?", " right now?", ", my friend?"),
        ),
    },
    "researcher": {
        "concept": Style(
            ("Studies suggest that ", "Most sources agree that ", "Current evidence indicates that ",
             "Research implies that ", "According to the literature, ", "Several experiments show that "),
            ("{t} is {d}", "{t} is likely {d}"),
            (", though details remain open.", ", but data are limited.", ", with moderate confidence.",
             ", although findings vary.", ", pending further study.", ", yet debate continues."),
        ),
        "activity": Style(
            ("Studies recommend to ", "Evidence suggests to ", "Most guides say to ",
            "Experts generally advise to ",
             "Reports often advise to ", "Trials favor plans to "),
            ("{a} and then {b}", "{a}, then {b}"),
            (", though results vary.", ", but evidence is limited.", ", with some uncertainty.",
             ", pending more trials.", ", although samples are small.", ", yet opinions differ."),
        ),
        "greeting": Style(
            ("Greetings; my notes are open. ", "Hello; the literature is at hand. ",
            "Good day; sources are ready. ",
             "Welcome; the evidence awaits review. ", "Hello; the data are prepared. ",
             "Greetings; several studies lie here. "),
            ("Which hypothesis should we", "Which claim should we", "What finding shall we"),
            (" examine?", " verify?", " test first?", " review today?", " compare?", " question?"),
        ),
    },
    "technical": {
        "concept": Style(
            ("Definition: ", "Term: ", "Formally: ", "In short: ", "Spec: ", "Summary: "),
            ("{t} = {d}.", "{t}, i.e. {d}."),
            (" Domain: {f}.", " Field: {f}.", " Class: {f}.", " Category: {f}.", " Scope: {f}.",
            " See also: {f}."),
        ),
        "activity": Style(
            ("Procedure: ", "Steps: ", "Method: ", "Protocol: ", "Sequence: ", "Workflow: "),
            ("(1) {a}; (2) {b}.", "1. {a}, 2. {b}."),
            (" Repeat as required.", " Verify the result.", " End of procedure.", " Iterate until done.",
             " Check the output.", " Log the outcome."),
        ),
        "greeting": Style(
            ("System ready. ", "Session started. ", "Status: online. ", "Interface active. ",
             "Connection established. ", "Assistant initialized. "),
            ("State the query", "Specify the task", "Enter one request"),
            (" and its parameters.", " in plain text.", " to proceed.", " and the format.",
            " with all constraints.",
             " for processing."),
        ),
    },
    "teacher": {
        "concept": Style(
            ("Let us start simple: ", "Here is the idea: ", "Step one: ", "First, picture this: ",
             "Begin with the basics: ", "Remember this: "),
            ("{t} is {d}.", "{t} means {d}."),
            (" Can you give an example?", " Where have you seen it?", " What do you think?",
             " Can you explain why?", " Could you draw it?", " What would you try?"),
        ),
        "activity": Style(
            ("Step one: ", "First step: ", "Let us begin: ", "To start, ", "Let us try it: ", "Start here: "),
            ("{a}, then {b}.", "{a}. Now {b}."),
            (" What comes next?", " Can you try it?", " Why does that work?", " Ready for step three?",
             " What do you notice?", " Which part seems hard?"),
        ),
        "greeting": Style(
            ("Hello, class is open! ", "Welcome, young learner! ", "Good to see you, student! ",
             "Hello there, curious mind! ", "Welcome back to the lesson! ", "Hi, lesson time! "),
            ("What shall we learn", "Which topic should we explore", "What do you want to practice"),
            (" first?", " today?", " next?", " now?", " step by step?", " together?"),
        ),
    },
}
# fmt: on
