"""What no file says: unfinished work, a machine's own paths, where packages come from, a card number."""

import ast
import re

from schemas.fields import holds_card_number
from tests.house.tree import Tree, parsed

# Put together here, so that this file does not hold what it forbids.
UNFINISHED = re.compile(rf"\b(?:{'|'.join(['TO' + 'DO', 'FIX' + 'ME', 'X' * 3])})\b")
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:root|home|work|Users)/")
REGISTRIES = re.compile(
    r"\b(?:pypi|test\.pypi|files\.pythonhosted|npmjs|registry\.npmjs|repo1?\.maven|repo\.maven\.apache)\.(?:org|com)\b"
    r"|\bindex[-_]url\b|\bfind[-_]links\b|/simple/?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
DIGITS = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])|\d{13,19}")
TEST_NUMBERS = frozenset(
    [
        "4111111111111111",
        "4012888888881881",
        "4242424242424242",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
    ]
)
"""The numbers that card schemes and gateways publish for tests: no card has them."""


def no_work_is_left_open(tree: Tree) -> list[str]:
    """What is not done is not promised in a comment."""
    return _lines(tree, UNFINISHED)


def no_path_is_of_one_machine(tree: Tree) -> list[str]:
    """The tree runs wherever it is put."""
    return _lines(tree, MACHINE_PATH)


def no_registry_is_named(tree: Tree) -> list[str]:
    """Where packages come from is the installing machine's choice."""
    return _lines(tree, REGISTRIES)


def no_card_number_is_written(tree: Tree) -> list[str]:
    """Not even as an example, but for the published test numbers, and those only in tests, examples and docstrings."""
    found = []
    for path, text in tree.items():
        if not path.endswith((".py", ".md", ".json", ".toml", ".sql", ".sh", ".yaml")):
            continue
        free = path.startswith(("tests/", "schemas/examples/"))
        documented = set() if free or not path.endswith(".py") else _docstring_lines(text)
        for number, line in enumerate(text.splitlines(), start=1):
            for run in DIGITS.findall(line):
                digits = re.sub(r"\D", "", run)
                known = digits in TEST_NUMBERS and (free or number in documented)
                if holds_card_number(digits) and not known:
                    found.append(f"{path}:{number}: a card number")
    return found


def _lines(tree: Tree, pattern: "re.Pattern[str]") -> list[str]:
    return [
        f"{path}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group().strip()}"
        for path, text in tree.items()
        for hit in pattern.finditer(text)
    ]


def _docstring_lines(source: str) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines
