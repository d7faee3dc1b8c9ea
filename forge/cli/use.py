"""Commands that use one model: eval, generate, chat, bench, size."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from forge.cli.options import ASK_BELOW
from forge.cli.output import (
    JSON,
    emit_command_json,
    fail_on_terminal,
    print_terminal_table,
    say,
    terminal_answers,
    whisper,
)
from forge.cli.own_tools import OWN_ROWS, eval_own_tools_command
from forge.cli.project import model_in_project
from forge.cli.questions import eval_free_questions_command
from forge.data.personas import PERSONAS
from forge.errors import ForgeError
from forge.evals.verdicts import QuestionSet
from forge.interface.limits import COOLEST, HOTTEST, LARGEST_SEED, MOST_ANSWER_TOKENS
from forge.runtime.agent import MAX_NEW_TOKENS, Thinking, readable_agent_reply, refuse_agent_text_not_utf8
from forge.runtime.chat import MAX_HISTORY

if TYPE_CHECKING:
    from forge.evals.suite import SuiteScore
    from forge.runtime.agent import Agent, Call, Reply
    from forge.runtime.chat import ChatSession

MAX_PROBLEMS = 100_000  # of a family
SUITE_PROBLEMS = 100  # of a family, where nothing is said
MAX_REPEATS = 10_000
LONGEST_SHOWN = 76  # characters of a call or a result on the way to an answer
MAX_LINE = 1_000_000  # characters typed or piped into a chat at once
_SUITE_ONLY = ("tasks", "tools", "thoughts", "workspace")
# A dash followed by no name of an option, or by words: an option has no space before its "=".
_TEXT_WITH_DASH = re.compile(r"--?(?![-A-Za-z])|-[^=]*\s")


def _usable_temperature(value: float) -> float:
    if value != 0 and not COOLEST <= value <= HOTTEST:  # NaN is none of them
        raise typer.BadParameter(f"{value:g} is neither 0 nor from {COOLEST:g} to {HOTTEST:g}")
    return value


MODEL = Annotated[
    str, typer.Argument(help="A directory of models/, or an agent.forge file.", callback=model_in_project)
]
TOOLS = Annotated[bool, typer.Option("--tools/--no-tools", help="Allow tool calls, which are really executed.")]
THOUGHTS = Annotated[
    Thinking,
    typer.Option(
        help="Begin every answer with a thought, never think, or auto: as the model decides. vote: let several "
        "thoughts vote, without tools (models/quietstar)."
    ),
]
PERSONA = Annotated[
    str | None, typer.Option(help=f"{', '.join(PERSONAS)}, or one of your own that the model was trained on.")
]
WORKSPACE = Annotated[
    Path | None, typer.Option(help="Folder that the tools may see; default: the one built into the package.")
]
TOOLS_FILE = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="How calls of your own tools are run: a tools file, or a folder of such files. Without it such calls are "
        "shown, not run.",
    ),
]
PROMPTED = Annotated[
    bool, typer.Option("--tool-prompt", help="Say before each problem which tools there are (phases 1 to 5).")
]
QUESTIONS = Annotated[
    QuestionSet | None, typer.Option(help="Instead of the suite, a set of questions as people type them.")
]
OWN_TOOLS = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Instead of the suite, held-out sentences for the tools of this file or folder; nothing is run.",
    ),
]
SAMPLES = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_PROBLEMS,
        help=f"Fresh problems of each family (default {SUITE_PROBLEMS}), or rows of --own-tools ({OWN_ROWS}).",
        show_default=False,
    ),
]


@contextmanager
def _agent_for_command(
    path: str, workspace: Path | None = None, *, tools: Path | None = None, persona: str | None = None
) -> Iterator[Agent]:
    from forge.runtime.load import agent_persona_names, load_agent

    if persona is not None and persona not in PERSONAS and persona not in (known := agent_persona_names(path)):
        raise typer.BadParameter(f"unknown persona {persona!r}; known: {', '.join(known)}")
    with load_agent(path, workspace=workspace, tools=tools) as agent:
        yield agent


def eval_command(
    context: typer.Context,
    model: MODEL,
    tasks: Annotated[str | None, typer.Option(help="Families, separated by commas; default: the whole suite.")] = None,
    n: SAMPLES = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the drawn problems.")] = 0,
    tools: TOOLS = True,
    thoughts: THOUGHTS = "off",
    tool_prompt: PROMPTED = False,
    ask_below: ASK_BELOW = 0.0,
    workspace: WORKSPACE = None,
    questions: QUESTIONS = None,
    show: Annotated[bool, typer.Option("--show", help="With --questions: each question, answer and verdict.")] = False,
    own_tools: OWN_TOOLS = None,
    as_json: JSON = False,
) -> None:
    """Score a model on problems that no training split holds, on questions as people type them, or on your own tools.

    \b
    Examples:
      agent-forge eval models/compress/agent.forge
      agent-forge eval models/baking --tasks gcd,lcm --n 200 --seed 7
      agent-forge eval models/forge --no-tools --thoughts on --json
      agent-forge eval models/compress/agent.forge --questions choose --show
      agent-forge eval models/compress/agent.forge --own-tools examples/home/tools.yaml
    """
    if own_tools is not None:
        _refuse_options_of_suite(context, "own-tools", ("questions", "show", "tool_prompt", "ask_below", *_SUITE_ONLY))
        with _agent_for_command(model) as agent:
            eval_own_tools_command(agent, own_tools, n=OWN_ROWS if n is None else n, seed=seed, as_json=as_json)
        return
    if questions is not None:
        _refuse_options_of_suite(context, "questions", ("n", "seed", *_SUITE_ONLY))
        with _agent_for_command(model) as agent:
            eval_free_questions_command(agent, questions, tool_prompt=tool_prompt, show=show, as_json=as_json)
        return
    if show:
        raise typer.BadParameter("--show goes with --questions")
    from forge.data.dialogues import TOOL_PROMPT
    from forge.evals.bpb import bits_per_byte, bpb_held_out_texts
    from forge.evals.suite import score_suite, suite_tasks

    names = suite_tasks(None if tasks is None else [name.strip() for name in tasks.split(",") if name.strip()])
    with _agent_for_command(model, workspace) as agent:
        score = score_suite(
            agent.model,
            agent.tokenizer,
            tasks=names,
            n=SUITE_PROBLEMS if n is None else n,
            seed=seed,
            execute=agent.execute if tools else None,
            tools=tools,
            system=TOOL_PROMPT if tool_prompt else None,
            thoughts="off" if thoughts == "vote" else thoughts,
            thinker=agent.thinker if thoughts == "vote" else None,
            rules=agent.call_rules(ask_below=ask_below) if tools else None,
        )
        bpb = bits_per_byte(agent.model, agent.tokenizer, bpb_held_out_texts())
    _tell_suite_score(score, bpb, tools=tools, thoughts=thoughts, seed=seed, as_json=as_json)


def _refuse_options_of_suite(context: typer.Context, instead: str, options: tuple[str, ...]) -> None:
    """Free questions and rows of own tools are asked in one way; the questions about one workspace: that which their
    accepted answers are about."""
    for option in options:
        source = context.get_parameter_source(option)
        if source is not None and source.name != "DEFAULT":
            raise typer.BadParameter(f"--{option.replace('_', '-')} does not go with --{instead}")


def _tell_suite_score(
    score: SuiteScore, bpb: float, *, tools: bool, thoughts: Thinking, seed: int, as_json: bool
) -> None:
    # Of answers that were voted for, no single thought is known.
    thought = None if thoughts == "vote" else sum(bool(answer.thought) for answer in score.made) / len(score.correct)
    if as_json:
        found = {"tasks": score.tasks, "mean_accuracy": score.mean_accuracy, "bpb": bpb}
        how = {"tools": tools, "thoughts": thoughts, "thought_share": thought, "calls": score.calls}
        emit_command_json({**found, **how})
        return
    print_terminal_table(
        ("task", "n", "accuracy"), [(k, str(v["n"]), f"{v['accuracy']:.3f}") for k, v in score.tasks.items()]
    )
    allowed = f"{'with' if tools else 'without'} tools, thoughts {thoughts}"
    say(f"mean accuracy {score.mean_accuracy:.3f} ({allowed}, seed {seed})")
    if thought is not None:
        say(f"thought before {thought:.0%} of the answers, made {score.calls} calls")
    say(f"bits per byte {bpb:.3f} on held-out text")


class PromptCommand(TyperCommand):
    """A command that takes a prompt, which may begin with a dash: "-5 + 3" is no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put what begins with a dash and cannot be an option behind `--`, unless it is the value of one."""
        valued = {name for option in self.params if not getattr(option, "is_flag", True) for name in option.opts}
        end = args.index("--") if "--" in args else len(args)
        texts = [i for i in range(end) if _TEXT_WITH_DASH.match(args[i]) and not (i > 0 and args[i - 1] in valued)]
        if texts:
            args = [
                *(args[i] for i in range(end) if i not in texts),
                "--",
                *(args[i] for i in texts),
                *args[end + 1 :],
            ]
        return super().parse_args(ctx, args)


def generate_command(
    model: MODEL,
    prompt: Annotated[str, typer.Argument(help="What to ask; after -- if it begins like an option (-x, --all).")],
    persona: PERSONA = None,
    tools: TOOLS = True,
    thoughts: THOUGHTS = "auto",
    max_new_tokens: Annotated[
        int, typer.Option(min=1, max=MOST_ANSWER_TOKENS, help="Longest answer, in tokens.")
    ] = MAX_NEW_TOKENS,
    temperature: Annotated[
        float, typer.Option(callback=_usable_temperature, help="0 always takes the likeliest token; else 0.01 to 100.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of sampling.")] = 0,
    ask_below: ASK_BELOW = 0.0,
    workspace: WORKSPACE = None,
    tools_file: TOOLS_FILE = None,
    as_json: JSON = False,
) -> None:
    """Answer one prompt.

    \b
    Examples:
      agent-forge generate models/compress/agent.forge "What is 17 * 23?"
      agent-forge generate models/compress/agent.forge "What is 17 * 23?" --no-tools --thoughts on
      agent-forge generate models/baking "Explain the moon." --persona teacher
      agent-forge generate models/compress "-5 + 3"
    """
    if not prompt.strip():
        raise ForgeError("the prompt is empty")
    refuse_agent_text_not_utf8(prompt)
    with _agent_for_command(model, workspace, tools=tools_file, persona=persona) as agent:
        made = agent.reply(
            [{"role": "user", "content": prompt}],
            tools=tools,
            thoughts=thoughts,
            persona=persona,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            listen=None if as_json else _show_on_the_way,
            ask_below=ask_below,
        )
    reply = readable_agent_reply(made, prompt)
    if as_json:
        emit_command_json({**_reply_json(reply), "tokens": reply.tokens})
    elif reply.text:  # a call that is left to the user ends an answer without
        say(reply.text)


def _reply_json(reply: Reply) -> dict[str, Any]:
    asked = None if reply.asked is None else _call_json(reply.asked)
    calls = [_call_json(call) for call in reply.calls]
    return {"text": reply.text, "calls": calls, "asked": asked, "thought": reply.thought}


def _call_json(call: Call) -> dict[str, Any]:
    return {
        "call": call.text,
        "name": call.name,
        "arguments": call.arguments,
        "confidence": round(call.confidence, 4),
        "result": call.result,
    }


def _show_on_the_way(kind: str, text: str) -> None:
    """What the agent does before it answers: it thinks, calls a tool, gets a result."""
    if kind == "text":  # the answer is shown whole
        return
    show = whisper if kind == "thought" else say
    show(f"  [{kind}] {text if kind == 'thought' else _shortened(text)}")


def _shortened(text: str) -> str:
    """A call or a result on one line of a terminal; --json has all of it."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 3]}..."


