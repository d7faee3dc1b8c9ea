"""`dvc.yaml` as the phases declare it; `make reference` writes it."""

from __future__ import annotations

from collections.abc import Iterable

from forge.interface.paths import CODE, RESULTS, declared_stage_name
from forge.interface.phase import Stage
from forge.pipeline.layout.phases import STAGES, stage_reads

_HEAD = """\
# The pipeline. `dvc repro` reruns what a change touches and nothing else.
# Made by `make reference` from what the phases declare (forge/phases/<phase>/phase.py).
# Commands begin with `exec`: a shell that stayed between DVC and the stage would hide DVC's death from it.
# data/code/<stage>.json stands for the code that a stage reaches, without its comments.
# Small results are `plots`: DVC keeps no run-cache for a stage with plain outputs that are not cached, and puts every
# key of a file under `metrics` as a column into `dvc exp show`. It draws those that hold a list: curves and claims. The
# one file under `metrics` is the headline; `agent-forge compare` shows the rest.
"""
_PLOTS_HEAD = """
# Above all, what takes several files; the curves and claims of each phase follow, drawn from its own `plots`.
# Templates that DVC does not bring are in .dvc/plots/, and so is the page with the library that draws (page.html).
plots:
  - results/ladder.svg
  - bytes of each phase:
      template: bar_horizontal
      x: bytes
      y: {results/ladder.json: phase}
  - quality of each phase:
      template: bar_horizontal
      x: accuracy_tools
      y: {results/ladder.json: phase}
  - bytes against quality:
      template: labeled
      x: bytes
      y: {results/ladder.json: accuracy_tools}
"""
_ITEM = "${item.branch}"
_PLOT_OPTIONS = {
    "claims.json": "cache: false, template: claims, x: value, y: claim",
    "plots": "cache: false, template: curves, x: step",
}


def dvc_yaml() -> str:
    """The text of dvc.yaml."""
    parts = [
        _HEAD,
        "stages:\n",
        _code_stage(),
        *(f"\n{_stage(stage)}" for stage in STAGES),
        _dvc_yaml_plots(),
        _dvc_yaml_artifacts(),
    ]
    return "".join(parts)


def _code_stage() -> str:
    lines = ["  code:", "    desc: note what code each stage reaches", "    cmd: exec python -m stages.code"]
    return (
        "\n".join([*lines, *_dvc_yaml_list("deps", ("forge", "stages")), *_dvc_yaml_list("outs", (CODE.as_posix(),))])
        + "\n"
    )


def _dvc_yaml_list(key: str, entries: Iterable[str]) -> list[str]:
    items = [f"      - {entry}" for entry in entries]
    return [f"    {key}:", *items] if items else []


def _stage(stage: Stage) -> str:
    branch = _ITEM if stage.branched else None
    lines = [f"  {stage.name}:", f"    desc: {stage.title}"]
    if stage.branched:
        lines += ["    matrix:", f"      branch: [{', '.join(map(str, stage.branches))}]"]
    lines.append(f"    cmd: exec python -m stages.{stage.name}" + (f" --branch {branch}" if branch else ""))
    lines += _dvc_yaml_list("deps", (stage.code, *stage_reads(stage)))
    lines += _dvc_yaml_list(
        "params", (key.replace("{scale}", "${scale}").replace("{branch}", _ITEM) for key in stage.params)
    )
    records = stage.records(branch)
    if stage.name == "report":
        headline = f"{RESULTS}/headline.json"
        lines += _dvc_yaml_list("outs", (f"{path}: {{cache: false}}" for path in records if path != headline))
        lines += _dvc_yaml_list("metrics", (f"{headline}: {{cache: false}}",))
    else:
        lines += _dvc_yaml_list("outs", stage.outputs(branch))
        lines += _dvc_yaml_list("plots", (f"{path}: {{{_dvc_yaml_plot_options(path)}}}" for path in records))
    return "\n".join(lines) + "\n"


def _dvc_yaml_plot_options(path: str) -> str:
    return _PLOT_OPTIONS.get(path.rpartition("/")[2], "cache: false")


def _dvc_yaml_plots() -> str:
    """Curves of several stages in one plot."""
    losses = [stage for stage in STAGES if stage.drawn == Stage.average and stage.inputs]
    branches = [stage for stage in losses if stage.branched]
    after = [stage for stage in losses if not stage.branched]
    others = [stage for stage in STAGES if stage.drawn not in (None, Stage.average)]
    text = (
        _PLOTS_HEAD
        + _dvc_yaml_curves("loss of the branches", branches)
        + _dvc_yaml_curves("loss after the merge", after)
    )
    return text + "".join(
        _dvc_yaml_curves(f"{str(stage.drawn).removeprefix('train/').partition('/')[0]} of {stage.name}", [stage])
        for stage in others
    )


def _dvc_yaml_curves(title: str, stages: list[Stage]) -> str:
    lines = [f"  - {title}:", "      template: curves", "      x: step", "      y:"]
    for stage in stages:
        series = str(stage.drawn)
        for branch in stage.branches:
            file = f"{stage.results_dir(branch)}/plots/metrics/{series}.tsv"
            lines.append(f"        {file}: {series.rpartition('/')[2]}")
    return "\n".join(lines) + "\n"


def _dvc_yaml_artifacts() -> str:
    lines = ["", "artifacts:"]
    for stage in STAGES:
        for branch, words in zip(stage.branches, stage.titles or ("",), strict=True):
            if stage.publishes:
                name = declared_stage_name(stage.name, branch).replace("@", "-").replace("_", "-")
                lines += [f"  {name}:", f"    path: {stage.outputs(branch)[0]}", "    type: model"]
                lines.append(f"    desc: {stage.publishes.format(branch=words)}")
    return "\n".join(lines) + "\n"
