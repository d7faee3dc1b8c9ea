"""Tools that a user has declared are learned before anything is baked: there is no prompt that tells of them."""

from __future__ import annotations

import copy

from transformers import PreTrainedTokenizerFast

from forge.data.build import tokenize_data_rows
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.baking.params import Params
from forge.train import loss_settings, teaching_loss, train_on_planned_batches, training_settings_of_one_rate


def teach_own_tools_before_baking(
    run: PhaseRun[Params], model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> TinyTitanForCausalLM:
    """A model that calls declared tools as well, all its weights trained as they are quantized; ``model`` itself where
    none are declared.

    Rows of declared tools are learned by their labels. Those of other kinds are replayed, and learned by what the model
    that came in makes of them: it teaches, so that what it could do stays.
    """
    p, training, own = run.params, run.training, run.own_tools.rows("train")
    if not own:
        return model
    taught = copy.deepcopy(model)
    data = run.split("train").joined(tokenize_data_rows(tokenizer, own))
    loss = teaching_loss(model.eval(), data, "own_tool", **loss_settings(training))
    settings = training_settings_of_one_rate(
        training, p.own_tool_steps, p.own_tool_lr, p.decay_fraction, p.checkpoint_every
    )
    shares = p.own_tool_mix.model_dump()
    train_on_planned_batches(run, taught, data, shares, loss, settings, p.batch_tokens, name="own_tools", teacher=True)
    return taught.eval()