def chat_command(
    model: MODEL,
    persona: PERSONA = None,
    tools: TOOLS = True,
    thoughts: THOUGHTS = "auto",
    history: Annotated[int, typer.Option(min=0, max=MAX_HISTORY, help="Past turns that the agent is given.")] = 1,
    ask_below: ASK_BELOW = 0.0,
    workspace: WORKSPACE = None,
    tools_file: TOOLS_FILE = None,
    as_json: JSON = False,
) -> None:
    """Talk to a model. /help lists the commands, /quit or end of input ends.

    \b
    Examples:
      agent-forge chat models/compress/agent.forge
      agent-forge chat models/compress/agent.forge --tools-file examples/home/tools.yaml
      printf 'What is 2+3?\\n' | agent-forge chat models/baking --json
    """
    from forge.runtime.chat import ChatSession

    if sys.stdin is None:
        raise ForgeError("chat: stdin is closed, there is nobody to talk to; for one question: agent-forge generate")
    with _agent_for_command(model, workspace, tools=tools_file, persona=persona) as agent:
        session = ChatSession(
            agent, persona=persona, tools=tools, thoughts=thoughts, history=history, ask_below=ask_below
        )
        if not as_json:
            say(f"{Path(model)}: {agent.parameters:,} parameters. /help lists the commands, /quit ends.")
        for line in _terminal_input_lines("you> "):
            if line in ("/quit", "/exit"):
                break
            if line:
                _chat_command_turn(session, line, as_json)


