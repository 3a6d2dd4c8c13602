"""Drift, growth, gate and promotion with nobody there: a champion that stands still, and challengers in its shadow."""

from array import array
from collections.abc import Iterator
from itertools import count, takewhile
from typing import Any

import numpy as np

from producers.aftermath import Reporting
from producers.world import World
from producers.world import cases as simulated_cases
from schemas.fields import DAY_MS, Features
from schemas.label import Label
from schemas.learning import ModelVersion
from schemas.recordings.stream import Case, Stream
from schemas.registry import Control
from schemas.topics import ALIASES, CONTROLS, MODELS
from schemas.transaction import Transaction
from streams.detector.admission import CHAMPION, Admission
from streams.detector.backtest import Backtest
from streams.detector.challengers import OfOurKind
from streams.detector.following import Document, Following
from streams.detector.learner import GROWTH, Kind
from streams.detector.payment import AMOUNT
from streams.detector.registry import Registry
from streams.detector.scorer import Scorer
from streams.detector.stage import Record
from streams.documents import shipped_policy, shipped_rates
from streams.file_to_quality import NEVER, is_fraud
from streams.models.labelled import SEGMENTS
from streams.quality.figures import Scored, rounded
from streams.quality.gate import Rows, Verdict, judge
from streams.quality.ranking import Flags, Ranking, average_precision
from streams.quality.resampling import compared
from tests.bench.adaptation import planted
from tests.bench.quality import baselines, models, worth
from tests.signed import TRUSTED, record_of

FIRST_DAY, ONSET_DAY, DAYS = 18_000, 14, 28
PAYMENTS_A_DAY = 1_500
DELAY_DAYS = 1
LOOKED_BACK_DAYS = 6
SNAPSHOT_RECORDS = 250
KINDS = {"mixture": Kind("mixture"), "mixed-up": Kind("mixed-up", grows=False, share_of_leaves=0.0)}
"""The champion's twin, which learns on; and a rebuild that learns each label with another payment."""
KEPT = tuple(dict.fromkeys((*SEGMENTS, *(rule.feature for rule in shipped_policy().rules))))


class _Governed:
    """The registry and a decider that follows it, with every record between them signed and checked."""

    def __init__(self) -> None:
        self.models: list[Record] = []
        self.scorer: Scorer | None = None
        self.alerts = 0
        self._commands = count()
        self._registry = Registry(Admission(TRUSTED), lambda at: self.models[at] if at < len(self.models) else None)
        self._following = Following(Admission(TRUSTED), self._put, self._alert, self._find)
        self._following.settle()

    def _put(self, document: Document) -> None:
        assert isinstance(document, Scorer)
        self.scorer = document

    def _alert(self, _alert: object) -> None:
        self.alerts += 1

    def _find(self, version: str, _offset: int | None) -> Iterator[Record]:
        return (record for record in self.models if record.key == version.encode())

    def command(self, kind: str, arguments: dict[str, str]) -> str:
        """Have a signed command carried out and followed; return what became of it."""
        at = next(self._commands)
        said = {"control_id": f"c-{at}", "author": "operator", "kind": kind, "arguments": arguments}
        control = Control.model_validate({**said, "issued_at_ms": FIRST_DAY * DAY_MS + at})
        done = self._registry.carry_out(record_of(CONTROLS, at, control.control_id, control))
        self._following.take(record_of(ALIASES, at, CHAMPION, done.alias))
        return done.audit.outcome

    def promote(self, model: ModelVersion) -> str:
        """Leave a snapshot as the shadow does, and have it put in force."""
        record = record_of(MODELS, len(self.models), model.version, model)
        self.models.append(record)
        self._following.take(record)
        return self.command("promote", {"version": model.version, "model_offset": str(record.offset)})


