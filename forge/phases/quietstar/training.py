"""Training with thoughts: likelihood without and with them, and REINFORCE for what is thought.

Quiet-STaR (arXiv 2403.09629, section 4.4) in its simplest form: thoughts stand at one position, the start of the
assistant's answer; the reward is the gain in the whole answer's log-likelihood; the baseline is the mean of the
prompt's *other* thoughts (leave-one-out), without the paper's clamp at zero, so that it is unbiased.
"""

from __future__ import annotations

import torch
from torch import Tensor

from forge.data.dataset import EncodedSet
from forge.data.render import ID
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.model.log_probs import titan_log_probs_from_states
from forge.phases.quietstar.batches import ThoughtBatch, quietstar_batch_source
from forge.phases.quietstar.params import Params
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import ROLE_IDS, final_states_for_thought_gate, thinker_batch_with_thoughts
from forge.thinking.sampling import sample_thoughts, thought_sampling_generator
from forge.train import Batch, TrainResult, language_loss, train, training_loop_settings
from forge.train.losses import LossFn
from forge.train.memory import check_training_memory

THOUGHT_TOKENS = ("think", "/think", "pause")


def train_thoughts(
    run: PhaseRun[Params], model: TinyTitanForCausalLM, data: EncodedSet
) -> tuple[ThoughtGate, TrainResult]:
    """Train a model in place and a new gate together. 'direct' rows are thought about, the others replayed.

    The gate is a submodule meanwhile, so that the optimizer moves it and checkpoints hold it.
    """
    p, training = run.params, run.training
    replayed = {kind: share for kind, share in training.mix.model_dump().items() if kind != "direct"}
    check_thought_memory(model, data, p)
    prepare_quietstar_tokens(model)
    gate = ThoughtGate(model.config.hidden_size, run.seed, p.gate_start, p.reward_keep)
    model.think_gate = gate

    def log(step: int, **metrics: float) -> None:
        run.log(step, **{f"train/{key}": value for key, value in metrics.items()})

    try:
        result = train(
            model,
            quietstar_batch_source(data, replayed, p, run.seed),
            thought_loss(gate, language_loss(**training.step_weights()), p, run.seed),
            training_loop_settings(p, training.adam_ratio),
            name="thoughts",
            checkpoint_dir=run.checkpoint_dir / "thoughts",
            log=log,
            stop=lambda: run.stop_requested,
            on_step=lambda step, metrics: run.progress(step, p.steps, f"loss {metrics['loss']:.3f}"),
        )
    finally:
        del model.think_gate
    return gate.eval(), result


def check_thought_memory(model: TinyTitanForCausalLM, data: EncodedSet, params: Params) -> None:
    """Refuse thoughts that cannot fit into memory: for each prompt a row per thought and one for a pause, the plain
    rows, and the replayed ones.

    Raises:
        ForgeError: with the factor by which `quietstar.batch` must shrink.
    """
    pool = data.where("direct")
    longest = int(data.lengths[pool].max(initial=1))
    answer = max((int(data.row(int(i))[1].sum()) for i in pool), default=1)
    rows = params.batch * (params.thoughts + 1)
    tokens = rows * (longest + params.thought_tokens + 2) + params.batch * longest + params.replay_tokens
    supervised = rows * (answer + params.thought_tokens) + params.batch * answer + params.replay_tokens
    device = model.embed.weight.device.type
    check_training_memory(model.config, tokens, supervised_tokens=supervised, device=device, dial="quietstar.batch")


def prepare_quietstar_tokens(model: TinyTitanForCausalLM) -> None:
    """Start the embeddings of the three thought tokens, never trained so far, at that of ``<|assistant|>``.

    A thought then begins as a draft of the answer, and what follows it as an answer. (The released code starts its two
    tokens from the row of "---".)
    """
    weight = model.embed.weight.data
    for name in THOUGHT_TOKENS:
        weight[ID[name]] = weight[ID["assistant"]]