def _terminal_input_lines(prompt: str) -> Iterator[str]:
    """Lines that the user types, stripped, until the end of input. A prompt is shown on a terminal only.

    Raises ForgeError when there is nothing that can be read.
    """
    interactive = terminal_answers()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a byte that is no character is one line's fault
    if interactive:
        import readline  # noqa: F401 - gives input() history and editing

    while True:
        try:
            yield (input(prompt) if interactive else _piped_line()).strip()
        except EOFError:
            return
        except OSError as error:
            raise ForgeError(f"chat: stdin cannot be read ({error.strerror})") from error


def _piped_line() -> str:
    """The next line; of one that is longer than `MAX_LINE`, one character more than that."""
    line = sys.stdin.readline(MAX_LINE + 1)
    if not line:
        raise EOFError
    rest = line
    while len(rest) > MAX_LINE and not rest.endswith("\n"):
        rest = sys.stdin.readline(MAX_LINE + 1)
    return line


def _chat_command_turn(session: ChatSession, line: str, as_json: bool) -> None:
    """Answer one line. A refused command or question is told and the conversation goes on."""
    try:
        if len(line) > MAX_LINE:
            raise ForgeError(f"that line is longer than {MAX_LINE:,} characters")
        if line.startswith("/"):
            told = session.command(line)
            if not as_json:
                say(told)
            return
        reply = session.ask(line, None if as_json else _show_on_the_way)
    except ForgeError as error:
        fail_on_terminal(str(error))
        return
    if as_json:
        emit_command_json(_reply_json(reply))
    elif reply.text:
        say(f"agent> {reply.text}")


