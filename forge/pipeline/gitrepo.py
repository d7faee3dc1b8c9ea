"""The few questions that the pipeline puts to Git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from forge.errors import ForgeError


def git(root: Path, *arguments: str) -> str:
    """The output of a git command, run in `root`.

    Raises:
        ForgeError: it failed; the line is Git's own.
    """
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise ForgeError(f"git {arguments[0]}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def is_repository(root: Path) -> bool:
    """Whether `root` lies in a Git repository that has a commit."""
    command = ["git", "-C", str(root), "rev-parse", "--quiet", "--verify", "HEAD"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def commit_of_tag(root: Path, tag: str) -> str | None:
    """The commit that a tag names; None if there is no such tag."""
    command = ["git", "-C", str(root), "rev-parse", "--quiet", "--verify", f"refs/tags/{tag}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def file_at(root: Path, revision: str, path: str) -> str:
    """The text of a file as it was committed. Raises ForgeError when it was not there."""
    return git(root, "show", f"{revision}:./{path}")


def uncommitted(root: Path, *paths: str) -> list[str]:
    """Files under the given paths that differ from the last commit or are new, as Git names them."""
    listed = git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *paths)
    return [entry[3:] for entry in listed.split("\0") if entry]
