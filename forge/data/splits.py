"""The one rule by which something belongs to a split: the hash of its text, so that a split never depends on order."""

from __future__ import annotations

import hashlib

SPLITS = ("train", "val", "test")


def dataset_split_by_hash(text: str, *, held_out: int = 1, digest_bytes: int = 1) -> str:
    """'test' or 'val' with ``held_out`` tenths each, else 'train', by the SHA-256 of ``text``.

    ``digest_bytes``: how many of its bytes decide; one byte gives the first residues 26 of 256 instead of 25.6.
    """
    residue = int.from_bytes(hashlib.sha256(text.encode()).digest()[:digest_bytes], "big") % 10
    return "test" if residue < held_out else "val" if residue < 2 * held_out else "train"
