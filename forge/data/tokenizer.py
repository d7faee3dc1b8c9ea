"""One byte-level BPE tokenizer: digits apart, frequent boilerplate as single tokens, role tokens first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from forge.data.personas import PERSONAS

ROLE_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|call|>", "<|result|>")
THOUGHT_TOKENS = ("<|think|>", "<|/think|>", "<|pause|>")
SPECIAL_TOKENS = (*ROLE_TOKENS, *THOUGHT_TOKENS, *(f"<|{name}|>" for name in PERSONAS))

# A word with the space before it; one digit; punctuation with the space before it and, before a digit, the
# one after it.
PIECE = r" ?[A-Za-z]+|\d| ?[^\sA-Za-z\d]+(?: (?=\d))?|\s+(?!\S)|\s+"
_WORD = re.compile(r"\n+| ?[^\s\d]+(?=\s|$)|\S+|\s+")
MAX_PHRASE_WORDS = 24


def mine_tokenizer_phrases(prompts: Sequence[str], limit: int, min_gain: int) -> list[str]:
    """Boilerplate worth a token of its own: the word sequences without digits that save the most tokens.

    Greedy: take the sequence with the largest (occurrences * (words - 1)), cut it out everywhere, repeat
    until ``limit`` phrases or a gain below ``min_gain``. Official prompts repeat whole sentences; a phrase
    token reads one at the cost of one (the idea of superword tokens, SuperBPE, arXiv 2503.13423).
    """
    segments: Counter[tuple[str, ...]] = Counter()
    for prompt in prompts:
        segments.update(_tokenizer_phrase_segments(prompt))
    phrases: list[str] = []
    while len(phrases) < limit:
        gains: Counter[tuple[str, ...]] = Counter()
        for words, count in segments.items():
            for i in range(len(words)):
                for j in range(i + 3, min(len(words), i + MAX_PHRASE_WORDS) + 1):
                    gains[words[i:j]] += count * (j - i - 1)
        best = max(gains, key=lambda words: (gains[words], len(words), words), default=None)
        if best is None or gains[best] < min_gain:
            break
        phrases.append("".join(best))
        segments = _cut_text_at_tokenizer_phrase(segments, best)
    return phrases


def _tokenizer_phrase_segments(prompt: str) -> list[tuple[str, ...]]:
    out: list[tuple[str, ...]] = []
    current: list[str] = []
    for word in _WORD.findall(prompt):
        if re.search(r"\d", word) or not word.strip(" "):
            if current and word == " ":
                current[-1] += " "  # the space before a number joins the phrase
            out.append(tuple(current))
            current = []
        else:
            current.append(word)
    out.append(tuple(current))
    return [words for words in out if len(words) >= 3]


def _cut_text_at_tokenizer_phrase(segments: Counter[tuple[str, ...]], phrase: tuple[str, ...]) -> Counter[tuple[str, ...]]:
    left: Counter[tuple[str, ...]] = Counter()
    for words, count in segments.items():
        start = 0
        for i in range(len(words) - len(phrase) + 1):
            if i >= start and words[i : i + len(phrase)] == phrase:
                if i - start >= 3:
                    left[words[start:i]] += count
                start = i + len(phrase)
        if len(words) - start >= 3:
            left[words[start:]] += count
    return left


def train_tokenizer(texts: Iterable[str], vocab_size: int, phrases: Sequence[str]) -> PreTrainedTokenizerFast:
    """Train on ``texts``; ``phrases`` take the last places of ``vocab_size``. Ids 0..13 are
    :data:`SPECIAL_TOKENS`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(phrases),
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=16,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned = tokenizer.get_vocab()
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases if phrase not in learned])
    return wrap_tokenizer(tokenizer)


def wrap_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """A Hugging Face tokenizer with our role tokens declared."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>", clean_up_tokenization_spaces=False
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, directory: Path | str) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(str(directory))
