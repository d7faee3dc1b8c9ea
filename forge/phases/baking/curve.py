"""How tool use comes about while it is baked: success on validation dialogues, tool by tool, every so many steps."""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast

from forge.evals.measure import mean
from forge.evals.own_tools import eval_rules_of_all_tools
from forge.evals.tool_use import score_tool_use
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.baking.params import Params
from forge.phases.baking.prompt_baking import OnStep
from forge.phases.baking.trajectories import Trajectories, baking_shares
from forge.tools import TOOL_NAMES, Toolbox
from forge.train.fit import plan_curriculum_batches
from forge.train.points import PointFile

DIALOGUES = 10  # per tool and measurement, at most
TOLERANCE = 0.05  # below the final success that still counts as arrived


class ToolCurve:
    """Zero-shot success of each tool during training; survives a resume through a file."""

    def __init__(self, run: PhaseRun[Params], tokenizer: PreTrainedTokenizerFast) -> None:
        self.run, self.tokenizer = run, tokenizer
        rows = run.rows("val")
        count = min(DIALOGUES, run.evaluation.tool_n)
        own = {name: [r for r in rows if r["kind"] == "tool" and r["task"] == name][:count] for name in TOOL_NAMES}
        self.dialogues = [row for rows in own.values() for row in rows]
        self.file = PointFile(run.checkpoint_dir / "tools.json")

    def watch(self, model: TinyTitanForCausalLM) -> OnStep:
        """What training should call after each step of ``model``."""

        def on_step(step: int, metrics: dict[str, float]) -> None:
            if step % self.run.params.eval_every and step != self.run.params.steps:
                return
            with Toolbox(self.run.workspace_dir) as toolbox:
                longest = self.run.evaluation.answer_tokens
                rules = eval_rules_of_all_tools(self.tokenizer, self.run.own_tools.tools, toolbox)
                score = score_tool_use(
                    model, self.tokenizer, toolbox, self.dialogues, max_new_tokens=longest, rules=rules
                )
            model.train()
            success = {name: row["success"] for name, row in score.tools.items()}
            self.file.add(step, success=success)
            self.run.log(step, **{f"tool_{name}/success_rate": rate for name, rate in success.items()})

        return on_step

    def metrics(self) -> dict[str, float]:
        """Success at the end, of each tool and on average, and the first measured step from which a tool never fell
        more than 5 points below its own."""
        points = self.file.points
        metrics: dict[str, float] = {}
        for name, final in points[-1]["success"].items():
            late = [point["step"] for point in points if point["success"][name] < final - TOLERANCE]
            arrived = [point["step"] for point in points if not late or point["step"] > late[-1]]
            metrics[f"tool_{name}/success_rate"] = final
            metrics[f"tool_{name}/convergence_step"] = arrived[0]
        return metrics | {"phase/avg_tool_success_rate": mean(list(points[-1]["success"].values()))}


def baking_iterations_by_tool(run: PhaseRun[Params], trajectories: Trajectories) -> dict[str, float]:
    """For each tool the number of training steps whose batch held a trajectory that calls it."""
    p = run.params
    shares, everything = baking_shares(p.mix), ((1.0, 1.0),)  # as `bake` plans its batches
    plan = plan_curriculum_batches(trajectories.bare, shares, p.steps, p.batch_tokens, run.seed, everything)
    called = [{trajectories.callers[i] for i in batch} for batch in plan]
    return {f"tool_{name}/baking_iterations": sum(name in names for names in called) for name in TOOL_NAMES}
