"""`agent-forge merge`: directories in, one directory out, and every way in which it can refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from forge.cli.main import main
from forge.files import verify_manifest
from forge.merge import directories
from forge.merge.folder import ModelFolder
from forge.merge.methods import dare, merge_linear, slerp, ties
from forge.model import load_model, save_model
from forge.model.beside import AUTO_MAP
from tests.support.tiny_models import tiny_model, tiny_tokenizer

Dict = dict[str, Tensor]


def weights(seed: int) -> Dict:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed.weight": (12, 6), "layers.0.mlp.weight": (6, 6), "norm.weight": (6,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def directory(folder: Path, tensors: Dict, **config: Any) -> Path:
    """A model of an architecture that nobody knows, as Hugging Face lays it out."""
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"architectures": ["Gizmo"], **config}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0, "b": 1}}}))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "manifest.json").write_text("{}")
    return folder


def folder(path: Path) -> ModelFolder:
    return ModelFolder.look_through(path)


def sharded(folder: Path, tensors: Dict) -> Path:
    """The same model in two shards."""
    directory(folder, tensors)
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {name: f"model-0000{1 + (name == names[0])}-of-00002.safetensors" for name in names}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return folder


BASE, ONE, TWO = (weights(seed) for seed in range(3))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory(tmp_path / "base", BASE)
    directory(tmp_path / "one", ONE)
    sharded(tmp_path / "two", TWO)
    return tmp_path


@pytest.fixture
def merge(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the command on line; (exit code, stdout, stderr)."""
    monkeypatch.chdir(home)

    def run(line: str) -> tuple[int, str, str]:
        code = main(["merge", *line.split()])
        return (code, *capsys.readouterr())

    return run


CASES: dict[str, Callable[[], Dict]] = {
    "linear --model one --model two --weight 0.6 --weight 0.4": lambda: merge_linear([ONE, TWO], [0.6, 0.4]),
    "linear --model one --model two": lambda: merge_linear([ONE, TWO], [1, 1]),
    "slerp --model one --model two --t 0.35": lambda: slerp(ONE, TWO, 0.35),
    "slerp --base two --model one --t 0.35": lambda: slerp(TWO, ONE, 0.35),
    "ties --base base --model one --model two --weight 0.6 --weight 0.4 --density 0.3": lambda: ties(
        BASE, [ONE, TWO], [0.6, 0.4], 0.3
    ),
    "dare --base base --model one --model two --weight 0.6 --weight 0.4 --density 0.7 --seed 4": lambda: dare(
        BASE, [ONE, TWO], [0.6, 0.4], 0.7, 4
    ),
}


@pytest.mark.parametrize("line", CASES)
def test_each_method_writes_what_the_library_computes(merge: Any, home: Path, line: str) -> None:
    code, out, err = merge(f"--method {line} -o out --json")
    assert (code, err) == (0, "")
    told = json.loads(out.splitlines()[-1])
    assert told == {
        "out": "out", "method": line.split()[0], "parameters": 114, "tensors": 3,
        "bytes": (home / "out" / "model.safetensors").stat().st_size, "notes": [],
    }  # fmt: skip
    merged, expected = load_file(home / "out" / "model.safetensors"), CASES[line]()
    assert merged.keys() == expected.keys()
    assert all(torch.equal(merged[name], expected[name]) for name in expected)
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert (home / "out" / name).read_bytes() == (home / "one" / name).read_bytes()
    verify_manifest(home / "out")
    recipe = json.loads((home / "out" / "merge.json").read_text())
    assert recipe["method"] == line.split()[0]
    assert [entry["name"] for entry in recipe["models"]][-1] in ("one", "two")


