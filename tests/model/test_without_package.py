"""A published directory used where this package is not installed: by transformers, and by lm-evaluation-harness."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from forge.model import load_model, load_titan_tokenizer
from forge.model.engine import generate
from tests.support.tiny_models import publish_tiny_model, tokens

pytestmark = pytest.mark.long

SCRIPT = """
import json, sys
sys.modules["forge"] = None  # whoever tries to import it fails
import datasets, torch
from lm_eval import simple_evaluate
from transformers import AutoModelForCausalLM, pipeline

folder, ids = sys.argv[1], torch.tensor(json.loads(sys.argv[2]))
model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
with torch.no_grad():
    logits = model(ids).logits
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    made = model.generate(ids, attention_mask=mask, max_new_tokens=8)
talk = pipeline("text-generation", model=folder, trust_remote_code=True, device="cpu")
chat = talk([{"role": "user", "content": "hello"}], max_new_tokens=4)[0]["generated_text"]

def rows(**_):
    asked = [{"q": f"What is {a} + 30?", "right": str(a + 30), "wrong": str(a + 29)} for a in (1, 12, 5)]
    return {"test": datasets.Dataset.from_list(asked)}

shared = {"custom_dataset": rows, "test_split": "test", "doc_to_text": "{{q}}"}
choose = {"task": "choose", "output_type": "multiple_choice", "doc_to_choice": "{{[right, wrong]}}", "doc_to_target": 0}
write = {"task": "write", "output_type": "generate_until", "doc_to_target": "{{right}}",
         "generation_kwargs": {"until": ["@"], "max_gen_toks": 8}}
evaluated = simple_evaluate(
    model="hf", model_args={"pretrained": folder, "trust_remote_code": True}, device="cpu", batch_size=2,
    tasks=[choose | shared, write | shared], bootstrap_iters=0,
)
asked = [(request[0], request[1], float(answer[0][0])) for sample in evaluated["samples"]["choose"]
         for request, answer in zip(sample["arguments"], sample["resps"])]
print(json.dumps({
    "logits": logits.tolist(), "made": made[:, ids.shape[1]:].tolist(), "chat": chat, "asked": asked,
    "written": [[sample["arguments"][0][0], sample["resps"][0][0]] for sample in evaluated["samples"]["write"]],
    "results": {name: list(values) for name, values in evaluated["results"].items()},
}))
"""
IDS = tokens(2, 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_tiny_model(tmp_path_factory.mktemp("elsewhere") / "toy-model")


@pytest.fixture(scope="module")
def told(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = str(tmp_path_factory.mktemp("home"))
    away = {"HF_HOME": home, "HF_MODULES_CACHE": f"{home}/modules", "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), json.dumps(IDS.tolist())],
        cwd=home,
        env={**os.environ, **away},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@torch.no_grad()
def test_the_code_beside_the_weights_computes_and_generates_the_same(folder: Path, told: dict[str, Any]) -> None:
    model = load_model(folder)
    assert torch.equal(torch.tensor(told["logits"]), model(IDS).logits)
    ours = generate(model, [IDS[0, 4:].tolist(), IDS[1].tolist()], max_new_tokens=8)
    for found, expected in zip(told["made"], ours, strict=True):
        stop = next((i + 1 for i, token in enumerate(expected.ids) if token in (1, 6)), 8)
        assert found[:stop] == expected.ids[:stop]
    assert told["chat"][1]["role"] == "assistant"


@torch.no_grad()
def test_the_harness_scores_what_our_model_computes(folder: Path, told: dict[str, Any]) -> None:
    model, tokenizer = load_model(folder), load_titan_tokenizer(folder)
    assert len(told["asked"]) == 6
    for context, continuation, found in told["asked"]:
        ids, start = tokenizer.encode(context + continuation), len(tokenizer.encode(context))
        chances = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = sum(float(chances[i - 1, ids[i]]) for i in range(start, len(ids)))
        assert found == pytest.approx(expected, abs=1e-4)
    for context, found in told["written"]:
        ids = generate(model, [tokenizer.encode(context)], max_new_tokens=8)[0].ids
        stop = next((i for i, token in enumerate(ids) if token in (1, 6)), 8)
        assert found == tokenizer.decode(ids[:stop], skip_special_tokens=True).split("@")[0]
    assert {"acc,none"} <= set(told["results"]["choose"])
