"""What is baked: the prompted model's own trajectories, kept where the tool's result is right, and the same without
the prompt."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from forge.data.build import Row, tokenize_data_rows
from forge.data.dataset import OWN, EncodedSet
from forge.data.render import ID, Message, render, render_answer_after_tool_result
from forge.data.views import dataset_without_prompts
from forge.errors import Interrupted
from forge.evals.answering import with_tool_result_shown
from forge.evals.persona_content import keeps_persona_facts
from forge.evals.tool_use import eval_dialogue_until_question, expected_call_for_eval
from forge.interface.fields import Mix
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.model.engine import ROWS_AT_ONCE, Generation, generate
from forge.phases.baking.params import Params
from forge.tools import Toolbox
from forge.train.checkpoint import load_checkpoint, save_checkpoint

# Answers that are to stay as they are, by rows of the training data without any prompt: at once, after a thought, and
# with tools that the user has declared, which no prompt tells of.
REPLAYED_KINDS = ("direct", "worked", "own_tool")
# What a trajectory may be, in the order in which batches draw them (forge.train.plan_batches).
BAKED_KINDS = ("tooled", "tool", "persona", *REPLAYED_KINDS)


@dataclass(frozen=True)
class Trajectories:
    """Examples with the prompt (for the teacher) and without it (for the student), in the same order; ``kept`` is the
    share of sampled tool trajectories that passed; ``callers`` the tool that each example calls, or None."""

    prompted: EncodedSet
    bare: EncodedSet
    kept: float
    callers: list[str | None]


def baking_shares(mix: Mix) -> dict[str, float]:
    """The mix by kind, in the order of `BAKED_KINDS`."""
    return {kind: getattr(mix, kind) for kind in BAKED_KINDS}


def sample_baking_trajectories(
    run: PhaseRun[Params],
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    toolbox: Toolbox,
) -> Trajectories:
    """Prompted trajectories by the phase's parameters, tools executed, and for replay answers at once, after a thought
    and with declared tools.

    Batches already sampled are kept among the run's checkpoints, and a request to stop is met between two.

    A tool trajectory is kept if its one call ran and its answer is the reference's, talk without a call if none was
    made and its answer is the reference's; a persona's if it keeps its topic's facts, else the reference's answer takes
    its place. A dialogue of two turns is gone on with at the second. Where fewer than ``min_kept`` of them are, the
    reference dialogues stand in for the others.
    """
    p, rng = run.params, random.Random(run.seed)
    pools = {kind: [row for row in rows if row["kind"] == kind] for kind in BAKED_KINDS}

    def draw(kind: str, count: int) -> list[Row]:
        return rng.sample(pools[kind], min(max(1, count), len(pools[kind])))

    personas = draw("persona", p.trajectories // p.persona_every)
    half = (p.trajectories - len(personas)) // 2
    wanted = [*draw("tooled", half), *draw("tool", half), *personas]
    asked = [eval_dialogue_until_question(row["messages"]) for row in wanted]
    made = _sample_baking_answers(run, model, tokenizer, asked, toolbox)
    sampled = [_baking_trajectory(row, answer) for row, answer in zip(wanted, made, strict=True)]
    taken = [row for row in sampled if row is not None]
    kept = sum(row["kind"] != "persona" for row in taken) / max(1, sum(row["kind"] != "persona" for row in wanted))
    if len(taken) < len(wanted) * p.min_kept:
        # A model too weak to show how: the reference dialogues take the place of what it could not do.
        taken = [row if own is None else own for row, own in zip(wanted, sampled, strict=True)]
    replays = [row for kind in REPLAYED_KINDS for row in draw(kind, len(taken) // p.replay_every)]
    examples = [*taken, *replays, *(row for row in rows if row["kind"] == OWN)]
    callers = [_baked_tool_name(row) for row in examples]
    return Trajectories(
        tokenize_data_rows(tokenizer, examples), dataset_without_prompts(tokenizer, examples), kept, callers
    )


def _baked_tool_name(row: Row) -> str | None:
    if row["kind"] == OWN:  # prose, or a dialogue that may begin with its answer
        return None
    call = expected_call_for_eval(row["messages"])
    return call if call is None else call.split(" ", 1)[0]


def _sample_baking_answers(
    run: PhaseRun[Params],
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    openings: Sequence[list[Message]],
    toolbox: Toolbox,
) -> list[Generation]:
    """An answer to each opening, in batches of like length that each have a seed of their own."""
    p, folder = run.params, run.checkpoint_dir / "trajectories"
    prompts = [render(tokenizer, opening, generation_prompt=True)[0] for opening in openings]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    saved = load_checkpoint(folder)
    done = [Generation(**made) for made in saved[1]["made"]] if saved is not None else []
    for start in range(len(done), len(order), ROWS_AT_ONCE):
        done += generate(
            model,
            [prompts[i] for i in order[start : start + ROWS_AT_ONCE]],
            max_new_tokens=p.answer_tokens,
            tokenizer=tokenizer,
            execute=toolbox.execute,
            temperature=p.temperature,
            seed=run.seed + start,
            ban_ids=[ID["think"]],  # what is baked is the call and the persona's answer
        )
        save_checkpoint(folder, len(done), {}, {"made": [vars(made) for made in done]})
        run.progress(len(done), len(order), "sampling")
        if run.stop_requested and len(done) < len(order):
            raise Interrupted(len(done), len(order))
    return [made for _, made in sorted(zip(order, done, strict=True), key=lambda pair: pair[0])]


def _baking_trajectory(row: Row, made: Generation) -> Row | None:
    """The row with the model's own turns, or None if they are of no use."""
    made = with_tool_result_shown(made)
    answer = {"role": "assistant", "content": made.text}
    turns: list[Message] = []
    if row["kind"] == "persona":
        spoken = made.text and not made.calls and keeps_persona_facts(row["messages"][1]["content"], made.text)
        turns = [answer if spoken else dict(row["messages"][-1])]
    elif expected_call_for_eval(row["messages"]) is None:
        turns = [answer] if not made.calls and made.text == row["messages"][-1]["content"] else []
    elif (
        len(made.calls) == 1
        and made.text == render_answer_after_tool_result(made.calls[0][1]) == row["messages"][-1]["content"]
    ):
        call, result = made.calls[0]
        turns = [{"role": "call", "content": call}, {"role": "result", "content": result}, answer]
    asked = eval_dialogue_until_question(row["messages"])
    return {**row, "messages": [*asked, *turns]} if turns and made.finished else None
