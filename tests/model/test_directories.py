"""Model directories: what lies beside the weights, and what strangers may have put there."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forge.data.tokenizer import save_tokenizer
from forge.errors import ForgeError
from forge.files import read_json, save_safetensors_file
from forge.model import TinyTitanForCausalLM, load_model, save_model
from forge.model.beside import AUTO_MAP, MODULES, published_code
from forge.model.engine import generate
from forge.model.packed import PACKED, pack_model
from forge.runtime.load import load_agent
from tests.attacks.model_directories import HOSTILE_DIRECTORIES, HOSTILE_PACKED, mutate
from tests.support.tiny_models import tiny_model, tiny_tokenizer, tokens
from tests.support.toy_agent import declare_in_metadata
from tests.support.toy_tools import HAND_MADE

GROWTH = 100_000  # KiB


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "toy"
    save_model(tiny_model(vocab_size=len(tiny_tokenizer())), folder)
    save_tokenizer(tiny_tokenizer(), folder)
    (folder / "metadata.json").write_text(json.dumps(declare_in_metadata(*HAND_MADE)))
    return folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed weights of a ternary model, and none of those that it was trained on."""
    folder, model = tmp_path_factory.mktemp("packed") / "model", tiny_model(weight_quant="ternary", embed_bits=4)
    save_model(model, folder)
    pack_model(model, folder / PACKED)
    (folder / "model.safetensors").unlink()
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "model"
    save_model(tiny_model(), folder)
    return folder


@pytest.mark.parametrize("name", HOSTILE_DIRECTORIES)
def test_hostile_directories_are_refused_in_one_line_and_little_memory(name: str, sound: Path, tmp_path: Path) -> None:
    _refused_in_little_memory(sound, tmp_path / "model", *HOSTILE_DIRECTORIES[name])


@pytest.mark.parametrize("name", HOSTILE_PACKED)
def test_hostile_packed_weights_are_refused_as_strictly(name: str, packed: Path, tmp_path: Path) -> None:
    _refused_in_little_memory(packed, tmp_path / "model", *HOSTILE_PACKED[name])


def _refused_in_little_memory(sound: Path, folder: Path, change: Callable[[Path], None], words: str) -> None:
    shutil.copytree(sound, folder)
    change(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ForgeError, match=words) as caught:
        load_model(folder)
    assert len(str(caught.value)) < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH


COSTLY: dict[str, dict[str, Any]] = {
    "64 steps through 64 blocks": {
        "max_steps": 64,
        "low_heads": [1] * 32,
        "high_heads": [1] * 32,
        "low_ffn": [4] * 32,
        "high_ffn": [4] * 32,
        "hidden_size": 4,
        "head_dim": 4,
    },
    "blocks and memory are too wide": {
        "memory": True,
        "memory_heads": 180,
        "memory_head_dim": 256,
        "memory_chunk": 1,
        "hidden_size": 4,
        "head_dim": 4,
        "low_heads": [1],
        "high_heads": [1],
        "low_ffn": [4],
        "high_ffn": [4],
    },
}


@pytest.mark.parametrize("words", COSTLY)
@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
def test_a_small_directory_may_not_ask_for_much(words: str, precision: torch.dtype, tmp_path: Path) -> None:
    """Its weights fit its configuration; what a token would take does not fit its size."""
    model = tiny_model(**COSTLY[words])
    save_model(model, tmp_path)
    weights = {name: tensor.to(precision) for name, tensor in model.state_dict().items()}
    save_safetensors_file(tmp_path / "model.safetensors", weights, {"format": "pt"})
    with pytest.raises(ForgeError, match=rf"model\.safetensors: .*{words} .*for a file of [\d,]+ bytes"):
        load_model(tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_mutated_directories_answer_or_are_refused_in_one_line(seed: int, published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(published, folder)
    mutate(folder, seed)
    try:
        with load_agent(folder) as agent:
            agent.reply([{"role": "user", "content": "What is 2 + 3?"}], max_new_tokens=3)
    except ForgeError as error:
        told = str(error)
    else:
        told = "an answer"
    assert 0 < len(told) < 400


def test_an_agent_is_not_read_beside_a_pipe(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    HOSTILE_DIRECTORIES["something else is a pipe"][0](folder)
    with pytest.raises(ForgeError, match=r"tokenizer_config\.json: neither a regular file"):
        load_agent(folder)


@pytest.mark.parametrize("bits", [0, 4, 8])
def test_packed_weights_alone_are_the_model(bits: int, tmp_path: Path) -> None:
    model = tiny_model(weight_quant="ternary", embed_bits=bits)
    save_model(model, tmp_path)
    pack_model(model, tmp_path / PACKED)
    latent = load_model(tmp_path)
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in latent.state_dict().items())
    (tmp_path / "model.safetensors").unlink()
    deployed = load_model(tmp_path)
    assert deployed.config.weight_quant == "frozen"
    assert torch.equal(deployed(tokens(2, 9)).logits, latent(tokens(2, 9)).logits)


def test_links_to_files_elsewhere_are_a_model_too(sound: Path, tmp_path: Path) -> None:
    """As Hugging Face's cache lays its snapshots out."""
    for file in sound.iterdir():
        (tmp_path / file.name).symlink_to(file)
    assert torch.equal(load_model(tmp_path)(tokens(1, 5)).logits, load_model(sound)(tokens(1, 5)).logits)


def test_looking_at_the_header_first_draws_no_random_number(sound: Path) -> None:
    """A stage's results must not depend on how its input was checked."""
    config = load_model(sound).config
    torch.manual_seed(3)
    TinyTitanForCausalLM(config)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_model(sound)
    assert torch.equal(torch.rand(1), expected)


def test_states_that_are_not_finite_end_in_one_line() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.low[0].ffn.up.weight.fill_(torch.nan)
    with pytest.raises(ForgeError, match="not finite"):
        generate(model, [[20, 21]], max_new_tokens=2)


def test_the_code_beside_the_weights_is_whole_and_the_same_each_time(sound: Path, tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path)
    for module, name in MODULES.items():
        text = (sound / f"{name}.py").read_text()
        assert text == published_code(module) == (tmp_path / f"{name}.py").read_text()
        assert "import forge" not in text
        assert "from forge" not in text
        compile(text, name, "exec")
    assert read_json(sound / "config.json")["auto_map"] == AUTO_MAP
    assert read_json(sound / "generation_config.json")["eos_token_id"] == [1, 6]


def test_a_module_that_needs_more_of_the_package_cannot_be_published() -> None:
    with pytest.raises(ForgeError, match=r"engine\.py cannot be published"):
        published_code("engine")
