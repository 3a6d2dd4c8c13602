"""Budgets and forms: how long, how named, how numbered, how documented, and what is never called."""

import ast
import re

from tests.house.tree import ROOMS, Tree, calls, imports, is_in, modules, parsed, uses

MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 70
OVER_BUDGET: dict[str, str] = {}
"""`path` or `path:function` -> why it may be longer. A budget is broken with a written reason or not at all."""

TOP_LEVEL = frozenset([*ROOMS, "schemas", "tests", "deploy", "pyproject.toml", "README.md"])
UNPICKLERS = ("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve")
SHELLS = frozenset(["os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"])
NOT_RUN = ("pytest.skip", "pytest.xfail", "pytest.importorskip", "pytest.mark.skip", "pytest.mark.skipif")
NOT_RUN_EITHER = ("pytest.mark.xfail", "unittest.skip", "unittest.skipIf", "unittest.skipUnless", "unittest.SkipTest")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def the_top_level_is_fixed(tree: Tree) -> list[str]:
    """The top holds the rooms, tests, deploy, pyproject.toml, README.md, dotfiles, and nothing else."""
    there = {path.split("/")[0] for path in tree}
    clutter = sorted(name for name in there - TOP_LEVEL if not name.startswith("."))
    return [f"{name}: not of the top level" for name in clutter] + [
        f"{name}: missing" for name in sorted(TOP_LEVEL - there)
    ]


def modules_and_functions_are_short(tree: Tree) -> list[str]:
    """A module has at most 300 lines and a function at most 70."""
    found = []
    for path, source in modules(tree):
        if (lines := len(source.splitlines())) > MODULE_LINES_MAX and path not in OVER_BUDGET:
            found.append(f"{path}: {lines} lines")
        found += [
            f"{path}:{node.lineno}: {node.name} has {lines} lines"
            for node in ast.walk(parsed(source))
            if isinstance(node, Function)
            and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
            and f"{path}:{node.name}" not in OVER_BUDGET
        ]
    return found


def modules_say_what_they_are(tree: Tree) -> list[str]:
    """Every module begins with a docstring, and every package of a room has an `__init__.py` for it."""
    found = [f"{path}: no docstring" for path, source in modules(tree) if not ast.get_docstring(parsed(source))]
    packages = {path.rsplit("/", maxsplit=1)[0] for path, _ in modules(tree, *ROOMS, "schemas", "deploy")}
    return found + [
        f"{package}: no __init__.py" for package in sorted(packages) if f"{package}/__init__.py" not in tree
    ]


def no_test_is_left_out(tree: Tree) -> list[str]:
    """A test is skipped only in conftest.py, or in a function of the contract suite that fails where CI is set."""
    found = []
    for path, source in modules(tree):
        if path == "tests/conftest.py":
            continue
        guarded: set[int] = set()
        for node in ast.walk(parsed(source)):
            if path.startswith("tests/contract/") and isinstance(node, Function) and "'CI'" in ast.unparse(node):
                guarded |= set(range(node.lineno, (node.end_lineno or 0) + 1))
        found += [
            f"{path}:{line}: {name}"
            for line, name in sorted({*uses(source), *imports(source)})
            if name in {*NOT_RUN, *NOT_RUN_EITHER} and line not in guarded
        ]
    return found


def nothing_is_unpickled(tree: Tree) -> list[str]:
    """Nothing that is read can run code: no pickle, by whatever name, and no frame or array read from one."""
    found = []
    for path, source in modules(tree):
        found += [f"{path}:{line}: imports {name}" for line, name in imports(source) if is_in(name, UNPICKLERS)]
        found += [
            f"{path}:{call.lineno}: {name}"
            for call, name in calls(source)
            if name.endswith(("read_pickle", "to_pickle")) or any(word.arg == "allow_pickle" for word in call.keywords)
        ]
    return found


def rooms_do_not_print(tree: Tree) -> list[str]:
    """What a process of a room says goes to its log, or to stdout by a deliberate write."""
    return [
        f"{path}:{line}: print" for path, source in modules(tree, *ROOMS, "schemas") for line, name in uses(source)
        if name in {"print", "builtins.print"}
    ]  # fmt: skip


def one_place_says_how_kafka_is_reached(tree: Tree) -> list[str]:
    """Addresses, certificates and passwords come from schemas/connection.py: no client reaches Kafka otherwise."""
    return [
        f"{path}:{node.lineno}: {node.value}"
        for path, source in modules(tree)
        if path not in {"schemas/connection.py", "tests/house/shape.py"}
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Constant) and node.value == "bootstrap.servers"
    ]


def every_producer_loses_nothing(tree: Tree) -> list[str]:
    """A producer of a room begins with `schemas.connection.writing`: by the defaults it may lose without a word."""
    return [
        f"{path}:{call.lineno}: {name} without writing"
        for path, source in modules(tree, *ROOMS)
        for call, name in calls(source)
        if name.split(".")[-1] == "Producer"
        if not any(isinstance(node, ast.Name) and node.id == "writing" for node in ast.walk(call))
    ]


def no_shell_is_started(tree: Tree) -> list[str]:
    """A program is started from a list of arguments: a shell would read what is in them."""
    found = []
    for path, source in modules(tree):
        found += [f"{path}:{line}: {name}" for line, name in uses(source) if name in SHELLS]
        found += [
            f"{path}:{call.lineno}: shell"
            for call, _ in calls(source)
            for word in call.keywords
            if word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
        ]
    return found


def every_topic_is_in_the_table(tree: Tree) -> list[str]:
    """A topic constant is a row of TOPICS, which is what gets created, listed and tested."""
    source = tree.get("schemas/topics.py", "")
    constants, rows = set(), set()
    for node in parsed(source).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Topic":
            constants |= names
        if "TOPICS" in names and isinstance(value, ast.Tuple):
            rows = {row.id for row in value.elts if isinstance(row, ast.Name)}
    return [f"schemas/topics.py: {name} is not in TOPICS" for name in sorted(constants - rows)]


def migrations_have_numbers_of_their_own(tree: Tree) -> list[str]:
    """SQL files are NNNN_name.sql, each number once: what is applied later has a larger one."""
    names = sorted(path.rsplit("/", maxsplit=1)[-1] for path in tree if path.startswith("schemas/clickhouse/"))
    numbers = [name[:4] for name in names]
    return [
        f"schemas/clickhouse/{name}: should have a number of its own"
        for name in names
        if not re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) or numbers.count(name[:4]) > 1
    ]
