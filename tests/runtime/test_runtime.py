"""Loading, answering, chatting, timing and weighing, with a real model of toy size and random weights."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from forge.agentfile.container import encode_agent, write_agent
from forge.agentfile.model import CONFIG_FIELDS
from forge.data.render import ID, render
from forge.data.talk import ABILITIES
from forge.errors import ForgeError
from forge.evals.answering import NO_ANSWER
from forge.files import count_safetensors_file_parameters
from forge.host import machine
from forge.host.units import human_bytes, human_seconds
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, names_of_core_model_weights, save_model
from forge.model.engine import Generation
from forge.runtime.agent import Agent, Call, Reply
from forge.runtime.bench import bench, bench_isolated
from forge.runtime.chat import EXAMPLES, ChatSession
from forge.runtime.load import load_agent
from forge.runtime.size import size_report
from forge.tools import set_up_tool_workspace
from tests.support.toy_agent import build_toy

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("models"))


@pytest.fixture
def agent(home: Path) -> Iterator[Agent]:
    with load_agent(home / "toy") as loaded:
        yield loaded


def test_a_directory_and_a_file_load_and_say_what_they_are(home: Path, agent: Agent) -> None:
    assert (agent.kind, agent.metadata) == ("directory", {"phase_name": "toy"})
    assert agent.parameters == count_safetensors_file_parameters(home / "toy" / "model.safetensors")
    assert not agent.model.training
    with load_agent(home / "agent.forge") as packed:
        assert (packed.kind, packed.metadata["made_by"]) == ("file", "test")
        assert packed.parameters == agent.parameters
        assert packed.tokenizer.get_vocab() == agent.tokenizer.get_vocab()
        assert packed.model.config.weight_quant == "frozen"


def test_the_file_alone_suffices_elsewhere_and_gives_the_same_answer(home: Path, tmp_path: Path) -> None:
    alone = tmp_path / "empty" / "agent.forge"
    alone.parent.mkdir()
    shutil.copy(home / "agent.forge", alone)
    question = [{"role": "user", "content": "What is 12+30?"}]
    with load_agent(home / "agent.forge") as here, load_agent(alone) as there:
        assert here.reply(question, max_new_tokens=8) == there.reply(question, max_new_tokens=8)
    code = (
        "import sys; from forge.runtime.load import load_agent\n"
        "with load_agent('agent.forge') as a:\n"
        "    print(a.reply([{'role': 'user', 'content': 'x'}], max_new_tokens=3).tokens)\n"
        "slow = {'torch._dynamo', 'sklearn', 'scipy', 'sympy', 'torchvision', 'reasoning_gym', 'dvc', 'wandb'}\n"
        "slow |= {'transformers.modeling_utils', 'transformers.generation.utils'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=alone.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    tokens, slow = done.stdout.splitlines()
    assert int(tokens) <= 3
    assert slow == "[]"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda d: d / "gone", "no such model"),
        (lambda d: _wrote(d / "x.forge", b"hello world" * 9), "not an agent file"),
        (lambda d: _wrote(d / "x.forge", b""), "empty"),
        (lambda d: _folder(d / "m", without="tokenizer.json"), "tokenizer.json is missing"),
        (lambda d: _folder(d / "m", without="model.safetensors"), "model.safetensors is missing"),
        (lambda d: _pipe(d / "x.forge"), "not a regular file"),
        (lambda d: Path("/dev/zero"), "not a regular file"),
        (lambda d: d / ("x" * 5000), "no such model"),
    ],
)
def test_what_is_no_agent_is_refused_in_one_line(tmp_path: Path, prepare: Any, words: str) -> None:
    model = prepare(tmp_path)
    for use in (load_agent,) if os.path.isdir(model) else (load_agent, size_report):
        with pytest.raises(ForgeError, match=words) as caught:
            use(model)
        assert "\n" not in str(caught.value)


def test_a_directory_is_read_only_where_its_files_agree(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "toy"
    for name, text, words in (
        ("metadata.json", "[1]", "is not a table"),
        ("tokenizer.json", "{}", "not a tokenizer of this program"),
    ):
        shutil.copytree(home / "toy", copy)
        (copy / name).write_text(text)
        with pytest.raises(ForgeError, match=words):
            load_agent(copy)
        shutil.rmtree(copy)
    shutil.copytree(home / "toy", copy)
    with load_agent(copy) as agent:
        size = len(agent.tokenizer)
        config = {**agent.model.config.to_dict(), "vocab_size": size - 1}
        save_model(TinyTitanForCausalLM(TinyTitanConfig(**config)), copy)
    with pytest.raises(ForgeError, match=f"{size} tokens, but the model knows {size - 1}"):
        load_agent(copy)


def _wrote(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _folder(path: Path, without: str) -> Path:
    path.mkdir()
    for name in {"config.json", "model.safetensors", "tokenizer.json"} - {without}:
        (path / name).write_text("{}")
    return path


def test_damage_anywhere_in_the_file_is_noticed(home: Path, tmp_path: Path) -> None:
    whole = (home / "agent.forge").read_bytes()
    copy = tmp_path / "agent.forge"
    for place in (0, 7, 40, len(whole) // 2, len(whole) - 1):
        copy.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ForgeError, match=r"agent\.forge"):
            load_agent(copy)
    copy.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ForgeError, match=r"agent\.forge"):
        load_agent(copy)


def test_weights_that_do_not_fit_the_config_are_refused(home: Path, tmp_path: Path) -> None:
    source = load_agent(home / "toy")
    config = {key: getattr(source.model.config, key) for key in CONFIG_FIELDS} | {"low_ffn": [48]}
    names = names_of_core_model_weights(source.model)
    write_agent(tmp_path / "a.forge", encode_agent(config, source.model.state_dict(), source.tokenizer, names))
    with pytest.raises(ForgeError, match="do not fit"):
        load_agent(tmp_path / "a.forge")


def test_reply_is_the_engine_on_the_rendered_conversation(agent: Agent) -> None:
    from forge.model.engine import generate

    question = [{"role": "user", "content": "What is 12+30?"}]
    for persona in (None, "teacher"):
        opening = [] if persona is None else [{"role": "persona", "content": persona}]
        ids, _ = render(agent.tokenizer, [*opening, *question], generation_prompt=True)
        for thoughts, banned in (("auto", [ID["call"]]), ("off", [ID["call"], ID["think"]])):
            plain = generate(agent.model, [ids], max_new_tokens=6, tokenizer=agent.tokenizer, ban_ids=banned)[0]
            reply = agent.reply(question, tools=False, thoughts=thoughts, persona=persona, max_new_tokens=6)
            assert (reply.text, reply.calls, reply.tokens) == (plain.text.strip() or NO_ANSWER, [], len(plain.ids))
            assert agent.reply(question, tools=False, thoughts=thoughts, persona=persona, max_new_tokens=6) == reply
    warm = [agent.reply(question, tools=False, max_new_tokens=6, temperature=5.0, seed=s) for s in (1, 1, 2)]
    assert warm[0] == warm[1] != warm[2]


@pytest.mark.parametrize(
    ("messages", "options", "words"),
    [
        ([{"role": "user", "content": "x"}], {"persona": "pirate"}, "unknown persona 'pirate'"),
        ([{"role": "assistant", "content": "x"}], {}, "user's turn"),
        ([], {}, "user's turn"),
    ],
)
def test_reply_refuses_what_it_cannot_answer(agent: Agent, messages: Any, options: Any, words: str) -> None:
    with pytest.raises(ForgeError, match=words):
        agent.reply(messages, **options)


def test_calls_are_executed_heard_and_handed_back(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def scripted(model: Any, prompts: list[list[int]], **options: Any) -> list[SimpleNamespace]:
        assert options["ban_ids"] == []
        options["hear"]("6*7")
        result = options["execute"]("calculator 6*7")
        return [Generation([1, 2], [("calculator 6*7", result)], confidences=[0.9], thought="6*7", text=result)]

    monkeypatch.setattr("forge.model.engine.generate", scripted)
    heard: list[tuple[str, str]] = []
    reply = agent.reply([{"role": "user", "content": "6*7"}], listen=lambda kind, text: heard.append((kind, text)))
    assert (reply.text, reply.thought) == ("42", "6*7")
    assert reply.calls == [Call("calculator", {"expression": "6*7"}, "calculator 6*7", 0.9, "42")]
    assert heard == [("thought", "6*7"), ("call", "calculator 6*7"), ("result", "42"), ("text", "42")]
    agent.close()
    assert agent.reply([{"role": "user", "content": "again"}], listen=lambda *_: None).text == "42"


def test_tools_see_the_given_workspace(home: Path, tmp_path: Path) -> None:
    set_up_tool_workspace(tmp_path / "mine")
    (tmp_path / "mine" / "files" / "secret.txt").write_text("the word is owl")
    with load_agent(home / "toy", workspace=tmp_path / "mine") as agent:
        assert "owl" in agent.toolbox.execute("file_reader secret.txt")
    with pytest.raises(ForgeError, match="no such workspace"):
        load_agent(home / "toy", workspace=tmp_path / "none")


def test_a_thought_is_begun_where_it_is_wanted(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    question, asked = [{"role": "user", "content": "What is 12+30?"}], []

    def scripted(model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        asked.append((prompts[0], ID["think"] in options["ban_ids"]))
        return [Generation(text="42")]

    monkeypatch.setattr("forge.model.engine.generate", scripted)
    for thoughts in ("auto", "on", "off"):
        agent.reply(question, thoughts=thoughts)
    plain, _ = render(agent.tokenizer, question, generation_prompt=True)
    assert asked == [(plain, False), ([*plain, ID["think"]], False), (plain, True)]


def test_thoughts_vote_only_where_there_is_a_thinker(home: Path, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    question = [{"role": "user", "content": "x"}]
    session = ChatSession(agent)
    for use in (lambda: agent.reply(question, tools=False, thoughts="vote"), lambda: session.command("/thoughts vote")):
        with pytest.raises(ForgeError, match=r"toy: no thoughts vote in this model, it has no think_gate\.safetensors"):
            use()
    assert session.thoughts == "auto"

    def answer(model: Any, prompts: list[list[int]], most: int, seed: int) -> list[Generation]:
        return [Generation([*agent.tokenizer.encode("12"), ID["end"]], steps=1.5)] * len(prompts)

    monkeypatch.setattr("forge.thinking.thinker.read_thinker_file", lambda path: SimpleNamespace(answer=answer))
    assert agent.reply(question, tools=False, thoughts="vote").text == "12"
    assert agent.reply(question, tools=False, thoughts="vote").steps == 1.5
    assert session.command("/thoughts vote") == "thoughts are vote"
    with pytest.raises(ForgeError, match=r"add --no-tools \(in a chat: /tools off\)"):
        session.ask("x")
    with load_agent(home / "agent.forge") as packed, pytest.raises(ForgeError, match="no thoughts vote"):
        packed.reply(question, tools=False, thoughts="vote")


def test_chat_remembers_turns_and_shows_as_many_as_asked(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[dict[str, str]]] = []
    made = Call("calculator", {"expression": "1"}, "calculator 1", 0.9, "1")

    def reply(messages: list[dict[str, str]], **options: Any) -> SimpleNamespace:
        seen.append(list(messages))
        assert options["thoughts"] == "auto"
        return Reply(f"answer {len(seen)}", [made] if len(seen) == 1 else [], "", 1, 1.0, "stop")

    monkeypatch.setattr(agent, "reply", reply)
    session = ChatSession(agent)
    session.ask("one")
    session.ask("two")
    assert [message["content"] for message in seen[1]] == ["one", "calculator 1", "1", "answer 1", "two"]
    assert session.command("/history 0") == "the agent is given 0 past turns"
    session.ask("alone")
    assert [message["content"] for message in seen.pop()] == ["alone"]
    session.turns.pop()
    assert session.command("/history 2") == "the agent is given 2 past turns"
    session.ask("three")
    assert [message["role"] for message in seen[2]] == [
        "user",
        "call",
        "result",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    render(agent.tokenizer, seen[2], generation_prompt=True)


def test_chat_commands(agent: Agent) -> None:
    session = ChatSession(agent)
    assert session.command("/persona teacher") == "persona is teacher"
    assert session.persona == "teacher"
    assert "helpful" in session.command("/persona none")
    assert session.persona is None
    assert session.command("/tools") == session.command("/tools on") == f"tools are on: {', '.join(agent.tools)}"
    assert session.command("/tools off") == session.command("/tools") == f"tools are off: {', '.join(agent.tools)}"
    assert session.command("/tools on").startswith("tools are on: calculator, ")
    assert session.command("/thoughts off") == session.command("/thoughts") == "thoughts are off"
    assert session.command("/thoughts auto") == "thoughts are auto"
    assert "/thoughts [on|off|auto]" in session.command("/help")
    abilities, *examples, commands = session.command("/help").splitlines()
    assert abilities == f"{ABILITIES} For example:"
    assert [line.strip() for line in examples] == list(EXAMPLES)
    assert len(examples) == 3
    assert "/quit" in commands
    for line, words in (
        ("/persona pirate", "unknown persona"),
        ("/tools maybe", "on or off"),
        ("/thoughts maybe", "takes auto, on, off or vote"),
        ("/history -1", "number"),
        ("/history ²", "number"),
        ("/history 1001", "0 to 1000"),
        (f"/history {'9' * 5000}", "number"),
        ("/dance", "unknown command"),
    ):
        with pytest.raises(ForgeError, match=words):
            session.command(line)
    assert (session.persona, session.tools, session.thoughts, session.history) == (None, True, "auto", 1)


def test_sizes_add_up_and_packed_weights_replace_the_full_ones(home: Path, tmp_path: Path) -> None:
    report = size_report(home / "toy")
    files = ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
    assert report["total_bytes"] == sum((home / "toy" / name).stat().st_size for name in files)
    assert report["total_bytes"] == sum(report["by_component"].values())
    with load_agent(home / "toy") as agent:
        assert report["by_component"]["embed"] == 4 * 32 * len(agent.tokenizer)
    assert {"low", "high", "memory", "halt", "tokenizer", "config", "header"} <= set(report["by_component"])
    copy = tmp_path / "packed"
    shutil.copytree(home / "toy", copy)
    header = json.dumps({"low.0.x": {"dtype": "U8", "shape": [5], "data_offsets": [0, 5]}}).encode()
    (copy / "packed.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"12345")
    packed = size_report(copy)
    assert packed["by_component"]["low"] == 5
    assert packed["parameters"] == report["parameters"]


def test_size_of_the_file_is_the_file(home: Path, agent: Agent) -> None:
    report = size_report(home / "agent.forge")
    assert report["total_bytes"] == (home / "agent.forge").stat().st_size == sum(report["by_component"].values())
    assert report["parameters"] == agent.parameters


def test_weighing_a_file_imports_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; from forge.runtime.size import size_report\n"
        f"assert size_report({str(home / 'agent.forge')!r})['parameters'] > 1000\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'tokenizers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_size_refuses_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="no such model"):
        size_report(tmp_path / "gone")
    with pytest.raises(ForgeError, match="is missing"):
        size_report(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    with pytest.raises(ForgeError, match="holds no weights"):
        size_report(tmp_path)


def test_bench_measures_in_the_units_that_it_names(home: Path) -> None:
    metrics = bench(home / "agent.forge", repeats=3, seed=1)
    assert list(metrics) == [
        "device",
        "prefill_512_ms_p50",
        "prefill_512_ms_p95",
        "decode_tokens_per_s",
        "peak_ram_mb",
        "load_ms",
    ]
    assert 0 < metrics["prefill_512_ms_p50"] <= metrics["prefill_512_ms_p95"] < 10_000
    assert 1 < metrics["decode_tokens_per_s"] < 1e6
    assert 50 < metrics["peak_ram_mb"] < 8000
    assert 0 < metrics["load_ms"] < 10_000


def test_bench_in_its_own_process_does_not_count_the_callers_memory(home: Path) -> None:
    ballast = torch.ones(150_000_000)
    (apart,) = bench_isolated(home / "toy", repeats=1)
    assert ballast.sum() > 0
    assert apart["peak_ram_mb"] < machine.peak_ram_mb() - 200
    with pytest.raises(ForgeError, match=r"bench of .*gone failed: .*no such model"):
        bench_isolated(home / "gone")


def test_devices_are_told_the_fastest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    (processor,) = machine.machine_devices()
    assert (processor["device"], processor["capability"]) == ("cpu", None)
    assert processor["memory_gib"] > 0
    card = SimpleNamespace(name="Card", total_memory=24 * 2**30, major=8, minor=9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 2**33)
    found = machine.machine_devices()
    assert [each["device"] for each in found] == ["cuda:0", "cuda:1", "mps", "cpu"]
    assert found[0] == {"device": "cuda:0", "name": "Card", "capability": "8.9", "memory_gib": 24.0}


def test_a_bench_does_not_outlive_whoever_asked_for_it(home: Path) -> None:
    code = f"from forge.runtime.bench import bench_isolated; bench_isolated({str(home / 'toy')!r}, repeats=100000)"
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (children := psutil.Process(caller.pid).children()) and time.monotonic() < deadline:
        time.sleep(0.02)
    caller.kill()
    caller.wait()
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_machine_says_nothing_that_identifies_it() -> None:
    import getpass
    import socket

    facts = machine.machine_environment()
    assert facts["libraries"]["torch"].startswith("2.")
    assert facts["cores"] >= 1
    assert facts["cpu"]
    for private in (socket.gethostname(), str(Path.home())):
        assert private not in json.dumps(facts)
    assert getpass.getuser() not in json.dumps(facts["libraries"])


def test_words_for_bytes_and_seconds() -> None:
    assert [human_bytes(n) for n in (5, 1536, 3 << 20, 5 << 30)] == ["5 B", "1.5 KiB", "3 MiB", "5 GiB"]
    assert [human_seconds(s) for s in (3.4, 75, 3700)] == ["3 s", "1 min 15 s", "1 h 01 min"]
