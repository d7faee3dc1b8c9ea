"""Corpus, tokenizer, renderer, task suite and dialogues."""
