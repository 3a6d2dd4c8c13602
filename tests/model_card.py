"""The figures of the model card: `python -m tests.model_card FILE` takes what `tests.bench evaluate --json` printed."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CARD = Path(__file__).resolve().parent.parent / "streams" / "MODEL_CARD.md"
KEPT = Path(__file__).resolve().parent / "model_card.json"
BEGIN, END = "<!-- figures -->\n", "<!-- end -->\n"
TOLD = {
    "ap": "average precision",
    "auc": "AUC",
    "cp100": "card precision at 100 a day",
    "cp100_ceiling": "the most that is possible of it",
    "recall_decile": "frauds among the tenth with the highest scores",
    "value_recall100": "of the money of fraud, in 100 cards a day",
    "log_loss": "log loss",
    "calibration": "mean probability over the rate of fraud",
}
"""Figures that the card tells, in this order."""


def figures_of(evaluated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the card needs of an evaluation."""
    overall = evaluated["overall"]
    return {
        "from": evaluated["weeks"][0]["from"],
        "to": evaluated["weeks"][-1]["to"],
        "transactions": overall["transactions"],
        "frauds": overall["frauds"],
        "figures": {name: [overall[name], *overall["intervals"][name]] for name in TOLD},
        "ap_by_week": [week["ap"] for week in evaluated["weeks"]],
    }


def told(kept: Mapping[str, Any]) -> str:
    """Return the card's part with the figures."""
    figures = kept["figures"].items()
    rows = (f"| {TOLD[name]} | {value:.4f} | {low:.4f} to {high:.4f} |" for name, (value, low, high) in figures)
    counts = f"{kept['transactions']:,} payments of cards without a known fraud, {kept['frauds']:,} of them fraud"
    weeks = ", ".join(f"{each:.3f}" for each in kept["ap_by_week"])
    head = ("| figure | value | 95 % interval, by card |", "| --- | --- | --- |")
    lines = [
        f"{kept['from']} to {kept['to']}: {counts}.\n",
        *head,
        *rows,
        f"\nAverage precision week by week: {weeks}.",
    ]
    return "\n".join(lines) + "\n"


def with_figures(card: str, kept: Mapping[str, Any]) -> str:
    """Return the card with these figures in place of those that it has."""
    before, _, rest = card.partition(BEGIN)
    return before + BEGIN + told(kept) + END + rest.partition(END)[2]


if __name__ == "__main__":
    kept = figures_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8").strip().splitlines()[-1]))
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    CARD.write_text(with_figures(CARD.read_text(encoding="utf-8"), kept), encoding="utf-8")
