"""Names that a person may type, or a stranger may have put into a tag: of models, versions and experiments."""

from __future__ import annotations

from collections.abc import Iterator

PLACES = (
    "..", ".", "/", "//", "/etc/passwd", "../../etc/passwd", "models/../../etc", "models/edge/../../..", "~", "~root",
    "./", "/dev/zero", "/proc/self/mem", "/proc/self/root", "CON", "NUL", "C:\\Windows", "\\\\host\\x",
    "file:///etc/passwd", "http://127.0.0.1:9/x", "ssh://host/x", "s3://bucket/x", "data:,x", "git@host:x",
)  # fmt: skip
OPTIONS = (
    "--help-me", "-o", "--output=/tmp/x", "--upload-pack=touch x", "--exec=touch x", "-c", "--git-dir=.", "-", "--",
    "---",
)  # fmt: skip
REVISIONS = (
    "HEAD", "HEAD~1", "HEAD^{tree}", "HEAD@{0}", "@", "@{-1}", "@{u}", "main", ":/edge", ":0:params.yaml",
    "HEAD:params.yaml", "refs/heads/main", "refs/tags/edge@v0.0.1", "edge@v0.0.1^{}", "edge@v0.0.1~0",
    "edge@v0.0.1..main", "^main", "0" * 40, "f" * 40, "deadbeef", "stash@{0}",
)  # fmt: skip
VERSIONS = (
    "edge@", "@v0.0.1", "edge@@v0.0.1", "edge@v", "edge@v1", "edge@v0.0", "edge@v0.0.1.2", "edge@v00.0.1",
    "edge@v-1.0.0", "edge@v0.0.99999999999999999999", "edge@v1e3.0.0", "edge@V0.0.1", "edge@0.0.1",
    "edge@v0.0.1#prod", "edge#", "#prod#1", "edge#prod", "edge#prod#", "edge#prod#x", "edge#prod#-1",
    "edge#prod#99999999999999999999", "edge#prod#1!x", "edge@v0.0.1!!", "edge@v0.0.1-rc1", "edge@v0.0.1+b",
    "edge @v0.0.1", " edge", "edge ", "edge@v0.0.1 ", "edge\n@v0.0.1", "Edge", "EDGE", "ed ge",
)  # fmt: skip
TEXTS = (
    "", " ", "\t", "\n", "\r\n", "\x00", "a\x00b", "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\u202eb", "a\u2066b",
    "\ufeffedge", "\u200b", "é", "e\u0301", "ⅻ", "²", "😀", "\U000e0041", "名前", "اسم", "\ud800", "\udcff", "a" * 255,
    "a" * 256, "a" * 5000, "%s%n", "%00", "{0}", "{{}}", "${HOME}", "$(touch x)", "`touch x`", ";touch x",
    "| touch x", "&& touch x", "'", '"', "\\", "*", "?", "[a-z]", "!", "<|user|>", "null", "None", "true", "NaN", "1",
    "-1", "1e9", "0x1", "__class__", "constructor", "edge\\", "edge\\..\\x",
)  # fmt: skip


def hostile_names() -> Iterator[str]:
    """All of them, each once."""
    yield from dict.fromkeys((*PLACES, *OPTIONS, *REVISIONS, *VERSIONS, *TEXTS))