class _Payments:
    """Every payment that was decided, in order; told of by what names it when its label comes."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, str], int] = {}
        self.cards: dict[str, int] = {}
        self.scores = {name: array("d") for name in ("champion", "still", *KINDS)}
        self.days, self.card, self.told = array("q"), array("q"), array("b")
        self.frauds, self.amounts, self.columns = array("b"), array("d"), array("d")
        self.told_ms = array("q")

    def add(self, payment: Transaction, features: Features, scores: dict[str, float], *, fraud: bool) -> None:
        self.places[payment.card, payment.transaction_id] = len(self.days)
        for name, score in scores.items():
            self.scores[name].append(score)
        self.days.append(payment.event_time_ms // DAY_MS - FIRST_DAY)
        self.card.append(self.cards.setdefault(payment.card, len(self.cards)))
        self.frauds.append(fraud)
        self.amounts.append(features.get(AMOUNT, np.nan))
        self.columns.extend([features.get(name, np.nan) for name in KEPT])
        self.told.append(-1)
        self.told_ms.append(NEVER)

    def label(self, label: Label, *, fraud: bool) -> None:
        at = self.places[label.card, label.transaction_id]
        self.told[at], self.told_ms[at] = fraud, label.reported_at_ms

    def table(self) -> dict[str, Any]:
        return dict(zip(KEPT, np.array(self.columns, np.float64).reshape(-1, len(KEPT)).T, strict=True))

    def rows(self, challenger: str, today: int) -> Rows:
        """Return what the gate sees at a midnight: payments of the last days whose label has come."""
        told, days = np.array(self.told), np.array(self.days)
        at = (told >= 0) & (days >= today - LOOKED_BACK_DAYS)
        columns = self.table()
        return Rows(
            frauds=told[at] == 1,
            cards=np.array(self.card, np.int64)[at],
            weights=np.ones(int(at.sum())),
            champion=np.array(self.scores["champion"])[at],
            challenger=np.array(self.scores[challenger])[at],
            rules=np.zeros(int(at.sum())),
            columns={name: columns[name][at] for name in SEGMENTS},
            score_us=np.zeros(int(at.sum())),
            learn_us=0.0,
        )


class _Run:
    """The days one after the other: decide, score in the shadow, learn, and judge at midnight."""

    def __init__(self) -> None:
        self.backtest = Backtest(shipped_rates(), kept_one_in=1, snapshot_records=SNAPSHOT_RECORDS)
        self.challengers = {name: OfOurKind(kind, SNAPSHOT_RECORDS) for name, kind in KINDS.items()}
        self.governed, self.payments = _Governed(), _Payments()
        self.still: Scorer | None = None
        self.nights: list[dict[str, Any]] = []
        self.promoted_on: int | None = None
        self.grown: dict[int, int] = {}
        self._before: bool | None = None

    def decide(self, payment: Transaction, *, fraud: bool) -> None:
        features = self.backtest.features(payment)
        if features is None:
            return
        predicted = self.backtest.predict(features)
        self.backtest.keep(payment, predicted.cells)
        scores = {name: each.log_odds(predicted.cells) for name, each in self.challengers.items()}
        follows = scores["mixture"]
        scores["champion"] = self.governed.scorer.log_odds(predicted.cells) if self.governed.scorer else follows
        scores["still"] = self.still.log_odds(predicted.cells) if self.still else follows
        self.payments.add(payment, features, scores, fraud=fraud)

    def learn(self, label: Label) -> None:
        example = self.backtest.report(label)
        if example is None:
            return
        self.payments.label(label, fraud=example.witness.is_fraud)
        told = {"mixture": example.witness.is_fraud, "mixed-up": bool(self._before)}
        for name, challenger in self.challengers.items():
            challenger.learn(example.cells, is_fraud=told[name], weight=example.weight)
        self._before = example.witness.is_fraud

    def midnight(self, today: int) -> None:
        model = self.challengers["mixture"].snapshot(0)
        self.grown.setdefault(model.state["grown_at_records"], today)
        if today == ONSET_DAY:
            self.governed.promote(model)
            self.still = self.governed.scorer
        if today <= ONSET_DAY:
            return
        for name in KINDS:
            verdict = judge(self.payments.rows(name, today))
            self.nights.append(_night(today, name, verdict))
            self.governed.command("gate", {"challenger": name, "verdict": "passed" if verdict.passes else "refused"})
            if verdict.passes and self.promoted_on is None:
                self.promoted_on = today
                self.nights[-1]["promotion"] = self.governed.promote(self.challengers[name].snapshot(0))


def _night(today: int, name: str, verdict: Verdict) -> dict[str, Any]:
    said = verdict.figures.get("ap_difference_interval")
    return {
        "day": today,
        "challenger": name,
        "passes": verdict.passes,
        "ap_difference_interval": [*map(rounded, said)] if said else None,
        "reasons": list(verdict.reasons),
    }


def run(payments_a_day: int = PAYMENTS_A_DAY) -> dict[str, Any]:
    """Let the days pass, and tell what happened."""
    world = World(
        seed=11,
        start_ms=FIRST_DAY * DAY_MS,
        rate=payments_a_day / 86_400,
        shoppers=max(100, payments_a_day // 2),
        merchants=max(30, payments_a_day // 15),
        fraud_rate=0.03,
        reporting=Reporting(label_delay_ms=DELAY_DAYS * DAY_MS, legitimate_one_in=1, outcomes=False),
    )
    turned: set[str] = set()
    going, frauds = _Run(), dict[tuple[str, str], bool]()

    def noted() -> Iterator[Case]:
        end_ms = (FIRST_DAY + DAYS) * DAY_MS
        in_time = takewhile(lambda case: case.transaction.event_time_ms < end_ms, simulated_cases(world))
        for case in planted(in_time, FIRST_DAY + ONSET_DAY, turned):
            frauds[case.transaction.card, case.transaction.transaction_id] = is_fraud(case)
            yield case

    today = 0
    for at_ms, event in Stream(noted()):
        while at_ms // DAY_MS - FIRST_DAY > today:
            today += 1
            going.midnight(today)
        if isinstance(event, Transaction):
            going.decide(event, fraud=frauds.pop((event.card, event.transaction_id)))
        elif isinstance(event, Label):
            going.learn(event)
    return told(going, len(turned))


def told(going: _Run, turned: int) -> dict[str, Any]:
    """Return the figures, bounds, and whether they hold."""
    payments = going.payments
    scored = _scored(payments)
    tested = scored.days >= FIRST_DAY + ONSET_DAY
    promoted_on = going.promoted_on if going.promoted_on is not None else DAYS
    after = scored.days >= FIRST_DAY + promoted_on
    table = worth({**baselines(scored, FIRST_DAY + ONSET_DAY), **models(scored, champion=scored)}, scored, tested)
    champion = table.pop("champion")
    early = {
        records: day
        for last, (records, day) in zip(going.grown, [*going.grown.items()][1:], strict=False)
        if day > ONSET_DAY and records - last < GROWTH * last
    }
    bad = [night for night in going.nights if night["challenger"] == "mixed-up"]
    laws = {
        "trees_grown_before_their_schedule": bool(early),
        "promoted_by_the_gate": going.promoted_on is not None,
        "better_since": _gain(payments, after)["interval"][0] > 0 if after.any() else False,
        "bad_rebuild_refused": bool(bad) and not any(night["passes"] for night in bad),
        "above_baselines_in_ap": all(champion["ap"] > each["ap"] for each in table.values()),
        "above_baselines_in_money": all(champion["saved_minor"] > each["saved_minor"] for each in table.values()),
        "no_alert": not going.governed.alerts,
    }
    return {
        "payments": len(payments.days),
        "planted": turned,
        "days_from_onset_to_promotion": promoted_on - ONSET_DAY if laws["promoted_by_the_gate"] else None,
        "grown_at_records_by_day": {day: records for records, day in going.grown.items()},
        "grown_early_on_days": [*early.values()],
        "ap_since_promotion": _gain(payments, after) if after.any() else None,
        "champion": champion,
        "baselines": table,
        "nights": going.nights,
        "laws": laws,
        "bounds": dict.fromkeys(laws, True),
        "holds": all(laws.values()),
    }


def _gain(payments: _Payments, after: Flags) -> dict[str, Any]:
    """Return the champion's average precision beside that of the one that stood still, since the promotion."""
    frauds = np.array(payments.frauds, np.bool_)[after]
    ours, still = (np.array(payments.scores[name])[after] for name in ("champion", "still"))
    found = compared(Ranking(ours, frauds), Ranking(still, frauds), np.array(payments.card, np.int64)[after])
    return {
        "champion": rounded(average_precision(ours, frauds)),
        "standing_still": rounded(average_precision(still, frauds)),
        "interval": [round(end, 4) for end in found.difference_interval],
    }


def _scored(payments: _Payments) -> Scored:
    return Scored(
        np.array(payments.scores["champion"]),
        np.array(payments.frauds, np.bool_),
        np.array(payments.card, np.int64),
        np.array(payments.days, np.int64) + FIRST_DAY,
        np.array(payments.amounts),
        payments.table(),
        told=np.array(payments.told) == 1,
        told_ms=np.array(payments.told_ms, np.int64),
    )
