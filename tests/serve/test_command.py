"""The command as a process of its own: it says where it listens, is asked by lm-evaluation-harness, and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from forge.cli.main import main
from forge.model import load_model, load_titan_tokenizer
from forge.runtime.load import load_agent
from tests.support.tiny_models import publish_tiny_model

pytestmark = pytest.mark.long

HARNESS = """
import json, sys
import datasets
from lm_eval import simple_evaluate

def rows(**_):
    asked = [{"q": f"What is {a} + 30?", "right": str(a + 30), "wrong": str(a + 29)} for a in (1, 12, 5)]
    return {"test": datasets.Dataset.from_list(asked)}

shared = {"custom_dataset": rows, "test_split": "test", "doc_to_text": "{{q}}"}
choose = {"task": "choose", "output_type": "multiple_choice", "doc_to_choice": "{{[right, wrong]}}", "doc_to_target": 0}
write = {"task": "write", "output_type": "generate_until", "doc_to_target": "{{right}}",
         "generation_kwargs": {"until": ["@"], "max_gen_toks": 8}}
evaluated = simple_evaluate(
    model="local-completions", tasks=[choose | shared, write | shared], bootstrap_iters=0, batch_size=2,
    model_args={"model": "toy-model", "base_url": sys.argv[1]},
)
asked = [(request[0], request[1], *answer[0]) for sample in evaluated["samples"]["choose"]
         for request, answer in zip(sample["arguments"], sample["resps"])]
written = [[sample["arguments"][0][0], sample["resps"][0][0]] for sample in evaluated["samples"]["write"]]
print(json.dumps({"asked": asked, "written": written, "results": list(evaluated["results"]["choose"])}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_tiny_model(tmp_path_factory.mktemp("served") / "toy-model")


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    line = [sys.executable, "-m", "forge.cli.main", "serve", str(folder), "--port", "0", "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = process.stdout.readline()
            assert told, process.stderr.read() if process.stderr else ""
            yield process, json.loads(told)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_where_it_listens_and_ends_well(server: Any, number: int) -> None:
    process, told = server
    assert (told["model"], told["tools"][0]) == ("toy-model", "calculator")
    assert httpx.get(told["address"].replace("/v1", "/health"), timeout=60).json() == {"status": "ok"}
    process.send_signal(number)
    assert process.wait(60) == 0
    assert process.stderr.read() == ""


@torch.no_grad()
def test_the_harness_scores_what_the_model_computes(server: Any, folder: Path, tmp_path: Path) -> None:
    away = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "none"}
    address = f"{server[1]['address']}/completions"
    ran = subprocess.run(
        [sys.executable, "-c", HARNESS, address],
        cwd=tmp_path,
        env={**os.environ, **away},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    model, tokenizer = load_model(folder), load_titan_tokenizer(folder)
    assert len(told["asked"]) == 6
    for context, continuation, found, greedy in told["asked"]:
        ids, start = tokenizer.encode(context + continuation), len(tokenizer.encode(context))
        chances = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = sum(float(chances[i - 1, ids[i]]) for i in range(start, len(ids)))
        assert found == pytest.approx(expected, abs=1e-4)
        assert greedy == all(int(chances[i - 1].argmax()) == ids[i] for i in range(start, len(ids)))
    with load_agent(folder) as agent:
        from forge.model.engine import generate

        for context, found in told["written"]:
            ids = generate(agent.model, [tokenizer.encode(context)], max_new_tokens=8)[0].ids
            stop = next((i for i, token in enumerate(ids) if token in (1, 6)), 8)
            assert found == tokenizer.decode(ids[:stop], skip_special_tokens=True).split("@")[0]
    assert "acc,none" in told["results"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines: that needs a key"),
        (["--api-key", "short"], "at least 8 printable ASCII characters"),
        (["--host", "::1", "--port", "80000"], "less than or equal to 65535"),
    ],
)
def test_what_it_cannot_do_is_one_line(folder: Path, capsys: Any, options: list[str], words: str) -> None:
    assert main(["serve", str(folder), *options]) in (1, 2)
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_a_port_in_use_is_told(folder: Path, capsys: Any) -> None:
    from forge.serve.launch import listen_for_api

    with listen_for_api("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(folder), "--port", str(port)]) == 1
    assert f"port {port} is in use; choose another one" in capsys.readouterr().err
