"""How long commands take, as a user waits for them: a new process each time, wall clock.

    python benchmarks/commands.py [--repeats 10] [--noop] [COMMAND ...]

Without COMMAND the light commands are timed, whose limit is half a second. --noop adds `run` where nothing is stale
(limit three seconds); it is refused where something is, because it would train. The last line of stdout is JSON:
{"repeats", "commands": {name: {"median_s", "min_s", "max_s"}}}.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time

LIGHT = ("--help", "status", "phases", "config show", "config validate", "report", "compare HEAD workspace")
RUN = (sys.executable, "-m", "forge.cli.main")


def seconds(command: str, repeats: int) -> list[float]:
    """Wall-clock seconds of each repeat, after one that fills the file cache.

    Raises:
        subprocess.CalledProcessError: the command fails.
    """
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        subprocess.run([*RUN, *shlex.split(command)], stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
    return taken[1:]


def something_is_stale() -> bool:
    """Whether `run` would run a stage here."""
    said = subprocess.run([*RUN, "status", "--json"], capture_output=True, text=True, check=True).stdout
    return any(row["state"] != "fresh" for row in json.loads(said.splitlines()[-1])["stages"])


def main(arguments: list[str] | None = None) -> int:
    """Time the commands, print a line for each and all as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="what stands after agent-forge, as one word")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--noop", action="store_true", help="also time a run with nothing to do")
    options = parser.parse_args(arguments)
    names = list(options.commands or LIGHT)
    if options.noop:
        if something_is_stale():
            print("commands.py: stages are stale here; agent-forge run first", file=sys.stderr)
            return 1
        names.append("run")
    metrics = {}
    for name in names:
        taken = seconds(name, options.repeats)
        rounded = {"median_s": statistics.median(taken), "min_s": min(taken), "max_s": max(taken)}
        metrics[name] = {key: round(value, 3) for key, value in rounded.items()}
        print(f"{name}: {metrics[name]['median_s']:.3f} s", flush=True)
    print(json.dumps({"repeats": options.repeats, "commands": metrics}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
