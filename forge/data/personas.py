"""The personas: their names, in the order of their handles among the special tokens, and the prompts that a model
needs until baking (phase 6) has put them into its weights. Imports nothing, so that every room may ask."""

from __future__ import annotations

PERSONA_PROMPTS: dict[str, str] = {
    "helpful": "Answer warmly and offer help.",
    "researcher": "Answer with evidence and say what is uncertain.",
    "technical": "Answer tersely with exact terms.",
    "teacher": "Answer in steps and ask a question back.",
}
PERSONAS = tuple(PERSONA_PROMPTS)
