"""What poisoned labels cost in average precision, with the guard of the training log and without it.

The payments are passed once, with true labels, and kept with their labels; then they are learned again and again in the
same order: as they are, and with the labels of each attack. So what is measured is learning alone; features that count
known frauds are told the truth.
"""

import gc
import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from producers.aftermath import Reporting
from producers.world import World
from producers.world import cases as simulated_cases
from schemas.fields import DAY_MS
from schemas.label import Label
from schemas.recordings.stream import Case, Stream
from schemas.sampling import weight_of
from schemas.transaction import Transaction
from streams.detector.backtest import Backtest
from streams.detector.encode import AnyCells
from streams.detector.guard import Witness
from streams.detector.learner import Learner
from streams.detector.scorer import Scorer
from streams.documents import shipped_rates
from streams.evaluate import day_of
from streams.file_to_quality import WARM_UP_DAYS, is_fraud
from streams.quality.figures import rounded
from streams.quality.ranking import average_precision
from tests.bench.passed import SETTINGS, recorded

TEST_TO = date(2018, 6, 9)
DELAY_DAYS = 7
ATTACK_DAY = 21
"""Days after the first payment from which on payments are lied about: their labels come a week later."""
CARDS_ONE_IN = 10
KEPT_ONE_IN = SETTINGS["legitimate_kept_one_in"].default
SNAPSHOT_RECORDS = SETTINGS["snapshot_records"].default
COST_MAX = 0.002
"""In average precision, where nobody attacks."""
LOSS_SHARE_MAX = 0.5
"""Of the loss without the guard, what may be left with it."""
CUSTOMERS_SHARE = 0.3
"""Of payments of which the customer speaks, and nobody who ranks higher."""
FLIPPED = 0.05
BOUGHT_ONE_IN, COPIES = 20, 12
RIVALS_ONE_IN, BURST_DAYS = 10, 21


class Moment(NamedTuple):
    """A payment that was scored, or a label that was learned (`label`): what happened, in order."""

    transaction_id: str
    cells: AnyCells
    fraud: bool
    day: int
    label: Label | None = None


Attack = Callable[[Moment, Label, int], Iterable[Label]]
"""Moment, its label and the days since the attack began -> the labels that are learned instead of it."""


def drawn(what: str, label: Label | Transaction) -> float:
    """Return a number from 0 to 1 that depends on the payment alone."""
    named = f"{what} {label.card} {label.transaction_id}".encode()
    return float(int.from_bytes(hashlib.blake2b(named, digest_size=8).digest()) / 2.0**64)


def chosen(what: str, merchant: str, one_in: int) -> bool:
    """Return whether a merchant is one of those that an attack is about."""
    return int.from_bytes(hashlib.blake2b(f"{what} {merchant}".encode(), digest_size=8).digest()) % one_in == 0


def saying(label: Label, verdict: str, **changes: object) -> Label:
    """Return a label of the same payment in which a customer says something."""
    return label.model_copy(update={"source": "customer", "verdict": verdict, "fraud_type": None, **changes})


def flip(_: Moment, label: Label, _days: int) -> Iterable[Label]:
    """Of what customers say a share is the opposite of what is true."""
    lies = label.source == "customer" and drawn("flip", label) < FLIPPED
    yield saying(label, "legitimate" if label.verdict == "fraud" else "fraud") if lies else label


def bought(moment: Moment, label: Label, _days: int) -> Iterable[Label]:
    """Customers call the frauds at some merchants legitimate, and speak of many fake payments that are made there."""
    if not chosen("bought", label.merchant, BOUGHT_ONE_IN):
        yield label
        return
    yield saying(label, "legitimate") if moment.fraud else label
    for number in range(COPIES):
        yield saying(label, "legitimate", transaction_id=f"fake-{number}-{label.transaction_id}"[:64])


def rival(moment: Moment, label: Label, days: int) -> Iterable[Label]:
    """For three weeks customers call the honest payments at some merchants fraud."""
    lies = days < BURST_DAYS and not moment.fraud and chosen("rival", label.merchant, RIVALS_ONE_IN)
    yield saying(label, "fraud") if lies else label


ATTACKS: Mapping[str, Attack] = {"flipped_labels": flip, "bought_merchants": bought, "burst_on_rivals": rival}


def moments(cases: Iterable[Case]) -> list[Moment]:
    """Pass cases through the detector, and keep what was met in order."""
    backtest = Backtest(shipped_rates(), kept_one_in=1, snapshot_records=1)
    fates, kept = dict[str, tuple[bool, int]](), list[Moment]()

    def noted() -> Iterator[Case]:
        for case in cases:
            fates[case.transaction.transaction_id] = is_fraud(case), case.transaction.event_time_ms // DAY_MS
            yield case._replace(labels=case.labels[-1:])

    for _, event in Stream(noted()):
        if isinstance(event, Transaction) and (features := backtest.features(event)) is not None:
            cells = backtest.predict(features).cells
            backtest.keep(event, cells)
            kept.append(Moment(event.transaction_id, cells, *fates[event.transaction_id]))
        elif isinstance(event, Label) and (example := backtest.report(event)) is not None:
            kept.append(Moment(event.transaction_id, example.cells, *fates[event.transaction_id], label=event))
    return kept


