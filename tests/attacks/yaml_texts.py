"""Texts of parameters that must be refused in one line and at once, each with words of the line."""

from __future__ import annotations


def merge_bomb(levels: int = 40) -> str:
    """Ten times as many values a level, were it read."""
    lines = ["a0: &a0 {" + ", ".join(f"k{i}: {i}" for i in range(10)) + "}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}], x{level}: 1}}")
    return "\n".join(lines) + "\n"


def alias_bomb(levels: int = 40) -> str:
    """Nine times as many values a level, were they written out."""
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


REFUSED: dict[str, tuple[str, str]] = {
    "merge bomb": (merge_bomb(), "line 1: not valid YAML: anchors and aliases"),
    "alias bomb": (alias_bomb(), "line 1: not valid YAML: anchors and aliases"),
    "merge key": ("a: 1\nb: {<<: {c: 1}}\n", "line 2: not valid YAML: merge keys"),
    "merge key in a block": ("a:\n  <<:\n    c: 1\n", "line 2: not valid YAML: merge keys"),
    "unknown alias": ("seed: *x\n", "line 1: not valid YAML"),
    "anchor on a key": ("&a seed: 1\n", "line 1: not valid YAML: anchors"),
    "brackets": ("seed: " + "[" * 3000 + "]" * 3000, "levels deep"),
    "brackets without an end": ("[" * 60_000, "levels deep"),
    "braces": ("seed: " + "{a: " * 3000 + "1" + "}" * 3000, "levels deep"),
    "dashes": ("- " * 3000 + "1", "levels deep"),
    "questions": ("? " * 3000 + "a", "levels deep"),
    "indents": ("\n".join(f"{' ' * n}a:" for n in range(200)), "levels deep"),
    "integer": (f"seed: {'9' * 5000}\n", "line 1: not valid YAML: a number of 5,000 characters"),
    "hexadecimal": (f"x: 1\nseed: 0x{'f' * 5000}\n", "line 2: not valid YAML: a number of 5,002 characters"),
    "float": (f"seed: 1.{'0' * 5000}\n", "a number of 5,002 characters"),
    "integer in a list": (f"seed: [1, -{'1' * 100}]\n", "a number of 101 characters"),
    "integer as a key": (f"{'9' * 500}: 1\n", "a number of 500 characters"),
    "signs": ("seed: -_\n", "line 1: not valid YAML: '-_' is no number"),
    "octal prefix": ("a: 1\nseed: 0o_\n", "line 2: not valid YAML: '0o_' is no number"),
    "binary prefix": ("seed: 0b_\n", "'0b_' is no number"),
    "date": ("seed: 2001-12-14\n", "line 1: not valid YAML: a date, '2001-12-14'"),
    "time": ("seed: 2001-12-14 21:59:43\n", "a date"),
    "tag": ("seed: !!int '99'\n", "line 1: not valid YAML: tags"),
    "local tag": ("seed: !x 1\n", "line 1: not valid YAML: tags"),
    "python tag": ("seed: !!python/object/apply:os.system [id]\n", "line 1: not valid YAML: tags"),
    "binary": ("seed: !!binary aGk=\n", "tags"),
    "set": ("seed: !!set {a, b}\n", "tags"),
    "old YAML": ("%YAML 1.1\n---\nseed: 010\n", "directives"),
    "tag directive": ("%TAG ! tag:x,2000:\n---\nseed: 1\n", "directives"),
    "twice": ("seed: 1\nscale: tiny\nseed: 2\n", 'line 3: not valid YAML: found duplicate key "seed"'),
    "twice below": ("a:\n  b: 1\n  b: 1\n", 'line 3: not valid YAML: found duplicate key "b"'),
    "two documents": ("seed: 1\n---\nseed: 2\n", "not valid YAML"),
    "unclosed": ("seed: [1", "not valid YAML"),
    "tab": ("a:\n\tb: 1\n", "line 2: not valid YAML"),
    "control character": ("seed: \x07\n", "not valid YAML"),
    "half a surrogate pair": ("seed: '\ud800'\n", "not valid YAML"),
    "a list as a key": ("? {a: 1}\n: 2\n", "not valid YAML"),
    "long": ("# " + "x" * (128 << 10), "characters of YAML, at most 131,072 are read"),
}
