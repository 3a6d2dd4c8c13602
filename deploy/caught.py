"""How much fraud was caught, slice by slice of the run: what was decided, beside what was true."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.audit import Decided
from deploy.read_back import each_record
from deploy.system import System
from schemas.codec import DecodeFailure, decode
from schemas.label import Label
from schemas.topics import LABELS

SLICES = 6

Identity = tuple[str | None, str]


def truth_told(path: Path) -> dict[Identity, bool]:
    """Return who is a fraud by the simulation's own word: also those that nobody ever reports."""
    if not path.exists():  # it was stopped before it began
        return {}
    truths = map(json.loads, path.read_text().splitlines())
    return {(truth["card"], truth["transaction_id"]): truth["fraud"] for truth in truths}


def truth_labelled(system: System) -> dict[Identity, bool]:
    """Return who is a fraud by the labels that were published."""
    return {(label.card, label.transaction_id): label.verdict == "fraud" for label in _labels(system)}


def _labels(system: System) -> Iterator[Label]:
    for message in each_record(system.settings, system.settings.topic_prefix + LABELS.name):
        label = decode(Label, message.value())
        if not isinstance(label, DecodeFailure):
            yield label


def caught_by_slice(decided: Mapping[Identity, Decided], truth: Mapping[Identity, bool]) -> list[dict[str, Any]]:
    """Return, for equal slices of event time, how much fraud was acted on, and how many honest payments were.

    >>> decided = {("card_a", "tx-1"): Decided(0, "approve", "rules_only", None),
    ...            ("card_b", "tx-2"): Decided(60_000, "block", "normal", 0.9)}
    >>> slices = caught_by_slice(decided, {("card_a", "tx-1"): True, ("card_b", "tx-2"): True})
    >>> [(each["from_s"], each["frauds"], each["caught"]) for each in slices if each["frauds"]]
    [(0, 1, 0), (50, 1, 1)]
    """
    times_ms = [each.event_time_ms for each in decided.values()]
    if not times_ms:
        return []
    start_ms = min(times_ms)
    length_ms = max(1, (max(times_ms) - start_ms) / SLICES)
    counts: list[defaultdict[str, int]] = [defaultdict(int) for _ in range(SLICES)]
    for identity, decision in decided.items():
        if identity not in truth:
            continue
        count = counts[min(SLICES - 1, int((decision.event_time_ms - start_ms) / length_ms))]
        acted = decision.action != "approve"
        count["payments"] += 1
        count["by_model"] += decision.mode == "normal"
        count["frauds"] += truth[identity]
        count["caught"] += truth[identity] and acted
        count["false_alarms"] += acted and not truth[identity]
    return [
        {
            "from_s": round(number * length_ms / 1000),
            "to_s": round((number + 1) * length_ms / 1000),
            **{name: count[name] for name in ("payments", "by_model", "frauds", "caught", "false_alarms")},
            "caught_share": _share(count["caught"], count["frauds"]),
            "false_alarm_share": _share(count["false_alarms"], count["payments"] - count["frauds"]),
        }
        for number, count in enumerate(counts)
    ]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
