"""What a stranger may have written into a tokenizer.json. Given to the library behind it, some of these end the
process, take all memory, do not end, or raise what is no `Exception`.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.attacks.agent_files import change_json

Form = dict[str, Any]


def _set(*path: Any, to: Any) -> Callable[[Form], None]:
    def change(form: Form) -> None:
        owner: Any = form
        for key in path[:-1]:
            owner = owner[key]
        owner[path[-1]] = to

    return change


def _replace(**pattern: Any) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": "aa"}


_PADDING = {
    "strategy": {"Fixed": 2**40},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 0,
    "pad_type_id": 0,
    "pad_token": "<|pad|>",
}
_TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}],
    "pair": [],
    "special_tokens": {"[X]": {"id": "[X]", "ids": [10**9], "tokens": ["[X]"]}},
}
_ADDED = {
    "id": 320,
    "content": "x",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": False,
}
STRANGERS: dict[str, Callable[[Form], None]] = {
    "padding to 2**40": _set("padding", to=_PADDING),
    "padding to a multiple": _set("padding", to={**_PADDING, "strategy": "BatchLongest", "pad_to_multiple_of": 2**40}),
    "padding to a multiple of 0": _set("padding", to={**_PADDING, "pad_to_multiple_of": 0}),
    "truncation with a stride": _set(
        "truncation", to={"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 1}
    ),
    "a normalizer that grows": _set("normalizer", to={"type": "Sequence", "normalizers": [_replace(String="a")] * 40}),
    "a normalizer of a bad pattern": _set("normalizer", to=_replace(Regex="(a+)+$")),
    "a normalizer of the empty pattern": _set("normalizer", to=_replace(String="")),
    "a precompiled normalizer": _set("normalizer", to={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    "prepend": _set("normalizer", to={"type": "Prepend", "prepend": "x" * 10**6}),
    "another pattern": _set("pre_tokenizer", "pretokenizers", 0, "pattern", to={"Regex": "(a|aa)+$"}),
    "no pre-tokenizer": _set("pre_tokenizer", to=None),
    "a unicode script splitter": _set("pre_tokenizer", to={"type": "UnicodeScripts"}),
    "another post-processor": _set("post_processor", to=_TEMPLATE),
    "no post-processor": _set("post_processor", to=None),
    "a decoder that strips": _set("decoder", to={"type": "Strip", "content": "a", "start": 2**40, "stop": 2**40}),
    "another model": _set("model", to={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}),
    "a unigram model": _set("model", to={"type": "Unigram", "vocab": [["a", float("nan")]], "unk_id": 7}),
    "an unknown token": _set("model", "unk_token", to="[UNK]"),
    "dropout": _set("model", "dropout", to=0.5),
    "byte fallback": _set("model", "byte_fallback", to=True),
    "a prefix": _set("model", "continuing_subword_prefix", to="##"),
    "no vocabulary": _set("model", "vocab", to={}),
    "ids with gaps": _set("model", "vocab", "!", to=2**32 - 1),
    "an id twice": _set("model", "vocab", "!", to=20),
    "an id below zero": _set("model", "vocab", "!", to=-1),
    "an id that is a fraction": _set("model", "vocab", "!", to=14.0),
    "a token that is long": lambda form: form["model"]["vocab"].update({"a" * 17: len(form["model"]["vocab"])}),
    "a token of no bytes": lambda form: form["model"]["vocab"].update({"→": len(form["model"]["vocab"])}),
    "other role tokens": _set("added_tokens", 0, "content", to="<pad>"),
    "a role token less": lambda form: form["added_tokens"].pop(3),
    "a phrase of nothing": _set("added_tokens", -1, "content", to=""),
    "a phrase twice": lambda form: form["added_tokens"].append(form["added_tokens"][-1]),
    "a phrase that strips": _set("added_tokens", -1, "lstrip", to=True),
    "a phrase far away": lambda form: form["added_tokens"].append({**_ADDED, "id": 2**31}),
    "a phrase that is huge": _set("added_tokens", -1, "content", to="x" * 5000),
    "half a surrogate pair": _set("added_tokens", -1, "content", to="\ud800"),
    "a merge": _set("model", "merges", to=[["a", "b"]]),
    "merges as text": _set("model", "merges", to=["a b"]),
    "merges that come first": _set("model", "ignore_merges", to=False),
    "a further key": _set("code", to="import os"),
    "another version": _set("version", to="2.0"),
}
TEXTS = ("", "[]", "null", "[" * 100_000, "9" * 5000, '{"model": []}', '{"model": {}}', '{"model"', '{"a": NaN}')


def stranger(good: Form, name: str) -> str:
    """The text of a tokenizer.json of ours that a stranger changed."""
    form = copy.deepcopy(good)
    STRANGERS[name](form)
    return json.dumps(form)


def changed_tokenizers(good: Form, seed: int) -> Iterator[tuple[str, str]]:
    """(what was changed, text) without end: one random change of a tokenizer.json of ours."""
    source = random.Random(seed)
    while True:
        below = source.choice([(), (), ("model",), ("added_tokens",), ("pre_tokenizer",), ("post_processor",)])
        where, form = change_json(source, good, below)
        yield where, json.dumps(form)
