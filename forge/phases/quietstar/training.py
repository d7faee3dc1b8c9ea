"""Training on a model's own thoughts: STaR and REINFORCE, two arms of one loop.

Both sample thoughts with their answers after the same problems and ask the family's scorer about the answers. STaR
(arXiv 2203.14465) raises the likelihood of what led to a right answer. REINFORCE moves the likelihood of every thought
by its advantage: the reward is the verdict plus, as in Quiet-STaR (arXiv 2403.09629, section 4.4), the gain in the true
answer's log-likelihood; the baseline is the mean of the problem's *other* thoughts (leave-one-out, arXiv 2402.14740).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.data.dataset import EncodedSet
from forge.data.render import ID
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.model.log_probs import titan_log_probs_from_states
from forge.phases.quietstar.batches import ThoughtBatch, quietstar_batch_source
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.problems import Problem, quietstar_exact_match
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import (
    batch_of_thought_continuations,
    decided_states_for_thought_gate,
    prompt_with_open_thought,
    prompt_with_thought,
)
from forge.thinking.sampling import Thought, thought_sampling_seed, write_thoughts
from forge.train import Batch, TrainResult, language_loss, loss_settings, train, training_loop_settings
from forge.train.losses import LossFn, weighted_step_loss
from forge.train.memory import check_training_memory

Method = Literal["star", "reinforce"]
ENTROPY_STRIDE = 4  # of so many tokens one is asked for its entropy: distributions take much memory


def train_on_own_thoughts(
    run: PhaseRun[Params],
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    data: EncodedSet,
    method: Method,
    done: int = 0,
) -> tuple[ThoughtGate, TrainResult]:
    """Train a model in place and a new gate together; ``done`` updates of other arms came before, in logs.

    The gate is a submodule meanwhile, so that the optimizer moves it and checkpoints hold it.
    """
    p, training = run.params, run.training
    check_quietstar_memory(model, problems, p)
    gate = ThoughtGate(model.config.hidden_size, run.seed, p.gate_start, p.reward_keep)
    model.think_gate = gate
    arms, language = 2 if p.method == "both" else 1, language_loss(**loss_settings(training))

    def log(step: int, **metrics: float) -> None:
        run.log(done + step, **{f"train/{key}": value for key, value in metrics.items()})

    try:
        result = train(
            model,
            quietstar_batch_source(problems, data, training.mix.model_dump(), p, run.seed),
            own_thought_loss(gate, language, tokenizer, p, method, run.seed, training.early_weight),
            training_loop_settings(p, training),
            name=method,
            checkpoint_dir=run.checkpoint_dir / method,
            log=log,
            stop=lambda: run.stop_requested,
            on_step=lambda step, m: run.progress(done + step, arms * p.steps, f"{method}: right {m['right']:.2f}"),
        )
    finally:
        del model.think_gate
    return gate.eval(), result


def check_quietstar_memory(model: TinyTitanForCausalLM, problems: Sequence[Problem], params: Params) -> None:
    """Refuse thoughts that cannot fit into memory: for each problem a row per thought, one for a pause, one answered at
    once, and the replayed ones.

    Raises:
        ForgeError: with the factor by which `quietstar.batch` must shrink.
    """
    longest = max(len(problem.prompt) for problem in problems)
    answer = max(len(problem.written) for problem in problems)
    rows, room = params.batch * params.thoughts, params.thought_tokens + params.answer_tokens + 2
    given = params.batch * (2 * longest + params.thought_tokens + 2 * answer + 2)
    tokens = rows * (longest + room) + given + params.replay_tokens
    supervised = rows * room + 2 * params.batch * answer + params.replay_tokens
    device = model.embed.weight.device.type
    check_training_memory(model.config, tokens, supervised_tokens=supervised, device=device, dial="quietstar.batch")


def prepare_quietstar_tokens(model: TinyTitanForCausalLM) -> None:
    """Start the embedding of ``<|pause|>``, never trained so far, at that of ``<|assistant|>``."""
    weight = model.embed.weight.data
    weight[ID["pause"]] = weight[ID["assistant"]]


def quietstar_leave_one_out(reward: Tensor) -> Tensor:
    """Rewards (b,n) less the mean of the n-1 others of their row."""
    count = reward.shape[1]
    return (reward - reward.mean(dim=1, keepdim=True)) * (count / (count - 1))


def own_thought_loss(
    gate: ThoughtGate,
    language: LossFn,
    tokenizer: PreTrainedTokenizerFast,
    params: Params,
    method: Method,
    seed: int,
    early_weight: float,
) -> LossFn:
    """The loss of a :class:`ThoughtBatch`: ``given + policy_weight * own + gate's``.

    given: ``language``, the next-token loss, on the replayed rows and, by ``control_weight``, on two rows a problem:
    answered at once, and after as many ``<|pause|>`` tokens as its first thought has, so that both controls have had
    their chance. own: of sampled thoughts, by ``method``, and what entropy lacks to its floor. ``early_weight`` as in
    ``language``. ``seed`` and the batch's step decide what is sampled.
    """

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        if not isinstance(batch, ThoughtBatch):
            raise TypeError("own_thought_loss needs the batches of quietstar_batch_source")
        problems = batch.problems
        thoughts = write_thoughts(
            model,
            [problem.prompt for problem in problems],
            thoughts=params.thoughts,
            tokens=params.thought_tokens,
            answer_tokens=params.answer_tokens,
            temperature=params.temperature,
            seed=thought_sampling_seed(seed, batch.step),
        )
        model.train()
        flat = [thought for row in thoughts for thought in row]
        repeated = [problem for problem in problems for _ in range(params.thoughts)]
        right = torch.from_numpy(quietstar_exact_match(tokenizer, repeated, [t.answer for t in flat])).float()
        right = right.view(len(problems), params.thoughts)
        gain, gate_loss, opened = _gains(model, gate, repeated, flat)
        reward = right + params.gain_weight * gain.view_as(right)
        weights = right if method == "star" else gate.normalize(quietstar_leave_one_out(reward))
        own, entropy = _own_loss(model, repeated, flat, weights.flatten(), params.temperature, early_weight)
        given, metrics = _given_loss(model, language, batch, [row[0] for row in thoughts], params.control_weight)
        missing = (params.entropy_floor - entropy).clamp(min=0)
        metrics |= {
            "right": float(right.mean()),
            "ended": sum(thought.closed for thought in flat) / len(flat),
            "mixed_groups": float(((right.mean(1) > 0) & (right.mean(1) < 1)).float().mean()),
            "reward": float(reward.mean()),
            "likelihood_gain": float(gain.mean()),
            "own": float(own.detach()),
            "gate": opened,
        }
        if bool(entropy.isfinite()):
            metrics["entropy"] = float(entropy.detach())
        return given + params.policy_weight * (own + missing) + gate_loss, metrics

    return loss


def _gains(
    model: TinyTitanForCausalLM, gate: ThoughtGate, problems: Sequence[Problem], thoughts: Sequence[Thought]
) -> tuple[Tensor, Tensor, float]:
    """By how many nats per token each thought makes the true answer likelier (r); the gate's loss, that answer's with
    both states mixed, which moves nothing but the gate; the gate's mean weight."""
    table, answers = model.embedding_weight().detach(), [problem.written for problem in problems]
    asked = [problem.prompt for problem in problems]
    after = [prompt_with_thought(prompt, thought.inside) for prompt, thought in zip(asked, thoughts, strict=True)]
    with torch.no_grad():
        rows, plain = batch_of_thought_continuations(after, answers), batch_of_thought_continuations(asked, answers)
        there = decided_states_for_thought_gate(model, rows.ids, rows.select)
        base = decided_states_for_thought_gate(model, plain.ids, plain.select)
        said, without = (titan_log_probs_from_states(states, table, rows.targets) for states in (there, base))
        gain = ((said - without) * rows.valid).sum(1) / rows.valid.sum(1)
    mixed, weight = gate(base, there)
    likely = titan_log_probs_from_states(mixed, table, rows.targets)
    opened = float(weight.detach()[..., 0][rows.valid].mean())
    return gain, -(likely * rows.valid).sum() / rows.count, opened