def quietstar_leave_one_out(reward: Tensor) -> Tensor:
    """Rewards (b,n) less the mean of the n-1 others of their row."""
    count = reward.shape[1]
    return (reward - reward.mean(dim=1, keepdim=True)) * (count / (count - 1))


def thought_loss(gate: ThoughtGate, language: LossFn, params: Params, seed: int) -> LossFn:
    """The loss of a :class:`ThoughtBatch`: ``0.5 * base + 0.5 * mixed + policy_weight * policy``.

    base: ``language``, the next-token loss without thoughts, on the prompts' rows and the replayed ones. mixed: loss of
    the answer with the thought's states mixed in, and a share of it (``alone_weight``; 0 is the paper's loss) with
    those states alone: they learn through a gate that starts almost closed, so without that share they hardly learn and
    the gate closes on them. Half is over the sampled thoughts, half over a row whose thought is as many ``<|pause|>``
    tokens: the control is trained as much. policy: REINFORCE. ``seed`` and the batch's step decide what is sampled.
    """

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        if not isinstance(batch, ThoughtBatch):
            raise TypeError("thought_loss needs the batches of thought_source")
        plain, metrics = language(model, batch)
        replayed, replay_metrics = language(model, batch.replay)
        share = batch.count / (batch.count + batch.replay.count)
        base = share * plain + (1 - share) * replayed
        inside = sample_thoughts(
            model, batch.prompts, params.thoughts, params.thought_tokens, thought_sampling_generator(seed, batch.step)
        )
        mixed, policy, more = _thought_losses(model, gate, batch, inside, params.alone_weight)
        metrics |= more | {"loss_replay": replay_metrics["loss"]}
        metrics["loss"] = share * metrics["loss"] + (1 - share) * replay_metrics["loss"]
        return 0.5 * base + 0.5 * mixed + params.policy_weight * policy, metrics

    return loss


def _thought_losses(
    model: TinyTitanForCausalLM, gate: ThoughtGate, batch: ThoughtBatch, sampled: Tensor, alone_weight: float
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Mixed likelihood loss, policy loss and their metrics of ``sampled`` thoughts (b,n,m); n+1 rows per prompt, the
    last of them with a pause."""
    prompts, count, tokens = sampled.shape
    inside = torch.cat((sampled, torch.full_like(sampled[:, :1], ID["pause"])), dim=1)
    repeat = [i for i in range(prompts) for _ in range(count + 1)]
    asked, answers = [batch.prompts[i] for i in repeat], [batch.answers[i] for i in repeat]
    rows = thinker_batch_with_thoughts(asked, inside.flatten(0, 1).tolist(), answers)
    states = final_states_for_thought_gate(model, rows.ids, rows.select)
    states = states.view(prompts, count + 1, *states.shape[1:])
    table = model.embedding_weight()
    base = final_states_for_thought_gate(model, batch.ids, batch.select).unsqueeze(1)
    after, weight = gate(base.expand(-1, count + 1, -1, -1), states[:, :, tokens:])
    targets, valid = batch.targets[:, None].expand(-1, count + 1, -1), batch.valid[:, None]
    gained = (titan_log_probs_from_states(after, table, targets) * valid).sum(-1)
    with torch.no_grad():
        without = (titan_log_probs_from_states(base, table, batch.targets[:, None]) * valid).sum(-1)
    reward = gained[:, :count].detach() - without
    advantage = gate.normalize(quietstar_leave_one_out(reward))
    said = titan_log_probs_from_states(states[:, :count, :tokens], table[ROLE_IDS:], sampled - ROLE_IDS).sum(-1)
    policy = -(advantage * said).mean()
    per_token = -gained.sum(0) / batch.count
    alone = -(titan_log_probs_from_states(states[:, :, tokens:], table, targets) * valid).sum((0, 2)) / batch.count
    trained = (1 - alone_weight) * per_token + alone_weight * alone
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