class Arm:
    """A learner that is told labels, guarded or not, and what decides of what it has learned."""

    def __init__(self, *, guarded: bool, snapshot_records: int) -> None:
        self.learner = Learner()
        self.scorer: Scorer | None = None
        self.refused = 0
        self._guarded = guarded
        self._snapshot_records = snapshot_records

    def learn(self, label: Label, cells: AnyCells) -> None:
        """Learn a label, if it is one of those that are kept."""
        if (weight := weight_of(label, KEPT_ONE_IN)) is None:
            return
        fraud = label.verdict == "fraud"
        if self._guarded:
            witness = Witness(label.transaction_id, label.card, label.merchant, label.source, fraud)
            self.learner.learn_told(witness, cells, weight)
        else:
            self.learner.learn_cells(cells, is_fraud=fraud, weight=weight)
        if self.learner.records % self._snapshot_records == 0:
            candidate = self.learner.scorer()
            if self._guarded and self.learner.guard.worse(candidate):
                self.refused += 1
            else:
                self.scorer = candidate


def scored(kept: Sequence[Moment], attack: Attack | None, arm: Arm, attack_day: int, test_day: int) -> float:
    """Return the average precision from a day on of what an arm learns, from the attack's day on told its labels."""
    scores, frauds = array("d"), array("b")
    for moment in kept:
        if moment.label is None:
            if moment.day >= test_day:
                scores.append(arm.scorer.log_odds(moment.cells) if arm.scorer else 0.0)
                frauds.append(moment.fraud)
            continue
        label = moment.label
        if drawn("told", label) < CUSTOMERS_SHARE:
            label = saying(label, label.verdict)
        lies = attack(moment, label, moment.day - attack_day) if attack and moment.day >= attack_day else (label,)
        for each in lies:
            arm.learn(each, moment.cells)
    return average_precision(np.array(scores, np.float64), np.array(frauds, np.bool_))


def run(recording: Path | None, *, mapping: str = "handbook", test_to: date | None = None) -> dict[str, Any]:
    """Compare on a tenth of the cards of a recording, or where there is none on simulated payments."""
    gc.disable()  # millions of small objects live to the end
    try:
        if recording is None:
            return compared(moments(simulated()), snapshot_records=SNAPSHOT_RECORDS)
        whole = recorded(recording, mapping, DELAY_DAYS, day_of(test_to) if test_to else None)
        kept = moments(case for case in whole if chosen("card", case.transaction.card, CARDS_ONE_IN))
        return compared(kept, snapshot_records=SNAPSHOT_RECORDS)
    finally:
        gc.enable()


def simulated(days: int = 70, rate: float = 0.012) -> Iterator[Case]:
    """Give ten weeks of the simulated world, every label of it."""
    start_ms = day_of(date(2018, 4, 1)) * DAY_MS
    reporting = Reporting(label_delay_ms=DELAY_DAYS * DAY_MS, legitimate_one_in=1, outcomes=False)
    world = World(seed=1, start_ms=start_ms, rate=rate, shoppers=1_000, merchants=400, reporting=reporting)
    return takewhile(lambda case: case.transaction.event_time_ms < start_ms + days * DAY_MS, simulated_cases(world))


def compared(
    kept: Sequence[Moment],
    *,
    snapshot_records: int,
    attack_day: int = ATTACK_DAY,
    test_day: int = WARM_UP_DAYS,
    attacks: Mapping[str, Attack] = ATTACKS,
) -> dict[str, Any]:
    """Return what each attack costs, guarded and not, beside learning without an attack; days since the first."""
    first = kept[0].day
    days = {"attack_day": first + attack_day, "test_day": first + test_day}

    def learned(attack: Attack | None, *, guarded: bool) -> tuple[float, Arm]:
        arm = Arm(guarded=guarded, snapshot_records=snapshot_records)
        return scored(kept, attack, arm, **days), arm

    plain, _ = learned(None, guarded=False)
    guarded, quiet = learned(None, guarded=True)
    rows, hold = {}, True
    for name, attack in attacks.items():
        open_, _ = learned(attack, guarded=False)
        held, arm = learned(attack, guarded=True)
        hold = hold and plain - held <= max(LOSS_SHARE_MAX * (plain - open_), 0.0)
        rows[name] = {
            "ap_without_guard": rounded(open_),
            "ap_with_guard": rounded(held),
            "loss_without_guard": rounded(plain - open_),
            "loss_with_guard": rounded(plain - held),
            "quarantined": arm.learner.guard.quarantined,
            "snapshots_refused": arm.refused,
        }
    cost = plain - guarded
    return {
        "payments": sum(moment.label is None for moment in kept),
        "ap": rounded(plain),
        "ap_with_guard": rounded(guarded),
        "cost": rounded(cost),
        "quarantined": quiet.learner.guard.quarantined,
        "snapshots_refused": quiet.refused,
        "attacks": rows,
        "bounds": {"cost_max": COST_MAX, "loss_share_max": LOSS_SHARE_MAX},
        "holds": bool(cost <= COST_MAX and hold),
    }
