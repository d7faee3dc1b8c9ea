"""Training with thoughts: likelihood without and with them, and REINFORCE for what is thought.

Quiet-STaR (arXiv 2403.09629, section 4.4) in its simplest form: thoughts stand at one position, the start of
the assistant's answer; the reward is the gain in the whole answer's log-likelihood; the baseline is the mean
of the prompt's *other* thoughts (leave-one-out), without the paper's clamp at zero, so that it is unbiased.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from forge.data.dataset import EncodedSet
from forge.data.render import ID
from forge.errors import ForgeError
from forge.model.titan import TinyTitanForCausalLM
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import ROLE_IDS, base_batch, final_states, thought_batch, token_log_probs
from forge.thinking.sampling import sample_thoughts
from forge.train import Batch, gather_batch, language_loss, plan_batches
from forge.train.losses import LossFn

THOUGHT_TOKENS = ("think", "/think", "pause")
MICRO_STRIDE = 1 << 24  # between the seeds of a step's micro-batches: more than there are steps
SORT_BATCHES = 16  # prompts are sorted by length inside windows of this many steps


@dataclass(frozen=True)
class ThoughtSettings:
    """A step's ``thoughts`` a prompt, ``tokens`` a thought, ``prompts``, ``replay_tokens`` of other rows.

    ``policy_weight`` scales REINFORCE against the likelihoods; ``alone_weight`` (0..1) is the share of the
    mixed likelihood that goes to the state after the thought as it is, unmixed; 0 is the paper's loss.
    """

    thoughts: int
    tokens: int
    prompts: int
    replay_tokens: int
    policy_weight: float
    alone_weight: float
    seed: int


@dataclass
class ThoughtBatch(Batch):
    """Prompts to think about, as a batch of their plain rows; other rows that keep what the model knows; and
    the step, which seeds the sampling."""

    prompts: list[list[int]]
    answers: list[list[int]]
    replay: Batch
    step: int

    def split(self, parts: int) -> list[Batch]:
        """Micro-batches with a share of the prompts and of the other rows each; every one samples thoughts of
        its own."""
        parts = min(parts, len(self.ids), len(self.replay.ids))
        rows = np.array_split(np.arange(len(self.ids)), parts)
        made: list[Batch] = []
        for place, (part, replay) in enumerate(zip(rows, self.replay.split(parts), strict=True)):
            prompts, answers = [self.prompts[i] for i in part], [self.answers[i] for i in part]
            plain = base_batch(prompts, answers)  # padded anew: its width is that of the rows with thoughts
            made.append(
                replace(
                    self,
                    **vars(plain),
                    prompts=prompts,
                    answers=answers,
                    replay=replay,
                    step=self.step + place * MICRO_STRIDE,
                )
            )
        return made


def split_row(data: EncodedSet, index: int) -> tuple[list[int], list[int]]:
    """Prompt up to ``<|assistant|>`` and answer with its ``<|end|>`` of a row with one supervised span."""
    ids, mask = data.row(index)
    start = int(mask.argmax())
    return ids[:start].tolist(), ids[start:].tolist()


def thought_source(
    data: EncodedSet, shares: Mapping[str, float], steps: int, settings: ThoughtSettings
) -> Callable[[int], ThoughtBatch]:
    """Batches by step, decided by the seed alone, so that a resumed run sees the same.

    Prompts are 'direct' rows, each seen once before any is seen again; the replay mixes kinds by ``shares``.
    """
    pool = data.where("direct")
    if not len(pool):
        raise ForgeError("no training examples of kind 'direct' to think about")
    rng = np.random.default_rng([settings.seed, len(ID)])
    size = settings.prompts
    passes = [rng.permutation(pool) for _ in range(steps * size // len(pool) + 1)]
    order = np.concatenate(passes)[: steps * size]
    lengths = data.lengths
    for window in range(0, len(order), SORT_BATCHES * size):
        part = order[window : window + SORT_BATCHES * size]
        groups = part[np.argsort(lengths[part], kind="stable")].reshape(-1, size)
        order[window : window + len(part)] = rng.permutation(groups).reshape(-1)
    replays = plan_batches(data, shares, steps, settings.replay_tokens, settings.seed)

    def source(step: int) -> ThoughtBatch:
        rows = [split_row(data, int(i)) for i in order[step * size : (step + 1) * size]]
        prompts, answers = [prompt for prompt, _ in rows], [answer for _, answer in rows]
        plain = base_batch(prompts, answers)
        replay = gather_batch(data, replays[step])
        return ThoughtBatch(
            plain.ids, plain.select, plain.targets, plain.valid, plain.index, prompts, answers, replay, step
        )

    return source


def prepare_thought_tokens(model: TinyTitanForCausalLM) -> None:
    """Start the embeddings of the three thought tokens, never trained so far, at that of ``<|assistant|>``.

    A thought then begins as a draft of the answer, and what follows it as an answer. (The released code
    starts its two tokens from the row of "---".)
    """
    weight = model.embed.weight.data
    for name in THOUGHT_TOKENS:
        weight[ID[name]] = weight[ID["assistant"]]


def leave_one_out(reward: Tensor) -> Tensor:
    """Rewards (b,n) less the mean of the n-1 others of their row."""
    count = reward.shape[1]
    return (reward - reward.mean(dim=1, keepdim=True)) * (count / (count - 1))


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step, whatever ran before it."""
    state = np.random.SeedSequence([seed, step]).generate_state(2)
    return torch.Generator().manual_seed(int(state[0]) << 16 ^ int(state[1]))


