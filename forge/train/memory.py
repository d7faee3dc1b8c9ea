"""How much memory a training run will take, counted before it starts, and how much there is.

The count follows the tensors that autograd keeps (:mod:`forge.model`), in float32; a test holds it against
what autograd really saved.
"""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import psutil
import torch

from forge.errors import ForgeError
from forge.model.blocks import SHORT
from forge.model.config import TinyTitanConfig
from forge.model.fit import model_without_weights
from forge.model.titan import TinyTitanForCausalLM, names_of_core_model_weights

FLOAT = 4  # bytes
# Floats of state a weight: (matrices of the core, the rest). Muon keeps one momentum, AdamW two moments.
OPTIMIZER_STATE = {"hybrid": (1, 2), "hybrid+grokfast": (2, 3)}
# Copies of the largest group of equal shapes that Muon's Newton-Schulz works with at once.
MUON_WORKSPACE = 4
# Share of a batch's tokens that is supervised, where the caller does not know: about that of the trunk's diet.
SUPERVISED_SHARE = 0.25
ROW_TOKENS = 64  # tokens of a row, where the caller does not know: attention keeps weights of short rows
# What the allocator and the batches themselves take on top of what is counted.
OVERHEAD = 1.15
RESERVE = 256 * 2**20  # left to everyone else


def estimate_training_bytes(
    config: TinyTitanConfig,
    batch_tokens: int,
    *,
    optimizer: str = "hybrid",
    supervised_tokens: int | None = None,
    row_tokens: int = ROW_TOKENS,
    teacher: bool = False,
) -> int:
    """Bytes that training adds, at its peak, to a process that has loaded the libraries.

    Args:
        config: the model's shape.
        batch_tokens: tokens of one micro-batch, padding included.
        optimizer: a key of :data:`OPTIMIZER_STATE`.
        supervised_tokens: tokens of that micro-batch that have a target; a quarter where None.
        row_tokens: tokens of one row of it.
        teacher: a second model of the same shape gives targets (distillation).

    Raises:
        ForgeError: there is no such optimizer.
    """
    if optimizer not in OPTIMIZER_STATE:
        raise ForgeError(f"optimizer: '{optimizer}' is not one of {', '.join(OPTIMIZER_STATE)}")
    supervised = round(SUPERVISED_SHARE * batch_tokens) if supervised_tokens is None else supervised_tokens
    core, rest, largest = _count_optimizer_group_weights(config)
    on_core, on_rest = OPTIMIZER_STATE[optimizer]
    resting = core * (2 + on_core) + rest * (2 + on_rest) + (core + rest if teacher else 0)
    resting += 2 * core + rest  # the fresh state that a diverged run may return to
    quantized = core if config.weight_quant == "ternary" else 0
    quantized += config.vocab_size * config.hidden_size if config.embed_bits else 0
    # The gradient of the tied table is made once a step and added up: one more copy.
    forward = quantized + config.vocab_size * config.hidden_size
    forward += floats_saved_for_backward(config, batch_tokens, supervised, row_tokens) + _training_logit_floats(
        config, supervised, teacher
    )
    return round(OVERHEAD * FLOAT * (resting + max(forward, MUON_WORKSPACE * largest, rest)))


def _count_optimizer_group_weights(config: TinyTitanConfig) -> tuple[int, int, int]:
    """Weights of the core, of the rest, and of the largest group of equal shapes; no memory is taken."""
    model = model_without_weights(copy.deepcopy(config), TinyTitanForCausalLM)
    names = set(names_of_core_model_weights(model))
    groups: dict[torch.Size, int] = {}
    rest = 0
    for name, parameter in model.named_parameters():
        if name in names:
            groups[parameter.shape] = groups.get(parameter.shape, 0) + parameter.numel()
        else:
            rest += parameter.numel()
    return sum(groups.values()), rest, max(groups.values())


