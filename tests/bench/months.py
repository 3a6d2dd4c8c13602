"""Months of a recording through the demo flat out: what was decided ranks fraud as well as the evaluation says."""

import json
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deploy.read_back import each_record
from deploy.system import System
from schemas.fields import DAY_MS
from schemas.recordings.file_to_rows import read_frames, read_mapping
from schemas.recordings.recording import cases
from schemas.recordings.stream import Case
from schemas.topics import DECISIONS
from streams.file_to_quality import WARM_UP_DAYS
from streams.quality.figures import Scored, figures_of
from streams.quality.probability import log_odds_of
from streams.quality.ranking import Array
from tests.bench.evaluate import BOUNDS, evaluation, holds
from tests.bench.replay import run_demo

AP_DIFFERENCE_MAX = 0.01
DELAY_DAYS = 7
LEAST = 1e-9
"""A decision's probability has nine decimals."""
PARTITIONS = 1
"""As the demo has flat out with one worker."""

Names = npt.NDArray[np.uint64]
"""A payment's identity as 64 bits: a million of them fit in 8 MB, and two that share them are not to be expected."""


class Recorded(NamedTuple):
    """The payments of a recording in its order, each identity once: names, and what is known of them but the score."""

    names: Names
    truth: Scored


class Decided(NamedTuple):
    """Answers in the order of the topic; the probability is 0 where no model was asked."""

    names: Names
    probabilities: Array
    modes: Counter[str]


def run(
    recording: Path, *, mapping: str = "handbook", test_from: date | None = None, test_to: date | None = None
) -> dict[str, Any]:
    """Evaluate, replay through the whole system, and compare what both say of fraud in the days tested."""
    evaluated = evaluation(recording, mapping=mapping, test_from=test_from, test_to=test_to)
    data_dir = Path(tempfile.mkdtemp(prefix="fraud-months-"))
    try:
        arguments = ["--input", str(recording), "--mapping", mapping, "--flat-out", "--partitions", str(PARTITIONS)]
        demo = run_demo([*arguments, "--data", str(data_dir)])
        with System(data_dir, workers=0, partitions=PARTITIONS) as system:
            topic = system.settings.topic_prefix + DECISIONS.name
            decided = answers(message.value() for message in each_record(system.settings, topic))
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    columns = read_mapping(mapping)
    recorded = truth_of(cases(read_frames(recording, columns), columns, DELAY_DAYS * DAY_MS))
    missing, repeated, scored = joined(recorded, decided)
    days = scored.days
    figures = figures_of(
        scored,
        first_day=_day(test_from) if test_from else int(days[0]) + WARM_UP_DAYS,
        last_day=_day(test_to) if test_to else int(days[-1]),
        delay_days=DELAY_DAYS,
    )
    difference = abs((figures["overall"]["ap"] or 0.0) - (evaluated["overall"]["ap"] or 0.0))
    return {
        "evaluated": evaluated,
        "decided": figures["overall"],
        "decided_with_known_cards": figures["overall_with_known_cards"],
        "ap_difference": round(difference, 4),
        "decisions_missing": missing,
        "decisions_repeated": repeated,
        "modes": dict(sorted(decided.modes.items())),
        "demo_seconds": demo.get("seconds"),
        "demo": demo,
        "bounds": {
            **BOUNDS,
            "ap_difference_max": AP_DIFFERENCE_MAX,
            "decisions_missing": 0,
            "decisions_repeated": 0,
            "demo_exit_status": 0,
        },
        "holds": holds(evaluated)
        and difference <= AP_DIFFERENCE_MAX
        and not (missing or repeated or demo["exit_status"]),
    }


def answers(values: Iterable[bytes]) -> Decided:
    """Return the answers of a topic of decisions.

    >>> said = {"transaction_id": "tx-1", "card": "card_a", "action": "approve", "mode": "normal", "probability": 0.25}
    >>> decided = answers([json.dumps(said).encode(), b'{"transaction_id": "tx-2", "action": "invalid"}'])
    >>> decided.probabilities.tolist(), dict(decided.modes)
    ([0.25], {'normal': 1})
    """
    names, probabilities = array("Q"), array("d")
    modes: Counter[str] = Counter()
    for value in values:
        decision = json.loads(value)
        if decision["action"] != "invalid":
            names.append(_name(decision.get("card", ""), decision["transaction_id"]))
            probabilities.append(decision.get("probability") or 0.0)
            modes[decision["mode"]] += 1
    return Decided(np.array(names, np.uint64), np.array(probabilities, np.float64), modes)


def truth_of(recorded: Iterable[Case]) -> Recorded:
    """Return what a recording in one currency says of each payment. One that nothing is said of counts as honest."""
    names, frauds, cards, days, amounts = array("Q"), array("b"), array("q"), array("q"), array("d")
    numbers: dict[str, int] = {}
    for case in recorded:
        payment = case.transaction
        names.append(_name(payment.card, payment.transaction_id))
        frauds.append(bool(case.labels) and case.labels[-1].verdict == "fraud")
        cards.append(numbers.setdefault(payment.card, len(numbers)))
        days.append(payment.event_time_ms // DAY_MS)
        amounts.append(payment.amount_minor)
    all_names = np.array(names, np.uint64)
    first = np.sort(np.unique(all_names, return_index=True)[1])
    truth = Scored(
        np.zeros(len(first)),
        np.array(frauds, np.bool_)[first],
        np.array(cards, np.int64)[first],
        np.array(days, np.int64)[first],
        np.array(amounts, np.float64)[first],
    )
    return Recorded(all_names[first], truth)


def joined(recorded: Recorded, decided: Decided) -> tuple[int, int, Scored]:
    """Return how many payments have no answer, how many answers are second ones or of nothing, and all with scores.

    >>> cards, days = np.array([0, 1, 0]), np.array([7, 7, 8])
    >>> truth = Scored(np.zeros(3), np.array([True, False, False]), cards, days, amounts=np.ones(3))
    >>> recorded = Recorded(np.array([11, 5, 8], np.uint64), truth)
    >>> decided = Decided(np.array([5, 11, 5], np.uint64), np.array([0.1, 0.9, 0.2]), Counter())
    >>> missing, repeated, scored = joined(recorded, decided)
    >>> missing, repeated, scored.scores.round(1).tolist(), scored.frauds.tolist()
    (1, 1, [2.2, -2.2, -20.7], [True, False, False])
    """
    names, first = np.unique(decided.names, return_index=True)
    probabilities = decided.probabilities[first]
    answered = np.isin(recorded.names, names)
    told = np.zeros(len(recorded.names))
    told[answered] = probabilities[np.searchsorted(names, recorded.names[answered])]
    superfluous = len(decided.names) - int(answered.sum())
    truth = recorded.truth
    return int((~answered).sum()), superfluous, replace(truth, scores=log_odds_of(told, LEAST))


def _name(card: str, transaction_id: str) -> int:
    return int.from_bytes(blake2b(f"{card} {transaction_id}".encode(), digest_size=8).digest())


def _day(day: date) -> int:
    return (day - date(1970, 1, 1)).days