def bench_command(
    model: MODEL,
    repeats: Annotated[
        int, typer.Option(min=1, max=MAX_REPEATS, help="Timed prefills, after one that is not timed.")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of the random prompt.")] = 0,
    as_json: JSON = False,
) -> None:
    """Measure loading, prefill, decoding and memory on this machine.

    \b
    Examples:
      agent-forge bench models/compress/agent.forge --repeats 5
    """
    from forge.runtime.bench import bench

    metrics = bench(model, repeats=repeats, seed=seed)
    if as_json:
        emit_command_json(metrics)
        return
    print_terminal_table(("what", "value"), [(k, v if isinstance(v, str) else f"{v:.2f}") for k, v in metrics.items()])


def size_command(model: MODEL, as_json: JSON = False) -> None:
    """Weigh a model, part by part.

    \b
    Examples:
      agent-forge size models/compress/agent.forge
    """
    from forge.host.units import human_bytes
    from forge.runtime.size import size_report

    report = size_report(model)
    if as_json:
        emit_command_json(report)
        return
    rows = [(part, f"{size:,}", human_bytes(size)) for part, size in report["by_component"].items()]
    print_terminal_table(
        ("part", "bytes", ""),
        [*rows, ("total", f"{report['total_bytes']:,}", human_bytes(report["total_bytes"]))],
    )
    bits = 8 * report["total_bytes"] / report["parameters"]
    say(f"{report['parameters']:,} parameters, {bits:.3f} bits each")