def _own_loss(
    model: TinyTitanForCausalLM,
    problems: Sequence[Problem],
    thoughts: Sequence[Thought],
    weights: Tensor,
    temperature: float,
    early_weight: float,
) -> tuple[Tensor, Tensor]:
    """Loss of what was written, each row (r) by its weight, a mean over the tokens of the rows that have one; and the
    entropy, nats per token at temperature 1, of the distributions that it was drawn from. Rows without weight are left
    out; where none has one, the loss is 0 and so is what entropy lacks."""
    kept = [i for i, weight in enumerate(weights.tolist()) if weight]
    if not kept:
        return weights.new_zeros(()), weights.new_tensor(torch.inf)
    contexts = [prompt_with_open_thought(problems[i].prompt) for i in kept]
    rows = batch_of_thought_continuations(contexts, [thoughts[i].ids for i in kept])
    spread = weights[kept][:, None].expand_as(rows.valid)[rows.valid]
    outputs = model.predictions(rows.ids, rows.select, rows.valid)
    losses = [
        (spread * F.cross_entropy(logits / temperature, rows.targets[rows.valid], reduction="none")).mean()
        for logits, _ in outputs
    ]
    chances = F.log_softmax(outputs[-1][0][::ENTROPY_STRIDE], dim=-1)
    return weighted_step_loss(losses, early_weight), -(chances.exp() * chances).sum(-1).mean()


def _given_loss(
    model: TinyTitanForCausalLM,
    language: LossFn,
    batch: ThoughtBatch,
    first: Sequence[Thought],
    control_weight: float,
) -> tuple[Tensor, dict[str, float]]:
    """Loss of the replayed rows and, by their weight, of the problems', answered at once and after pauses."""
    pauses = [
        prompt_with_thought(problem.prompt, [ID["pause"]] * len(thought.inside))
        for problem, thought in zip(batch.problems, first, strict=True)
    ]
    contexts = [*(problem.prompt for problem in batch.problems), *pauses]
    answers = [*(problem.answer for problem in batch.problems), *(problem.written for problem in batch.problems)]
    own_rows = batch_of_thought_continuations(contexts, answers)
    asked, asked_metrics = language(model, own_rows)
    replayed, metrics = language(model, batch.replay)
    metrics["loss_at_once_and_pause"] = asked_metrics["loss"]
    return replayed + control_weight * asked, metrics