def floats_saved_for_backward(
    config: TinyTitanConfig, tokens: int, supervised: int, row_tokens: int = ROW_TOKENS
) -> int:
    """Values that autograd keeps from the forward pass to the backward one, logits left out.

    Step 1 runs over all ``tokens``, its last block beyond keys and values and later steps over the
    ``supervised`` ones (:mod:`forge.model.titan`).
    """
    d, quantized = config.hidden_size, bool(config.act_bits)
    blocks = [*zip(config.low_heads, config.low_ffn, strict=True)]
    blocks += [*zip(config.high_heads, config.high_ffn, strict=True)]
    titan = config.architecture == "titan"
    everywhere, last, later = 2 * d, 2 * d, 4 * d  # embedding and shift; the two outputs; both once more
    for place, (heads, width) in enumerate(blocks):
        inner = heads * config.head_dim
        # The input's norm (a quantized input is kept beside it), keys, values.
        written = (2 if quantized else 1) * d + 2 * inner
        # Queries, weights or what stands for them in the fused kernel, the output's norm; the two halves of squared
        # ReLU and the norm before them; quantized inputs of the three projections.
        weights = heads * row_tokens if row_tokens <= SHORT else inner + heads
        rest = 2 * inner + weights + d + 2 * width + ((d + inner + width) if quantized else 0)
        chosen = rest + inner + (2 if quantized else 1) * d  # queries in rows again, the input's norm again
        everywhere += written + (rest if place < len(blocks) - 1 else 0)
        last += chosen if place == len(blocks) - 1 else 0
        later += chosen
    if titan and config.memory:
        side, chunk = config.memory_head_dim, config.memory_chunk
        # Keys, queries, values and errors; matrices at the chunks' edges; products of rates within a chunk.
        everywhere += round(config.memory_heads * (19 * side + 3 * side * side / chunk + 7.5 * chunk + 24))
    steps = config.max_steps if titan else 1
    return tokens * everywhere + supervised * (last + later * (steps - 1))


def _training_logit_floats(config: TinyTitanConfig, supervised: int, teacher: bool) -> int:
    """Logits and log-probabilities of all steps at the end of the forward pass, and two more of one step for
    its gradient; the distance to a teacher keeps two more a step."""
    steps = config.max_steps if config.architecture == "titan" else 1
    return supervised * config.vocab_size * ((4 if teacher else 2) * steps + (4 if teacher else 2))


# ---- what there is -----------------------------------------------------------------------------------------


def available_training_bytes(device: str = "cpu") -> int:
    """Memory that this process may still take: of the GPU, or of the machine within the limit of its control
    group."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    limits = [psutil.virtual_memory().available, *training_memory_below_limits()]
    return max(0, min(limits))


def training_memory_below_limits(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Bytes left under each memory limit that binds this process (version 2 and 1); page cache counts as left."""
    if not own.is_file():
        return []
    found = []
    for line in own.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "memory" if controllers else root
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        place = base / path.lstrip("/")
        # In a container the path may be the host's: then only the root of the mount can be read.
        for folder in dict.fromkeys([place, *(p for p in place.parents if p.is_relative_to(base)), base]):
            left = _training_memory_below_limit(folder, *names)
            if left is not None:
                found.append(left)
    return found


def _training_memory_below_limit(folder: Path, limit_name: str, usage_name: str) -> int | None:
    """Limit less usage of one control group; None where it sets no limit."""
    with contextlib.suppress(OSError, ValueError):
        limit = int((folder / limit_name).read_text(encoding="utf-8"))  # "max" is no number
        used = int((folder / usage_name).read_text(encoding="utf-8"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
        cache = int(stat.get("inactive_file", stat.get("total_inactive_file", 0)))
        return limit - used + cache
    return None


def check_training_memory(
    config: TinyTitanConfig,
    batch_tokens: int,
    *,
    optimizer: str = "hybrid",
    supervised_tokens: int | None = None,
    row_tokens: int = ROW_TOKENS,
    teacher: bool = False,
    device: str = "cpu",
    dial: str = "batch_tokens",
) -> int:
    """Refuse a training run that cannot fit; otherwise its estimate in bytes.

    ``dial`` names the parameter that sets the batch's size, for the suggestion; its value is taken to be
    ``batch_tokens``, or proportional to it.

    Raises:
        ForgeError: the estimate exceeds what is available; the message suggests a size that fits.
    """

    def need(tokens: int) -> int:
        share = None if supervised_tokens is None else round(supervised_tokens * tokens / batch_tokens)
        return estimate_training_bytes(
            config, tokens, optimizer=optimizer, supervised_tokens=share, row_tokens=row_tokens, teacher=teacher
        )

    needed, available = need(batch_tokens), available_training_bytes(device) - RESERVE
    if needed <= available:
        return needed
    parts = 2
    while batch_tokens // parts > 64 and need(batch_tokens // parts) > available:
        parts *= 2
    if need(batch_tokens // parts) > available:
        fix = "take a smaller scale"
    elif dial == "batch_tokens":
        fix = f"set batch_tokens to {batch_tokens // parts}"
    else:
        fix = f"divide {dial} by {parts}"
    raise ForgeError(
        f"this needs about {needed / 2**30:.2g} GiB of memory for batches of {batch_tokens} tokens and"
        f" {max(0, available) / 2**30:.2g} GiB are available; {fix} in params.yaml"
    )
