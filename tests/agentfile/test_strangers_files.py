"""Files whose checksum a stranger made right: each ends in an answer or in one line, with little memory, soon."""

from __future__ import annotations

import copy
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge.agentfile.container import pack_agent_file_parts, write_agent
from forge.agentfile.header import open_agent_file, open_agent_file_bytes
from forge.agentfile.model import load_agent_file
from forge.agentfile.vq import FrozenCodebook, FrozenMatrix, decode_matrix
from forge.errors import ForgeError
from tests.attacks.agent_files import BOMBS, Dissected, assemble, dissect, sealed_mutations
from tests.attacks.prober import Outcome, Prober, load_and_answer
from tests.support.toy_agent import build_quantized_toy, build_toy, declare_in_metadata
from tests.support.toy_tools import HAND_MADE

pytestmark = pytest.mark.long
MUTATIONS = 200
GROWN = 200.0  # MiB that a file may add: a process that has loaded torch and transformers has 300 before


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> list[Dissected]:
    folder = tmp_path_factory.mktemp("good")
    paths = (build_toy(folder, **declare_in_metadata(*HAND_MADE)) / "agent.forge", build_quantized_toy(folder))
    for path in paths:
        load_and_answer(path)
    return [dissect(path) for path in paths]


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(partial(load_and_answer, tokens=4)) as made:
        yield made


def test_taking_apart_and_putting_together_gives_a_good_file(goods: list[Dissected], tmp_path: Path) -> None:
    for good in goods:
        (tmp_path / "a").write_bytes(assemble(good.header, good.sections))
        assert load_agent_file(tmp_path / "a").metadata == good.parts.metadata
        assert pack_agent_file_parts(good.parts) == good.data


def _misbehave(path: Path) -> str:
    if path.name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name == "panic":
        raise BaseException("as a panic of Rust: no Exception")
    if path.name == "slow":
        sum(range(10**6))
    return str(len(bytearray(1 << 28))) if path.name == "large" else "42"


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")
def test_what_must_not_be_is_told_from_what_may(monkeypatch: pytest.MonkeyPatch) -> None:
    with Prober(_misbehave) as probe:
        assert [probe(Path(name)).kind for name in ("good", "crash", "panic", "good")] == [
            "answer", "crash", "error", "answer",
        ]  # fmt: skip
        assert probe(Path("large")).grown > 100 > 50 > probe(Path("good")).grown
        monkeypatch.setattr("tests.attacks.prober.SECONDS", 1e-3)
        assert probe(Path("slow")).kind == "hang"


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")
def test_sealed_mutations_end_in_an_answer_or_in_one_line(
    goods: list[Dissected], prober: Prober, tmp_path: Path
) -> None:
    ends: list[Outcome] = []
    for _, (what, data) in zip(range(MUTATIONS), sealed_mutations(goods, seed=7), strict=False):
        (tmp_path / "a.forge").write_bytes(data)
        ends.append(prober(tmp_path / "a.forge"))
        assert ends[-1].held, f"{what}: {ends[-1]}"
        assert ends[-1].grown < GROWN, what
    assert 10 < sum(end.kind == "answer" for end in ends) < MUTATIONS / 2


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_anything_is_allocated(
    goods: list[Dissected], prober: Prober, tmp_path: Path, name: str
) -> None:
    make, words = BOMBS[name]
    (tmp_path / "a.forge").write_bytes(make(goods[1]))
    found = prober(tmp_path / "a.forge")
    assert found.kind == "refused", found
    assert words in found.text
    assert found.grown < 60.0


