"""Bytes against quality: phase 8 at several sizes, each held against a model of the same bytes that nobody taught."""
