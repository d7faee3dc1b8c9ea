"""Pages and files that are derived from declarations and results: `python -m forge.pipeline.upkeep.reference` writes
them.

`dvc.yaml`; the stages of the phases (`stages/<stage>.py`); under docs/reference/ the parameters, metrics, phases
with their handoffs, and each contract as JSON Schema; tables of results in the docs. A test holds them equal to what
this module makes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forge.config import load_params
from forge.config.schema import explain_params_key, list_params_leaves
from forge.files import atomic_write_text
from forge.interface.phase import Contract, Rule
from forge.phases import PHASES
from forge.pipeline.dvc.declare import dvc_yaml
from forge.pipeline.handoff.schemas import schemas
from forge.pipeline.layout.phases import stage_reads
from forge.pipeline.metrics.catalog import render_metric_catalog
from forge.pipeline.upkeep.measured import measured_pages

REFERENCE = Path("docs/reference")
_STAGE = '''"""Phase {number}, {phase}: {title}. Made by `make reference`."""

from forge.phases.{phase}.run import {function}
from forge.pipeline.lifecycle.stage import run_stage

if __name__ == "__main__":
    run_stage("{stage}", {function})
'''
_MADE = "Made by `make reference` from what the phases declare."


def pages(root: Path = Path()) -> dict[Path, str]:
    """Every derived file by its path from the project, with its text."""
    schema_files = {
        REFERENCE / "schemas" / name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas().items()
    }
    return {
        Path("dvc.yaml"): dvc_yaml(),
        REFERENCE / "metrics.md": render_metric_catalog(),
        REFERENCE / "parameters.md": parameters_page(root),
        REFERENCE / "phases.md": phases_page(),
        **schema_files,
        **reference_stage_files(),
        **measured_pages(root),
    }


def reference_stage_files() -> dict[Path, str]:
    """What `python -m stages.<stage>` runs, for the stages of the phases."""
    return {
        Path("stages") / f"{stage.name}.py": _STAGE.format(
            number=number, phase=phase.name, title=stage.title, function=stage.function, stage=stage.name
        )
        for number, phase in enumerate(PHASES, start=1)
        for stage in phase.stages
    }


def parameters_page(root: Path = Path()) -> str:
    """All keys of params.yaml: what each means, and its value at every scale."""
    tree = load_params(root / "params.yaml").file.model_dump()
    scales: dict[str, dict[str, Any]] = tree.pop("scales")
    lines = ["# Parameters", "", f"{_MADE} `agent-forge config show` prints those that a run would use.", ""]
    lines += ["Sizes and budgets have a value for each scale. `dvc exp run -S scale=smoke`, or"]
    lines += ["`-S scales.tiny.edge.steps=50`, changes one for an experiment.", ""]
    lines += ["| key | meaning | value |", "|---|---|---|"]
    lines += [_reference_parameter_row(key, value) for key, value in list_params_leaves(tree)]
    lines += ["", "## Sizes and budgets", "", f"| key, below `scales.<scale>.` | meaning | {' | '.join(scales)} |"]
    lines.append("|---|---|" + "---|" * len(scales))
    columns = {name: dict(list_params_leaves(scale)) for name, scale in scales.items()}
    for key in next(iter(columns.values())):
        values = " | ".join(_reference_code_cell(column[key]) for column in columns.values())
        lines.append(f"| `{key}` | {explain_params_key(f'scales.{next(iter(scales))}.{key}')} | {values} |")
    return "\n".join(lines) + "\n"


def _reference_parameter_row(key: str, value: Any) -> str:
    return f"| `{key}` | {explain_params_key(key)} | {_reference_code_cell(value)} |"


def _reference_code_cell(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def phases_page() -> str:
    """Each phase: its stages, what they read and publish, and what it demands of what it receives."""
    lines = ["# Phases, stages and handoffs", "", _MADE]
    for number, phase in enumerate(PHASES, start=1):
        lines += ["", f"## {number} {phase.name}: {phase.title}", ""]
        lines += ["| stage | what it does | reads | publishes |", "|---|---|---|---|"]
        for stage in phase.stages:
            inputs = ", ".join(f"`{path}`" for path in stage_reads(stage))
            made = ", ".join(f"`{path}`" for branch in stage.branches for path in stage.outputs(branch))
            names = ", ".join(f"`{name}`" for name in stage.names())
            lines.append(f"| {names} | {stage.title} | {inputs} | {made or 'metrics and claims only'} |")
        lines += ["", "Deployed: " + ", ".join(f"`{name.removesuffix('?')}`" for name in phase.deployed) + "."]
        if phase.contract is not None:
            lines += ["", *_reference_contract_lines(phase.contract)]
    return "\n".join(lines) + "\n"


def _reference_contract_lines(contract: Contract) -> list[str]:
    """The handoff in words."""
    lines = [f"Expects of {contract.source} ([schema](schemas/{contract.source}-{contract.target}.json)):", ""]
    lines.append(f"- models: {contract.models}, each with a manifest that holds")
    flags = {
        "same_shapes": "the same shapes",
        "same_tokenizer": "the same tokenizer",
        "same_parents": "the same trunk",
        "parameters_near_target": "`parameters` near `cognate.parameters_target`, by `parameter_tolerance`",
        "parameters_as_parents": "as many `parameters` as its parents",
        "ternary": "weights that act as ternary",
    }
    lines += [f"- {words}" for name, words in flags.items() if getattr(contract, name)]
    return lines + [f"- {_reference_rule_text(rule)}" for rule in contract.rules]


def _reference_rule_text(rule: Rule) -> str:
    key = f"`{rule.key}`" + (" (of results/)" if rule.source == "results" else "")
    if rule.op == "present":
        return f"{key} is there"
    if rule.op == "finite":
        return f"{key} is a finite number"
    if rule.op == "count":
        return f"{key} lists at least {rule.bound:g} names"
    if rule.than is not None:
        return f"{key} {rule.op} `{rule.than}` less `{rule.margin_from}`"
    return f"{key} {rule.op} " + (f"`{rule.bound_from}`" if rule.bound_from else f"{rule.bound:g}")


def main() -> None:
    """Write every file that differs, and name it."""
    for path, text in pages().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            atomic_write_text(path, text)
            print(path)


if __name__ == "__main__":
    main()