def thought_loss(gate: ThoughtGate, settings: ThoughtSettings, halt_weight: float = 0.1) -> LossFn:
    """The loss of a :class:`ThoughtBatch`: ``0.5 * base + 0.5 * mixed + policy_weight * policy``.

    base: next-token loss without thoughts, on the prompts' rows and the replayed ones. mixed: loss of the
    answer with the thought's states mixed in, and a share of it with those states alone: they learn through a
    gate that starts at 0.02, so without that share they hardly learn and the gate closes on them. Half is
    over the sampled thoughts, half over a row whose thought is as many ``<|pause|>`` tokens: the control is
    trained as much. policy: REINFORCE.
    """
    language = language_loss(halt_weight)

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        if not isinstance(batch, ThoughtBatch):
            raise TypeError("thought_loss needs the batches of thought_source")
        plain, metrics = language(model, batch)
        replayed, replay_metrics = language(model, batch.replay)
        share = batch.count / (batch.count + batch.replay.count)
        base = share * plain + (1 - share) * replayed
        mixed, policy, more = _with_thoughts(model, gate, batch, settings)
        metrics |= more | {"loss_replay": replay_metrics["loss"]}
        metrics["loss"] = share * metrics["loss"] + (1 - share) * replay_metrics["loss"]
        return 0.5 * base + 0.5 * mixed + settings.policy_weight * policy, metrics

    return loss


def _with_thoughts(
    model: TinyTitanForCausalLM, gate: ThoughtGate, batch: ThoughtBatch, settings: ThoughtSettings
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Mixed likelihood loss, policy loss and their metrics; one row a thought and one a pause."""
    count, tokens = settings.thoughts, settings.tokens
    sampled = sample_thoughts(model, batch.prompts, count, tokens, step_generator(settings.seed, batch.step))
    pause = torch.full_like(sampled[:, :1], ID["pause"])
    inside = torch.cat((sampled, pause), dim=1)
    repeat = lambda rows: [row for row in rows for _ in range(count + 1)]  # noqa: E731
    rows = thought_batch(repeat(batch.prompts), inside.flatten(0, 1).tolist(), repeat(batch.answers))
    states = final_states(model, rows.ids, rows.select).unflatten(0, (len(inside), count + 1))
    table = model.embedding_weight()
    base = final_states(model, batch.ids, batch.select).unsqueeze(1)
    after, weight = gate(base.expand(-1, count + 1, -1, -1), states[:, :, tokens:])
    targets, valid = batch.targets[:, None].expand(-1, count + 1, -1), batch.valid[:, None]
    gained = (token_log_probs(after, table, targets) * valid).sum(-1)
    with torch.no_grad():
        without = (token_log_probs(base, table, batch.targets[:, None]) * valid).sum(-1)
    reward = gained[:, :count].detach() - without
    advantage = gate.normalize(leave_one_out(reward))
    said = token_log_probs(states[:, :count, :tokens], table[ROLE_IDS:], sampled - ROLE_IDS).sum(-1)
    policy = -(advantage * said).mean()
    per_token = -gained.sum(0) / batch.count
    alone = -(token_log_probs(states[:, :, tokens:], table, targets) * valid).sum((0, 2)) / batch.count
    trained = (1 - settings.alone_weight) * per_token + settings.alone_weight * alone
    mixed = 0.5 * trained[:count].mean() + 0.5 * trained[count]
    opened = weight[..., 0] * valid
    metrics = {
        "loss_thought": per_token[:count].mean(),
        "loss_pause": per_token[count],
        "loss_thought_alone": alone[:count].mean(),
        "loss_pause_alone": alone[count],
        "policy": policy,
        "reward": reward.mean(),
        "reward_std": reward.std(),
        "gate": opened[:, :count].sum() / (batch.count * count),
        "thought_entropy": -said.mean() / tokens,
    }
    return mixed, policy, {name: float(value.detach()) for name, value in metrics.items()}
