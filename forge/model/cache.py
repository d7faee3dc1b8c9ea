"""The cache of decoding: keys and values that are kept from call to call, and which of them attention sees.

Shapes: b batch, t tokens, h heads, e head dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from forge.model.blocks import KeyValue
from forge.model.memory import MemoryState


@dataclass
class Cache:
    """What decoding keeps: keys and values per block (b,h,capacity,e), lengths, last embedding, memory."""

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor
    last_embed: Tensor
    memory: MemoryState | None

    @property
    def capacity(self) -> int:
        """Tokens a row has room for."""
        return self.keys[0].shape[2]

    def rows(self, index: Tensor, capacity: int | None = None) -> Cache:
        """The cache of some rows, in the order of ``index``; rows may repeat. ``capacity``: room for so many tokens,
        at least those of the longest row, by default as much as there is."""
        room, lengths = self.capacity if capacity is None else capacity, self.lengths[index]
        used = int(lengths.max()) if len(index) else 0  # what is beyond it is empty, and not worth a copy
        picked = lambda x: F.pad(x[:, :, :used].index_select(0, index), (0, 0, 0, room - used))  # noqa: E731
        memory = None if self.memory is None else self.memory.rows(index)
        keys, values = [picked(k) for k in self.keys], [picked(v) for v in self.values]
        return Cache(keys, values, lengths, self.last_embed[index], memory)

    def grow(self, capacity: int) -> None:
        """Make room for ``capacity`` tokens a row."""
        for kept in (self.keys, self.values):
            kept[:] = [F.pad(x, (0, 0, 0, max(0, capacity - x.shape[2]))) for x in kept]


class CacheWriter:
    """Puts new keys and values into columns ``start`` to ``stop`` of the cache, or, one token each, at the rows' own
    ``places`` (b), and returns what attention should read: columns ``seen`` to ``stop``."""

    def __init__(self, cache: Cache | None, seen: int, start: int, stop: int, places: Tensor | None = None) -> None:
        self.cache, self.seen, self.start, self.stop, self.places = cache, seen, start, stop, places
        self.rows = None if places is None else torch.arange(len(places), device=places.device)

    def store(self, index: int, kv: KeyValue) -> KeyValue:
        """Keep the keys and values (b,h,t,e) of a call's tokens in block ``index``; what attention should read."""
        if self.cache is None:
            return kv
        keys, values, (k, v) = self.cache.keys[index], self.cache.values[index], kv
        if self.places is not None:
            keys[self.rows, :, self.places], values[self.rows, :, self.places] = k[:, :, 0], v[:, :, 0]
        else:
            keys[:, :, self.start : self.stop], values[:, :, self.start : self.stop] = k, v
            if self.seen == self.start:
                return kv
        return keys[:, :, self.seen : self.stop], values[:, :, self.seen : self.stop]


def attention_window_bias(offset: Tensor, window: int, dtype: torch.dtype) -> Tensor:
    """0 where a key lies ``offset`` tokens back inside the window, -inf elsewhere."""
    hidden = (offset < 0) | (offset >= window)
    return torch.zeros(offset.shape, dtype=dtype, device=offset.device).masked_fill_(hidden, -torch.inf)
