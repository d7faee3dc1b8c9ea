"""Two states of the project side by side, or all experiments in one table.

A state is the workspace, a Git revision or tag, or an experiment of DVC, which is a commit under `refs/exps`. Results
and parameters are files that Git tracks, so both are read from Git's objects: nothing is checked out, nothing is
computed.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from forge.config import parse_params_yaml
from forge.config.load import PARAMS_FILE
from forge.errors import ForgeError
from forge.interface.paths import RESULTS
from forge.pipeline.dvc.git import git, git_bytes, git_commit_of
from forge.pipeline.layout.phases import PHASES
from forge.pipeline.records.tracking import flatten_recorded_values

WORKSPACE = "workspace"
_EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2}/[0-9a-f]{38})/(.+)")  # baseline, name
_CLAIM = ("claim", "metric", "value", "control", "control_value", "ci95", "n", "passed")
_FILES = re.compile(r"params\.yaml|results/headline\.json|results/.+/(ledger|claims|metrics)\.json")


@dataclass(frozen=True)
class Snapshot:
    """What one state of the project says of itself.

    Attributes:
        name: as the user gave it.
        commit: None for the workspace.
        params: parsed params.yaml.
        headline: results/headline.json.
        ledger: rows by phase.
        claims: by place (the directory under results/) and wording.
        metrics: by place and name.
    """

    name: str
    commit: str | None
    params: dict[str, Any] = field(default_factory=dict)
    headline: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    metrics: dict[tuple[str, str], Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Name, commit, scale and seed."""
        settings = {key: self.params.get(key) for key in ("scale", "seed")}
        return {"name": self.name, "commit": self.commit, **settings}


def experiments_to_compare(root: Path) -> dict[str, dict[str, str]]:
    """Experiments that have ended: name to {baseline commit: commit}. A name may recur over another baseline."""
    found: dict[str, dict[str, str]] = {}
    for line in git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
        commit, _, reference = line.partition(" ")
        if match := _EXPERIMENT.fullmatch(reference):
            found.setdefault(match[2], {})[match[1].replace("/", "")] = commit
    return found


def resolve_commit_to_compare(root: Path, name: str) -> str | None:
    """The commit behind a revision, a tag or an experiment's name; None for `workspace`.

    Raises:
        ForgeError: nothing has that name (the line lists near ones), or several experiments have it.
    """
    if name == WORKSPACE:
        return None
    if (commit := git_commit_of(root, name)) is not None:
        return commit
    known = experiments_to_compare(root)
    if name in known:
        by_baseline = known[name]
        here = by_baseline.get(git_commit_of(root, "HEAD") or "")
        if here is None and len(by_baseline) > 1:
            commits = ", ".join(commit[:7] for commit in by_baseline.values())
            raise ForgeError(f"several experiments are named {name!r}; name one by its commit: {commits}")
        return here or next(iter(by_baseline.values()))
    named = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").splitlines()
    near = difflib.get_close_matches(name, [*known, *named, WORKSPACE, "HEAD"])
    hint = f"did you mean {', '.join(near)}?" if near else "dvc exp list names the experiments"
    raise ForgeError(f"no experiment, revision or tag named {name!r}; {hint}")


def _committed_files_to_compare(root: Path, commit: str) -> dict[str, bytes]:
    """The files that are compared, from a commit's tree; names are relative to `root`."""
    listed = git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", PARAMS_FILE, RESULTS.as_posix())
    names = [name for name in listed.split("\0") if _FILES.fullmatch(name)]
    if not names:
        return {}
    stream = git_bytes(root, "cat-file", "--batch", text="".join(f"{commit}:./{name}\n" for name in names))
    files: dict[str, bytes] = {}
    for name in names:
        head, _, stream = stream.partition(b"\n")  # "<object> blob <bytes>"
        size = int(head.split()[2])
        files[name], stream = stream[:size], stream[size + 1 :]
    return files


def _present_files_to_compare(root: Path) -> dict[str, bytes]:
    paths = [root / PARAMS_FILE, *(root / RESULTS).rglob("*.json")]
    files: dict[str, bytes] = {}
    for path in paths:
        name = path.relative_to(root).as_posix()
        if _FILES.fullmatch(name) and path.is_file():
            with suppress(FileNotFoundError):  # removed since it was looked for, by the stage that writes it anew
                files[name] = path.read_bytes()
    return files


def snapshot_to_compare(root: Path, name: str) -> Snapshot:
    """Read one state.

    Raises:
        ForgeError: an unknown name, no params.yaml, or a file that cannot be read.
    """
    commit = resolve_commit_to_compare(root, name)
    files = _present_files_to_compare(root) if commit is None else _committed_files_to_compare(root, commit)
    if PARAMS_FILE not in files:
        raise ForgeError(f"{name}: has no {PARAMS_FILE}, it is no state of this project")
    params = parse_params_yaml(files.pop(PARAMS_FILE).decode("utf-8", "replace"), f"{name}:{PARAMS_FILE}")
    if not isinstance(params, dict):
        raise ForgeError(f"{name}:{PARAMS_FILE}: must be a mapping of parameters")
    state = Snapshot(name, commit, params)
    for path, data in files.items():
        try:
            _take_file_to_compare(state, PurePosixPath(path), json.loads(data, parse_constant=str))  # NaN as "NaN"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ForgeError(f"{name}:{path}: not what it should be ({type(error).__name__}: {error})") from error
    return state


