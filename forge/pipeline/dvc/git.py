"""The few questions that the pipeline puts to Git."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from forge.errors import ForgeError, printable

_NO_SUCH_NAME = 1  # what `git rev-parse --quiet --verify` ends with


class GitFailed(ForgeError):
    """Git ended with another code than 0.

    Args:
        line: what it said.
        code: its exit code.
    """

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code


def git_bytes(root: Path, *arguments: str, text: str = "") -> bytes:
    """The output of a git command, run in `root` and fed with `text`.

    Raises:
        GitFailed: the line is Git's own.
        ForgeError: there is no git.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            input=text.encode(),
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},  # its words stand beside ours
        )
    except FileNotFoundError as error:
        raise ForgeError("git is not installed; revisions, tags and experiments are read through it") from error
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode != 0:
        named = [line for line in said if line.startswith(("fatal:", "error:"))]  # hints stand around them
        reason = [*named, *reversed(said), f"exit code {done.returncode}"][0]
        remedy = next((f"; {line.strip()}" for line in said if "--add safe.directory" in line), "")
        raise GitFailed(f"git {arguments[0]}: {reason}{remedy}", done.returncode)
    for line in said:
        if line.startswith("warning: ignoring broken ref"):  # it goes on without a tag, say, that is there
            print(f"git: {printable(line)}", file=sys.stderr)
    return done.stdout


def git(root: Path, *arguments: str, text: str = "") -> str:
    """The output of a git command as text, run in `root` and fed with `text`. Raises ForgeError as `git_bytes` does."""
    return git_bytes(root, *arguments, text=text).decode("utf-8", "replace")


def lies_in_repository(root: Path) -> bool:
    """Whether a folder, or one above it, has a `.git`; Git itself is not asked."""
    return any((folder / ".git").exists() for folder in (root.absolute(), *root.absolute().parents))


def has_repository(root: Path) -> bool:
    """Whether a folder is under Git's care; False only where there is no repository.

    Raises:
        ForgeError: there is one, and Git refuses it (it belongs to another user, it is damaged) or is not installed.
            Who took that for "there is nothing" would forget what is there.
    """
    if not lies_in_repository(root) and "GIT_DIR" not in os.environ:
        return False
    git(root, "rev-parse", "--git-dir")
    return True


def git_commit_of(root: Path, name: str) -> str | None:
    """The commit that Git knows by a name; None if it knows none, or there is no repository.

    Raises:
        ForgeError: Git cannot be asked, see `has_repository`, or it says more than that it does not know the name.
    """
    try:
        return git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}").strip()
    except ForgeError as error:
        unknown = isinstance(error, GitFailed) and error.code == _NO_SUCH_NAME
        if not unknown and has_repository(root):
            raise
        return None


def require_git_identity(root: Path) -> None:
    """Ask before any work whether Git knows who makes a tag.

    Raises:
        ForgeError: it does not; the line says how to tell it.
    """
    try:
        git(root, "var", "GIT_COMMITTER_IDENT")
    except ForgeError as error:
        how = "git config user.name NAME && git config user.email ADDRESS"
        raise ForgeError(f"Git does not know who makes the tag ({error}); tell it: {how}") from error


def git_committed_file(root: Path, revision: str, path: str) -> str | None:
    """The text of a file as it was committed; None if that commit has none, or there is no repository or commit.

    Raises:
        ForgeError: Git cannot be asked, see `has_repository`.
    """
    if git_commit_of(root, revision) is None:
        return None
    listed = git(root, "ls-tree", "--name-only", revision, "--", path)
    return git_file_at(root, revision, path) if listed.strip() else None


def git_file_at(root: Path, revision: str, path: str) -> str:
    """The text of a file as it was committed. Raises ForgeError when it was not there."""
    return git(root, "show", f"{revision}:./{path}")


def uncommitted(root: Path, *paths: str) -> list[str]:
    """Files under the given paths that differ from the last commit or are new, as Git names them."""
    listed = git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", *paths)
    return [entry[3:] for entry in listed.split("\0") if entry]