def _header(good: Dissected, *path: Any, to: Any) -> bytes:
    header = copy.deepcopy(good.header)
    owner: Any = header
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = to
    return assemble(header, good.sections)


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        (("extra",), 1, "nothing else"),
        (("config",), [], "config is no table"),
        (("metadata",), None, "metadata is no table"),
        (("tensors",), [], "table of tensors"),
        (("tensors", 0, 0), "", "needs a name"),
        (("tensors", 0, 0), "low_init", "listed twice"),
        (("tensors", 0, 2), [0, 32], "a dimension of"),
        (("tensors", 0, 2), [True, 32], "a dimension of"),
        (("tensors", 0, 2), [1.0, 32], "a dimension of"),
        (("tensors", 0, 2), [[320], 32], "a dimension of"),
        (("tensors", 0, 2), [1, 1, 1, 1, 1], "impossible shape"),
        (("codebooks", 0, 4), 0, "scale of"),
        (("codebooks", 0, 4), float("nan"), "NaN is no number"),
        (("codebooks", 0, 4), "1", "scale of"),
        (("codebooks", 0, 0), "other", "codebook"),
        (("sections", 0), True, "a section's length"),
        (("config", "wings"), 2, "unknown key, wings"),
        (("config", "memory_capacity"), "9", "memory_capacity"),
        (("config", "vocab_size"), 65536, "embed.weight is"),
    ],
)
def test_what_a_header_may_not_say(goods: list[Dissected], tmp_path: Path, path: Any, to: Any, words: str) -> None:
    (tmp_path / "a").write_bytes(_header(goods[1], *path, to=to))
    with pytest.raises(ForgeError, match=words) as caught:
        load_agent_file(tmp_path / "a")
    assert str(caught.value).startswith(str(tmp_path / "a"))


def test_a_configuration_that_lacks_a_key_is_refused(goods: list[Dissected], tmp_path: Path) -> None:
    config = {key: value for key, value in goods[0].parts.config.items() if key != "window"}
    (tmp_path / "a").write_bytes(assemble({**goods[0].header, "config": config}, goods[0].sections))
    with pytest.raises(ForgeError, match="lacks window"):
        load_agent_file(tmp_path / "a")


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(goods: list[Dissected], tmp_path: Path, wild: float) -> None:
    tensors = dict(goods[0].parts.tensors)
    for name, field in (("low_init", "codes"), ("embed.weight", "scale"), ("low.0.attn.q.weight", "scale")):
        values = getattr(tensors[name], field).copy()
        values[0] = wild
        parts = replace(goods[0].parts, tensors={**tensors, name: replace(tensors[name], **{field: values})})
        write_agent(tmp_path / "a", parts)
        with pytest.raises(ForgeError, match=f"{name}: a value is not finite"):
            load_agent_file(tmp_path / "a")


def test_a_token_without_a_row_of_the_embedding_is_refused(goods: list[Dissected], tmp_path: Path) -> None:
    good, rows = goods[0], len(goods[0].parts.tensors["embed.weight"].codes) - 1
    old = good.parts.tensors["embed.weight"]
    fewer = replace(old, shape=(rows, old.shape[1]), codes=old.codes[:rows], scale=old.scale[:rows])
    tensors = {**good.parts.tensors, "embed.weight": fewer}
    config = {**good.parts.config, "vocab_size": rows}
    write_agent(tmp_path / "a", replace(good.parts, config=config, tensors=tensors))
    with pytest.raises(ForgeError, match=f"{rows + 1} tokens but only {rows}"):
        load_agent_file(tmp_path / "a")


def test_special_files_and_large_ones_are_not_read(goods: list[Dissected], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for special in ("pipe", "link"):
        with pytest.raises(ForgeError, match="not a regular file"):
            open_agent_file(tmp_path / special)
    with (tmp_path / "large").open("wb") as stream:
        stream.write(goods[0].data)
        stream.truncate((1 << 28) + 1)
    with pytest.raises(ForgeError, match="more than such a file may have"):
        open_agent_file(tmp_path / "large")


def test_what_a_reader_would_refuse_is_not_written(goods: list[Dissected], tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="too many"):
        write_agent(tmp_path / "a", replace(goods[0].parts, metadata={"note": "x" * (1 << 21)}))
    assert not (tmp_path / "a").exists()
    assert open_agent_file_bytes(goods[0].data, "here").parameters == sum(
        int(np.prod(coded.shape)) for coded in goods[0].parts.tensors.values()
    )


def test_large_matrices_are_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    book = FrozenCodebook(draw.integers(-7, 8, (16, 4)).astype(np.int8), 0.25, 4)
    for levels in (draw.integers(-9, 9, 40).astype(np.int8), np.array([-3], dtype=np.int8)):
        matrix = FrozenMatrix((40, 10), "a", draw.integers(0, 16, (40, 3)).astype(np.uint8), levels)
        whole = decode_matrix(matrix, book)
        monkeypatch.setattr("forge.agentfile.vq._DECODED_AT_ONCE", 25)
        assert decode_matrix(matrix, book).equal(whole)
        assert whole.shape == (40, 10)