def _take_file_to_compare(state: Snapshot, path: PurePosixPath, content: Any) -> None:
    """Put one result file where it belongs."""
    place = path.parent.relative_to(RESULTS).as_posix()
    if path.name == "headline.json":
        state.headline.update(content)
    elif path.name == "ledger.json":
        state.ledger[str(content["phase"])] = {
            k: v for k, v in content.items() if k not in ("phase", "files", "sha256")
        }
    elif path.name == "claims.json":
        for claim in content:
            if not isinstance(claim["passed"], bool):
                raise TypeError("'passed' must be true or false")
            state.claims[place, str(claim["claim"])] = {key: claim[key] for key in _CLAIM}
    else:
        state.metrics.update({(place, name): value for name, value in flatten_recorded_values(content).items()})


def parameters_to_compare(params: Mapping[str, Any], scale_as: str | None = None) -> dict[str, Any]:
    """Dotted keys and values of what a run depends on: everything but the inactive scales.

    `scale_as` stands for the active scale's name in the keys, so that two scales can be compared.
    """
    scale = params.get("scale")
    active = (params.get("scales") or {}).get(scale) or {}
    tree = {key: value for key, value in params.items() if key != "scales"}
    return {
        **_parameter_leaves_to_compare(tree),
        **_parameter_leaves_to_compare(active, f"scales.{scale_as or scale}."),
    }


def _parameter_leaves_to_compare(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            found.update(_parameter_leaves_to_compare(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def _compare_parameters(a: Snapshot, b: Snapshot) -> list[dict[str, Any]]:
    neutral = "*" if a.params.get("scale") != b.params.get("scale") else None
    ours, theirs = parameters_to_compare(a.params, neutral), parameters_to_compare(b.params, neutral)
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return [{"key": key, "a": ours.get(key), "b": theirs.get(key)} for key in keys]


def _order_places_to_compare(places: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Places in the order of the pipeline; what stands in one place stays as it was written."""
    rank = {phase.name: index for index, phase in enumerate(PHASES)}
    return sorted(dict.fromkeys(places), key=lambda key: (rank.get(key[0].split("/")[0], len(rank)), key[0]))


def compare_report_snapshots(a: Snapshot, b: Snapshot) -> dict[str, Any]:
    """Ledger and claims of both, and the metrics and parameters that differ; a side that lacks something has None."""
    phases = [phase.name for phase in PHASES if phase.name in {**a.ledger, **b.ledger}]
    claims = _order_places_to_compare([*a.claims, *b.claims])
    metrics = [
        key for key in _order_places_to_compare([*a.metrics, *b.metrics]) if a.metrics.get(key) != b.metrics.get(key)
    ]
    return {
        "a": a.facts(),
        "b": b.facts(),
        "parameters": _compare_parameters(a, b),
        "ledger": [{"phase": phase, "a": a.ledger.get(phase), "b": b.ledger.get(phase)} for phase in phases],
        "claims": [
            {"place": key[0], "claim": key[1], "a": a.claims.get(key), "b": b.claims.get(key)} for key in claims
        ],
        "metrics": [
            {"place": key[0], "metric": key[1], "a": a.metrics.get(key), "b": b.metrics.get(key)} for key in metrics
        ],
    }


def report_all_experiments(root: Path) -> list[dict[str, Any]]:
    """HEAD, the workspace and every experiment: headline metrics, and the parameters that differ from HEAD's.

    Another scale is one difference, and so is what a state changed of that scale; that sizes of two scales differ goes
    without saying. An experiment that cannot be read has "unreadable", the reason, in their place.
    """
    base = snapshot_to_compare(root, "HEAD")
    states: list[Snapshot] = [base, snapshot_to_compare(root, WORKSPACE)]
    unreadable: list[dict[str, Any]] = []
    for name, runs in experiments_to_compare(root).items():
        for commit in runs.values():
            try:
                states.append(replace(snapshot_to_compare(root, commit), name=name))
            except ForgeError as error:
                facts = Snapshot(name, commit).facts()
                reason = str(error).removeprefix(f"{commit}:").strip()  # the row names it
                unreadable.append({**facts, "headline": {}, "parameters": {}, "unreadable": reason})
    rows = []
    for state in states:
        scale = state.params.get("scale")
        changed = {} if scale == base.params.get("scale") else {"scale": scale}
        as_if = replace(base, params={**base.params, "scale": scale})
        changed.update({row["key"]: row["b"] for row in _compare_parameters(as_if, state)})
        rows.append({**state.facts(), "headline": state.headline, "parameters": changed})
    return rows + unreadable
