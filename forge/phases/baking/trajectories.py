"""What is baked: the prompted model's own trajectories, kept where the tool's result is right, and the same without
the prompt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from forge.data.build import Row, encode_rows
from forge.data.dataset import KINDS, EncodedSet
from forge.data.render import render
from forge.data.views import without_prompt
from forge.errors import Interrupted
from forge.evals.tool_use import expected_call
from forge.interface.run import LoopRun
from forge.model import TinyTitanForCausalLM
from forge.model.engine import ROWS_AT_ONCE, Generation, generate
from forge.tools import Toolbox
from forge.train.checkpoint import load_checkpoint, save_checkpoint

MAX_NEW_TOKENS = 72
MIN_KEPT = 0.5  # below this share of usable trajectories, references fill the gaps
PERSONA_SHARE = 4  # one trajectory in so many is a persona's


@dataclass(frozen=True)
class Trajectories:
    """Examples with the prompt (for the teacher) and without it (for the student), in the same order; ``kept`` is the
    share of sampled tool trajectories that passed; ``callers`` the tool that each example calls, or None."""

    prompted: EncodedSet
    bare: EncodedSet
    kept: float
    callers: list[str | None]

    @property
    def without_call(self) -> np.ndarray:
        """Which examples are answers without tools."""
        flags: np.ndarray = self.bare.kind == KINDS.index("direct")
        return flags


def sample_trajectories(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    toolbox: Toolbox,
    *,
    count: int,
    temperature: float,
    seed: int,
    run: LoopRun | None = None,
) -> Trajectories:
    """``count`` prompted trajectories sampled at ``temperature``, tools executed, and as many plain answers for replay.

    With ``run``, batches already sampled are kept among its checkpoints, and a request to stop is met between two.

    A tool trajectory is kept if its one call ran and its answer is the reference's; a persona's if it ended. Where
    fewer than half are, the reference dialogues stand in for the others.
    """
    rng = random.Random(seed)
    pools = {kind: [row for row in rows if row["kind"] == kind] for kind in ("tooled", "tool", "persona", "direct")}
    personas = rng.sample(pools["persona"], min(len(pools["persona"]), max(1, count // PERSONA_SHARE)))
    half = max(1, (count - len(personas)) // 2)
    wanted = [
        *rng.sample(pools["tooled"], min(half, len(pools["tooled"]))),
        *rng.sample(pools["tool"], min(half, len(pools["tool"]))),
        *personas,
    ]
    prompts = [render(tokenizer, _prompt(row), generation_prompt=True)[0] for row in wanted]
    made = _sample(model, tokenizer, prompts, toolbox, temperature, seed, run)
    sampled = [_trajectory(row, g) for row, g in zip(wanted, made, strict=True)]
    tools = [row for row in sampled if row is not None and row["kind"] != "persona"]
    taken = [row for row in sampled if row is not None]
    if len(taken) < len(wanted) * MIN_KEPT:
        # A model too weak to show how: the reference dialogues take the place of what it could not do.
        taken = [row if own is None else own for row, own in zip(wanted, sampled, strict=True)]
    replay = rng.sample(pools["direct"], min(len(pools["direct"]), max(1, len(taken) // 2)))
    prompted = [*taken, *replay]
    bare = [{**row, "messages": without_prompt(row)} for row in prompted]
    asked = max(1, sum(row["kind"] != "persona" for row in wanted))
    callers = [_caller(row) for row in prompted]
    return Trajectories(encode_rows(tokenizer, prompted), encode_rows(tokenizer, bare), len(tools) / asked, callers)


def _caller(row: Row) -> str | None:
    call = expected_call(row["messages"])
    return call if call is None else call.split(" ", 1)[0]


def _sample(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Sequence[int]],
    toolbox: Toolbox,
    temperature: float,
    seed: int,
    run: LoopRun | None,
) -> list[Generation]:
    """An answer to each prompt, in batches of like length that each have a seed of their own."""
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    folder = run.checkpoint_dir / "trajectories" if run is not None else None
    saved = load_checkpoint(folder) if folder is not None else None
    done = [Generation(**made) for made in saved[1]["made"]] if saved is not None else []
    for start in range(len(done), len(order), ROWS_AT_ONCE):
        done += generate(
            model,
            [prompts[i] for i in order[start : start + ROWS_AT_ONCE]],
            max_new_tokens=MAX_NEW_TOKENS,
            tokenizer=tokenizer,
            execute=toolbox.execute,
            temperature=temperature,
            seed=seed + start,
        )
        if run is not None and folder is not None:
            save_checkpoint(folder, len(done), {}, {"made": [vars(made) for made in done]})
            run.progress(len(done), len(order), "sampling")
            if run.stop_requested and len(done) < len(order):
                raise Interrupted(len(done), len(order))
    return [made for _, made in sorted(zip(order, done, strict=True), key=lambda pair: pair[0])]


def _prompt(row: Row) -> list[dict[str, str]]:
    return [m for m in row["messages"] if m["role"] in ("system", "user")]


def _trajectory(row: Row, made: Generation) -> dict[str, Any] | None:
    """The row with the model's own turns, or None if they are of no use."""
    if not made.finished:
        return None
    opening = _prompt(row)
    if row["kind"] == "persona":
        turns = [{"role": "assistant", "content": made.text}] if made.text and not made.calls else None
    else:
        reference = row["messages"][-1]["content"]
        good = len(made.calls) == 1 and made.text == reference and made.calls[0][1] == reference
        call, result = made.calls[0] if good else ("", "")
        turns = (
            [
                {"role": "call", "content": call},
                {"role": "result", "content": result},
                {"role": "assistant", "content": made.text},
            ]
            if good
            else None
        )
    return None if turns is None else {**row, "messages": [*opening, *turns]}
