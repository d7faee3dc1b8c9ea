"""The few questions that the pipeline puts to Git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from forge.errors import ForgeError


def git_bytes(root: Path, *arguments: str, text: str = "") -> bytes:
    """The output of a git command, run in `root` and fed with `text`.

    Raises:
        ForgeError: there is no git, or it failed; the line is Git's own.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], input=text.encode(), capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise ForgeError("git is not installed; revisions, tags and experiments are read through it") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        named = [line for line in said if line.startswith(("fatal:", "error:"))]  # hints stand around them
        reason = [*named, *reversed(said), f"exit code {done.returncode}"][0]
        raise ForgeError(f"git {arguments[0]}: {reason}")
    return done.stdout


def git(root: Path, *arguments: str) -> str:
    """The output of a git command as text, run in `root`. Raises ForgeError as `git_bytes` does."""
    return git_bytes(root, *arguments).decode("utf-8", "replace")


def commit_of(root: Path, name: str) -> str | None:
    """The commit that Git knows by a name; None if there is none, or no repository."""
    try:
        return git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}").strip()
    except ForgeError:
        return None


def file_at(root: Path, revision: str, path: str) -> str:
    """The text of a file as it was committed. Raises ForgeError when it was not there."""
    return git(root, "show", f"{revision}:./{path}")


def uncommitted(root: Path, *paths: str) -> list[str]:
    """Files under the given paths that differ from the last commit or are new, as Git names them."""
    listed = git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *paths)
    return [entry[3:] for entry in listed.split("\0") if entry]