def test_equal_merges_are_equal_bytes_and_big_ones_come_in_shards(
    merge: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "--method linear --model one --model two --weight 2 --weight 1 -o "
    assert "114 parameters" in merge(line + "first")[1]
    merge(line + "second")
    for name in ("model.safetensors", "merge.json", "manifest.json"):
        assert (home / "first" / name).read_bytes() == (home / "second" / name).read_bytes()
    monkeypatch.setattr(directories, "SHARD", 300)
    merge(line + "third")
    assert len(folder(home / "third").weight_files()) == 2
    whole, parts = (directories.read_weights_to_merge(folder(home / name)) for name in ("first", "third"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_types_are_those_of_the_first(merge: Any, home: Path) -> None:
    for name, tensors in (("half", ONE), ("other", TWO)):
        directory(home / name, {key: tensor.bfloat16() for key, tensor in tensors.items()})
    assert merge("--method linear --model half --model other -o out")[0] == 0
    merged = load_file(home / "out" / "model.safetensors")
    assert {tensor.dtype for tensor in merged.values()} == {torch.bfloat16}


def test_models_of_our_own_load_again_and_may_be_aligned(merge: Any, home: Path) -> None:
    for seed in (1, 2):
        save_model(tiny_model(seed=seed), home / f"titan{seed}")
        tiny_tokenizer().save_pretrained(str(home / f"titan{seed}"))
    for file in (home / "titan1").glob("*.py"):
        file.write_text("raise SystemExit('not ours')")
    config = home / "titan1/config.json"
    config.write_text(config.read_text().replace("modeling_tinytitan.", "not_ours."))
    told = merge("--method linear --model titan1 --model titan2 -o plain")
    assert (told[0], "note: " in told[1]) == (0, False)
    assert all("not ours" not in file.read_text() for file in (home / "plain").glob("*.py"))
    assert merge("--method linear --model titan1 --model titan2 --align -o aligned")[0] == 0
    average = merge_linear([dict(tiny_model(seed=seed).state_dict()) for seed in (1, 2)], [1, 1])
    assert all(torch.equal(value, average[name]) for name, value in load_model(home / "plain").state_dict().items())
    assert json.loads((home / "plain/config.json").read_text())["auto_map"] == AUTO_MAP
    code = sorted(file.name for file in (home / "plain").glob("*.py"))
    assert code == sorted(file.name for file in (home / "titan1").glob("*.py"))
    aligned = load_model(home / "aligned").state_dict()
    assert any(not torch.equal(aligned[name], average[name]) for name in average)
    code, _, err = merge("--method linear --model one --model two --align -o out")
    assert code == 1
    assert "has no head_dim" in err


# ---- refusals: one line, nothing left behind -----------------------------------------------------------------

REFUSALS = {
    "--method ties --model one --model two -o out": "ties needs --base",
    "--method dare --model one -o out": "dare needs --base",
    "--method blend --model one -o out": "'blend' is not a method",
    "--method linear --model one --model two --weight 1 -o out": "1 weights given for 2 models",
    "--method linear --model one --model two --weight 1 --weight -1 -o out": "add up to zero",
    "--method slerp --model one -o out": "slerp goes from one model to one other",
    "--method slerp --base base --model one --model two -o out": "(3 given)",
    "--method slerp --model one --model two --weight 1 --weight 2 -o out": "slerp has no use for --weight",
    "--method linear --base base --model one -o out": "linear has no use for --base",
    "--method linear --model one --density 0.5 -o out": "linear has no use for --density",
    "--method ties --base base --model one --density 0 -o out": "density must lie in (0, 1]",
    "--method ties --base base --model one --density nan -o out": "density must lie in (0, 1]",
    "--method linear --model one --model two --weight inf --weight 1 -o out": "weight inf does not lie in ±1000",
    "--method linear --model one --model two --weight nan --weight 1 -o out": "weight nan does not lie in",
    "--method linear --model one --model two --weight 1e30 --weight 1 -o out": "weight 1e+30 does not lie in",
    "--method slerp --model one --model two --t 1e9 -o out": "t 1e+09 does not lie in",
    "--method slerp --model one --model two --t nan -o out": "t nan does not lie in",
    "--method linear --model one --model nowhere -o out": "nowhere: no such model directory",
    "--method linear --model one --model two -o base": "base: exists already",
}


@pytest.mark.parametrize("line", REFUSALS)
def test_impossible_requests_are_refused_in_one_line(merge: Any, home: Path, line: str) -> None:
    before = sorted(path.name for path in home.iterdir())
    code, out, err = merge(line)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert REFUSALS[line] in err
    assert sorted(path.name for path in home.iterdir()) == before


def _misshapen(two: Path) -> None:
    shutil.rmtree(two)
    directory(two, {**TWO, "norm.weight": torch.zeros(7)})


def _lacking(two: Path) -> None:
    shutil.rmtree(two)
    directory(two, {name: tensor for name, tensor in TWO.items() if name != "norm.weight"})


def _broken(two: Path) -> None:
    next(two.glob("*.safetensors")).write_bytes(b"\xff" * 40)


def _not_finite(two: Path) -> None:
    shutil.rmtree(two)
    directory(two, {**TWO, "norm.weight": torch.full((6,), float("nan"))})


def _add_to_index(two: Path, tensor: str) -> None:
    index = json.loads((two / "model.safetensors.index.json").read_text())
    index["weight_map"][tensor] = next(iter(index["weight_map"].values()))
    (two / "model.safetensors.index.json").write_text(json.dumps(index))


def _with_type(two: Path, kind: torch.dtype) -> None:
    shutil.rmtree(two)
    directory(two, {**TWO, "norm.weight": TWO["norm.weight"].to(kind)})


FAULTS: dict[str, Callable[[Path], Any]] = {
    "'norm.weight' is (7,), in one it is (6,)": _misshapen,
    "tensor 'norm.weight' is not in both it and one": _lacking,
    "not readable as safetensors": _broken,
    "the merged weights are not finite": _not_finite,
    "two: no config.json": lambda two: (two / "config.json").unlink(),
    "neither model.safetensors nor": lambda two: (two / "model.safetensors.index.json").unlink(),
    "has no weight_map": lambda two: (two / "model.safetensors.index.json").write_text("{}"),
    "missing, though the index names it": lambda two: (two / "model-00002-of-00002.safetensors").unlink(),
    "its architecture is Widget, that of one is Gizmo": lambda two: (two / "config.json").write_text(
        '{"architectures": ["Widget"]}'
    ),
    "config.json: is not a table": lambda two: (two / "config.json").write_text("[]"),
    "another vocabulary": lambda two: (two / "tokenizer.json").write_text('{"model": {"vocab": {"b": 0}}}'),
    "index.json: has no weight_map": lambda two: (two / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": ["b"]}}'
    ),
    "'ghost' is in none of the shards": lambda two: _add_to_index(two, "ghost"),
    "config.json: not readable as JSON": lambda two: (two / "config.json").write_text("[" * 100_000),
    "its weights are quantized": lambda two: (two / "config.json").write_text(
        '{"architectures": ["Gizmo"], "quantization_config": {"quant_method": "gptq"}}'
    ),
    "'norm.weight' is F8_E4M3; merge takes F64, F32, F16, BF16": lambda two: _with_type(two, torch.float8_e4m3fn),
}


@pytest.mark.parametrize("words", FAULTS)
def test_models_that_cannot_be_merged_are_named(merge: Any, home: Path, words: str) -> None:
    FAULTS[words](home / "two")
    code, out, err = merge("--method linear --model one --model two -o out")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err
    assert not list(home.glob("*out*"))
