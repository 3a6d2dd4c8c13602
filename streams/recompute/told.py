"""What a recomputation found, as figures and as lines for people. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from streams.recompute.compare import Found


def figures_of(found: Found, *, code_here: str, libraries_here: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures: counts by topic, who made what was compared, and the first differences.

    >>> figures_of(Found(), code_here="abc", libraries_here={})["equal"]
    True
    """
    topics = sorted({*found.equal, *(topic for topic, _ in found.wrong)})
    figures: dict[str, Any] = {
        "equal": found.holds,
        "compared": {
            topic: {"equal": found.equal[topic]}
            | {kind: number for (of, kind), number in sorted(found.wrong.items()) if of == topic}
            for topic in topics
        },
        "decisions_changed": len(found.decisions),
        "code": {"here": code_here, "decided": dict(sorted(found.code.items()))},
        "libraries": {
            "here": dict(libraries_here),
            "learned": {f"{name} {version}": number for (name, version), number in sorted(found.libraries.items())},
        },
        "fields": dict(found.fields.most_common(20)),
        "notes": [*found.notes, *_suspects(found, code_here)],
        "differences": [difference.as_dict() for difference in found.differences],
    }
    return figures | ({"records": found.kept} if found.kept else {})


def _suspects(found: Found, code_here: str) -> list[str]:
    """Name other code that decided; where nothing differs it says as much as this code does."""
    others = {version: number for version, number in found.code.items() if version != code_here}
    if not others:
        return []
    named = ", ".join(f"{number:,} by {version}" for version, number in sorted(others.items()))
    came_to = "and this code says the same" if found.holds else "which may be why results differ"
    return [f"decided by other code than {code_here}: {named}; {came_to}"]


def told(figures: Mapping[str, Any]) -> str:
    """Return the figures as lines.

    >>> print(told({"equal": True, "compared": {"fraud.decisions.v1": {"equal": 3}}, "notes": [], "differences": []}))
    fraud.decisions.v1: 3 equal
    equal: every byte is the same
    """
    lines = [json.dumps(record, indent=2) for record in figures.get("records", ())]
    lines += [
        f"{topic}: " + ", ".join(f"{number:,} {kind}" for kind, number in counts.items())
        for topic, counts in figures["compared"].items()
    ]
    lines += figures["notes"]
    lines += [_line(difference) for difference in figures["differences"]]
    if figures["equal"]:
        return "\n".join([*lines, "equal: every byte is the same"])
    return "\n".join([*lines, f"different: {figures['decisions_changed']:,} decisions"])


_KINDS = {
    "differs": "comes out differently",
    "missing": "is not in the log",
    "extra": "is in the log, and nothing leads to it",
}


def _line(difference: Mapping[str, Any]) -> str:
    named = [difference["topic"], difference.get("place"), difference.get("card"), difference.get("transaction_id")]
    fields = "".join(
        f"; {path}: {both['decided']} then, {both['recomputed']} now"
        for path, both in list(difference["fields"].items())[:4]
    )
    return f"{' '.join(filter(None, named))} {_KINDS[difference['kind']]}{fields}"
