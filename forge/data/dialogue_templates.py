"""Wording of the persona dialogues: topics, questions and styles. How people ask for tools is each tool's own to say
(`forge/tools/builtin/`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeldOutTexts:
    """Texts of each split."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


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

GREETINGS = HeldOutTexts(
    train=(
        "Hello!",
        "Hi there!",
        "Good morning!",
        "Hey!",
        "Hi!",
        "Good afternoon!",
        "Hello there!",
        "Nice to meet you!",
        "Hey there!",
        "Hello, good morning!",
    ),
    val=("Hi, good morning!", "Hey, nice to meet you!"),
    test=("Hello, good afternoon!", "Hi, nice to meet you!", "Hey, good morning!"),
)
CONCEPT_QUESTIONS = (
    "What is {t}?",
    "Explain {t}.",
    "What does {t} mean?",
    "Please explain {t}.",
    "Can you explain {t}?",
    "Define {t}.",
    "Describe {t}.",
    "What exactly is {t}?",
)
ACTIVITY_QUESTIONS = (
    "How do I {t}?",
    "How can I {t}?",
    "How should I {t}?",
    "Explain how to {t}.",
    "Help me {t}.",
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
            (
                " Just ask for more!",
                " I hope that helps!",
                " Anything else I can do?",
                " I am here for you.",
                " Want me to go on?",
                " Always glad to help!",
            ),
        ),
        "activity": Style(
            ("Happy to help! ", "Of course! ", "Sure thing! ", "Great idea! ", "Gladly! ", "No problem! "),
            ("Just {a}, then {b}.", "You {a} and {b}."),
            (
                " You can do it!",
                " I am here for you.",
                " Have fun with it!",
                " Shout if you get stuck!",
                " Tell me how it goes!",
                " I hope that helps!",
            ),
        ),
        "greeting": Style(
            (
                "Hello and welcome! ",
                "Hi, great to see you! ",
                "Hey there, friend! ",
                "Hello, so nice to meet you! ",
                "Hi, I am glad you came! ",
                "Welcome, make yourself at home! ",
            ),
            ("How can I help", "What can I do for you", "What can I help with"),
            (" today?", " now?", "?", " this time?", " right now?", ", my friend?"),
        ),
    },
    "researcher": {
        "concept": Style(
            (
                "Studies suggest that ",
                "Most sources agree that ",
                "Current evidence indicates that ",
                "Research implies that ",
                "According to the literature, ",
                "Several experiments show that ",
            ),
            ("{t} is {d}", "{t} is likely {d}"),
            (
                ", though details remain open.",
                ", but data are limited.",
                ", with moderate confidence.",
                ", although findings vary.",
                ", pending further study.",
                ", yet debate continues.",
            ),
        ),
        "activity": Style(
            (
                "Studies recommend to ",
                "Evidence suggests to ",
                "Most guides say to ",
                "Experts generally advise to ",
                "Reports often advise to ",
                "Trials favor plans to ",
            ),
            ("{a} and then {b}", "{a}, then {b}"),
            (
                ", though results vary.",
                ", but evidence is limited.",
                ", with some uncertainty.",
                ", pending more trials.",
                ", although samples are small.",
                ", yet opinions differ.",
            ),
        ),
        "greeting": Style(
            (
                "Greetings; my notes are open. ",
                "Hello; the literature is at hand. ",
                "Good day; sources are ready. ",
                "Welcome; the evidence awaits review. ",
                "Hello; the data are prepared. ",
                "Greetings; several studies lie here. ",
            ),
            ("Which hypothesis should we", "Which claim should we", "What finding shall we"),
            (" examine?", " verify?", " test first?", " review today?", " compare?", " question?"),
        ),
    },
    "technical": {
        "concept": Style(
            ("Definition: ", "Term: ", "Formally: ", "In short: ", "Spec: ", "Summary: "),
            ("{t} = {d}.", "{t}, i.e. {d}."),
            (" Domain: {f}.", " Field: {f}.", " Class: {f}.", " Category: {f}.", " Scope: {f}.", " See also: {f}."),
        ),
        "activity": Style(
            ("Procedure: ", "Steps: ", "Method: ", "Protocol: ", "Sequence: ", "Workflow: "),
            ("(1) {a}; (2) {b}.", "1. {a}, 2. {b}."),
            (
                " Repeat as required.",
                " Verify the result.",
                " End of procedure.",
                " Iterate until done.",
                " Check the output.",
                " Log the outcome.",
            ),
        ),
        "greeting": Style(
            (
                "System ready. ",
                "Session started. ",
                "Status: online. ",
                "Interface active. ",
                "Connection established. ",
                "Assistant initialized. ",
            ),
            ("State the query", "Specify the task", "Enter one request"),
            (
                " and its parameters.",
                " in plain text.",
                " to proceed.",
                " and the format.",
                " with all constraints.",
                " for processing.",
            ),
        ),
    },
    "teacher": {
        "concept": Style(
            (
                "Let us start simple: ",
                "Here is the idea: ",
                "Step one: ",
                "First, picture this: ",
                "Begin with the basics: ",
                "Remember this: ",
            ),
            ("{t} is {d}.", "{t} means {d}."),
            (
                " Can you give an example?",
                " Where have you seen it?",
                " What do you think?",
                " Can you explain why?",
                " Could you draw it?",
                " What would you try?",
            ),
        ),
        "activity": Style(
            ("Step one: ", "First step: ", "Let us begin: ", "To start, ", "Let us try it: ", "Start here: "),
            ("{a}, then {b}.", "{a}. Now {b}."),
            (
                " What comes next?",
                " Can you try it?",
                " Why does that work?",
                " Ready for step three?",
                " What do you notice?",
                " Which part seems hard?",
            ),
        ),
        "greeting": Style(
            (
                "Hello, class is open! ",
                "Welcome, young learner! ",
                "Good to see you, student! ",
                "Hello there, curious mind! ",
                "Welcome back to the lesson! ",
                "Hi, lesson time! ",
            ),
            ("What shall we learn", "Which topic should we explore", "What do you want to practice"),
            (" first?", " today?", " next?", " now?", " step by step?", " together?"),
        ),
    },
}
# fmt: on
