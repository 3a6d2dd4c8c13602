"""Which way imports point: rooms meet only in schemas/, and the detector knows nothing of the world."""

from tests.house.tree import ROOMS, Tree, imports, is_in, modules

OURS = (*ROOMS, "schemas", "deploy", "tests")

# What the detector may import of the standard library: modules that compute, and no more.
PURE_STANDARD_MODULES = frozenset(
    [
        "__future__",
        "abc",
        "array",
        "base64",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "decimal",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "re",
        "statistics",
        "string",
        "struct",
        "types",
        "typing",
        "unicodedata",
        "zlib",
    ]
)

PURE_LIBRARIES = ("iso4217", "numpy", "river", "xgboost")
"""What else the detector may import: the currencies' decimals, and the learner's arithmetic."""


def rooms_never_import_one_another(tree: Tree) -> list[str]:
    """A room imports itself and schemas, by full names; schemas imports itself. Only deploy and tests see all."""
    found = []
    for path, source in modules(tree, *ROOMS, "schemas"):
        room = path.split("/", maxsplit=1)[0]
        found += [
            f"{path}:{line}: imports {name}"
            for line, name in imports(source)
            if name.startswith(".") or (name.split(".")[0] in OURS and name.split(".")[0] not in {room, "schemas"})
        ]
    return found


def the_detector_imports_nothing_of_the_world(tree: Tree) -> list[str]:
    """The detector imports pure modules of the standard library, messages, and itself."""
    return [
        f"{path}:{line}: imports {name}"
        for path, source in modules(tree, "streams")
        if path.startswith("streams/detector/")
        for line, name in imports(source)
        if not (is_in(name, ("streams.detector", *PURE_STANDARD_MODULES, *PURE_LIBRARIES)) or _is_message(name))
    ]


def _is_message(name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "schemas" and len(parts) > 1 and parts[1] != "settings" and "_to_" not in parts[1]
