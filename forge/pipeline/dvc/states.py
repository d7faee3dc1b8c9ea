"""What is fresh and what is stale, read from dvc.yaml, dvc.lock and the files themselves in a few hundredths
of a second.

`dvc status` gives the same answer but takes over a second and fails while a stage runs. Here an output that
another stage consumes is compared by the hash that the two stages locked, and only source files are hashed; a
tampered output is therefore `dvc repro`'s to find, and the manifest check's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import md5
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.pipeline.dvc.code import ProjectCode
from forge.pipeline.dvc.lockfile import LOCK, Lock, dvc_paths_overlap, md5_path, read_yaml_as_dvc
from forge.pipeline.layout.phases import STAGES

CODE_STAGE = "code"
_FIELD = re.compile(r"\$\{\s*([^}]+?)\s*\}")


@dataclass(frozen=True)
class StageState:
    """state: "fresh", "stale" or "new" (never ran). why: one reason, empty when fresh."""

    name: str
    state: str
    why: str = ""


@dataclass(frozen=True)
class _Stage:
    name: str
    cmd: str
    deps: list[str]
    outs: list[str]
    params: dict[str, list[str]] = field(default_factory=dict)


def look_up_dvc_param(values: Any, dotted: str) -> Any:
    """values["a"]["b"] for "a.b"; None when there is no such key."""
    for part in dotted.split("."):
        if not isinstance(values, dict) or part not in values:
            return None
        values = values[part]
    return values


def _fill_dvc_yaml_templates(text: str, values: dict[str, Any]) -> str:
    def replace(match: re.Match[str]) -> str:
        found = look_up_dvc_param(values, match[1])
        return match[0] if found is None else str(found)

    return _FIELD.sub(replace, text)


def _dvc_stage_paths(entries: Any, values: dict[str, Any]) -> list[str]:
    """Paths of a deps or outs list, whose entries are either text or {path: options}."""
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries or []]
    return [_fill_dvc_yaml_templates(str(name), values) for name in names]


def _dvc_stage_params(entries: Any, values: dict[str, Any]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for entry in entries or []:
        listed = entry if isinstance(entry, dict) else {"params.yaml": [entry]}
        for name, keys in listed.items():
            wanted.setdefault(name, []).extend(_fill_dvc_yaml_templates(str(key), values) for key in keys or [])
    return wanted


def _expand_dvc_stage(name: str, body: dict[str, Any], values: dict[str, Any]) -> list[_Stage]:
    """A stage of dvc.yaml as the one or several stages that DVC makes of it."""
    variants: list[tuple[str, dict[str, Any]]] = [(name, {})]
    if "matrix" in body:
        for axis, options in body["matrix"].items():
            first = len(variants) == 1 and "item" not in variants[0][1]
            variants = [
                (f"{title}{'@' if first else '-'}{option}", {"item": {**scope.get("item", {}), axis: option}})
                for title, scope in variants
                for option in options
            ]
    elif "foreach" in body:
        items, body = body["foreach"], body["do"]
        pairs = items.items() if isinstance(items, dict) else ((item, item) for item in items)
        variants = [(f"{name}@{key}", {"item": item, "key": key}) for key, item in pairs]
    stages = []
    for title, scope in variants:
        scoped = {**values, **scope}
        outs = [path for key in ("outs", "metrics", "plots") for path in _dvc_stage_paths(body.get(key), scoped)]
        cmd = body["cmd"] if isinstance(body["cmd"], str) else "\n".join(body["cmd"])
        wanted = _dvc_stage_params(body.get("params"), scoped)
        stages.append(
            _Stage(
                title, _fill_dvc_yaml_templates(cmd, scoped), _dvc_stage_paths(body.get("deps"), scoped), outs, wanted
            )
        )
    return stages


def dvc_scaled_parameters(tree: dict[str, Any], scale: str | None = None) -> tuple[str, dict[str, dict[str, Any]]]:
    """A scale's name, the active one's by default, and each block of params.yaml with that scale merged in.

    Raises:
        ForgeError: there is no such scale.
    """
    active, scales = str(scale or tree.get("scale")), tree.get("scales")
    if not isinstance(scales, dict) or not isinstance(scales.get(active), dict):
        known = ", ".join(scales) if isinstance(scales, dict) else "none"
        raise ForgeError(f"params.yaml: no scale {active!r}; known: {known}")
    scaled = scales[active]
    odd = next((name for name, block in scaled.items() if not isinstance(block, dict | None)), None)
    if odd is not None:
        raise ForgeError(f"params.yaml: scales.{active}.{odd}: must be a mapping of parameters")
    own = {name: block for name, block in tree.items() if isinstance(block, dict) and name != "scales"}
    return active, {name: {**own.get(name, {}), **(scaled.get(name) or {})} for name in dict.fromkeys([*own, *scaled])}


@dataclass
class _Project:
    """What all stages are compared with: folder, parameters, locked hashes of outputs, hashes of sources read
    so far.
    """

    root: Path
    values: dict[str, Any]
    made: dict[str, str]
    code: dict[str, str] = field(default_factory=dict)
    known: dict[Path, str] = field(default_factory=dict)

    @cached_property
    def sources(self) -> ProjectCode:
        return ProjectCode(self.root, remembered=True)


def _why_stale(stage: _Stage, lock: dict[str, Any], project: _Project) -> str:
    """The first reason why a stage must run again, or an empty text."""
    if stage.cmd != lock.get("cmd"):
        return "its command changed"
    locked = {entry["path"]: entry for entry in lock.get("deps", [])}
    for path in stage.deps:
        if path not in locked:
            return f"new input {path}"
        if path in project.code:
            if project.code[path] != locked[path].get("md5"):
                return f"code changed: {_changed_dvc_stage_code(path, project)}"
        elif path in project.made:
            if project.made[path] != locked[path].get("md5"):
                return f"input {path} changed"
        elif not (project.root / path).exists():
            return f"input {path} is missing"
        elif md5_path(project.root / path, project.known) != locked[path].get("md5"):
            return f"input {path} changed"
    for name, keys in stage.params.items():
        current = project.values if name == "params.yaml" else read_yaml_as_dvc(project.root / name)
        before = lock.get("params", {}).get(name, {})
        for key in keys:
            if look_up_dvc_param(current, key) != before.get(key):
                return f"parameter {key} changed"
    return next((f"output {path} is missing" for path in stage.outs if not (project.root / path).exists()), "")


def _changed_dvc_stage_code(code: str, project: _Project) -> str:
    declared = next(stage for stage in STAGES if stage.code == code)
    return project.sources.changed_module(declared) or "since it ran"


def _code_now(stages: list[_Stage], project: _Project, locked: dict[str, Any]) -> dict[str, str]:
    """MD5 of what `data/code/` would hold, if a source file is not as it was when that was written; else nothing, for
    then it holds."""
    code = next((stage for stage in stages if stage.name == CODE_STAGE), None)
    if code is None or not (project.root / "stages").is_dir():  # somebody else's pipeline
        return {}
    if CODE_STAGE not in locked or not _why_stale(code, locked[CODE_STAGE], project):
        return {}
    texts = {stage.code: project.sources.text_of(stage) for stage in STAGES}
    return {path: md5(text.encode(), usedforsecurity=False).hexdigest() for path, text in texts.items()}


def _sources(stage: _Stage, producers: dict[str, str]) -> list[str]:
    """The stages whose outputs this one reads: an output may be an input, hold it, or lie inside it."""
    found = []
    for path in stage.deps:
        for out, name in producers.items():
            if dvc_paths_overlap(path, out):
                found.append(name)
    return list(dict.fromkeys(found))


def stage_states(
    root: Path | str = ".", *, scale: str | None = None, parameters: dict[str, Any] | None = None
) -> list[StageState]:
    """Every stage in the order in which they run, with its state; `scale` asks for another one than
    params.yaml names, `parameters` for others than it holds.

    Raises ForgeError when dvc.yaml, params.yaml or dvc.lock is unreadable.
    """
    folder = Path(root)
    values = read_yaml_as_dvc(folder / "params.yaml") if parameters is None else dict(parameters)
    if scale is not None:
        values["scale"] = scale
    table = read_yaml_as_dvc(folder / "dvc.yaml").get("stages", {})
    locked = Lock.read(folder).stages if (folder / LOCK).is_file() else {}
    stages = _order_dvc_stages(
        [stage for name, body in table.items() for stage in _expand_dvc_stage(name, body, values)]
    )
    made = {o["path"]: o.get("md5", "") for entry in locked.values() for o in entry.get("outs", [])}
    producers = {path: stage.name for stage in stages for path in stage.outs}
    project = _Project(folder, values, made)
    project.code = _code_now(stages, project, locked)
    states: dict[str, StageState] = {}
    for stage in stages:
        if stage.name not in locked:
            states[stage.name] = StageState(stage.name, "new", "never ran here")
            continue
        if stage.name == CODE_STAGE:  # what it would write is compared below, stage by stage
            states[stage.name] = StageState(stage.name, "fresh")
            continue
        why = _why_stale(stage, locked[stage.name], project)
        waits = next((s for s in _sources(stage, producers) if states[s].state != "fresh"), None)
        if not why and waits is not None:
            why = f"after {waits}"
        states[stage.name] = StageState(stage.name, "stale" if why else "fresh", why)
    return list(states.values())


def made_stale(parameters: dict[str, Any], root: Path | str = ".") -> list[StageState]:
    """The stages that are fresh and would be so no more with other parameters than params.yaml holds.

    Raises:
        ForgeError: dvc.yaml, params.yaml or dvc.lock is unreadable.
    """
    fresh = {state.name for state in stage_states(root) if state.state == "fresh"}
    return [s for s in stage_states(root, parameters=parameters) if s.name in fresh and s.state != "fresh"]


def _order_dvc_stages(stages: list[_Stage]) -> list[_Stage]:
    """Producers before consumers, otherwise the order of dvc.yaml."""
    producers = {path: stage.name for stage in stages for path in stage.outs}
    placed: dict[str, _Stage] = {}
    waiting = list(stages)
    while waiting:
        ready = [stage for stage in waiting if placed.keys() >= set(_sources(stage, producers))]
        if not ready:
            raise ForgeError(f"dvc.yaml: stages wait for each other: {', '.join(stage.name for stage in waiting)}")
        placed[ready[0].name] = ready[0]
        waiting.remove(ready[0])
    return list(placed.values())
