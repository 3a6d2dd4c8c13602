"""A store that was never filled: what the monitors' queries would give, drawn by the hour, with a change or without.

Payments differ by hour, by weekday and from day to day, and frauds come in campaigns: alarms must bear all that.
Samples are drawn anew at each look, so that looks are less alike than those of a real store, and err more often. Of
what is looked at each minute an hour shows its worst.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.monitors import queries
from consumers.monitors.finding import Columns
from schemas.fields import DAY_MS, HOUR_MS

Floats = npt.NDArray[np.float64]
Change = Literal["feature", "mix", "broken_field", "fraud_pattern", "policy"]

START_MS = 1_514_764_800_000  # a Monday
PAYMENTS_AN_HOUR = 1_000.0
FEATURES, BINS = 16, 10
SEGMENTS: Mapping[str, tuple[float, ...]] = {
    "channel": (0.5, 0.35, 0.1, 0.05),
    "issuer_country": (0.7, 0.2, 0.07, 0.03),
    "merchant_country": (0.75, 0.15, 0.1),
    "entry_mode": (0.4, 0.3, 0.2, 0.1),
}
BROKEN, STUCK_BIN = 4, 5
STUCK_FROM, SEGMENT_FROM = 0.35, 0.7
"""A weak breakage is a feature that is often missing, one in the middle a feature stuck at a value, else a segment."""
ACTED = 0.012
FRAUDS_A_DAY, CAUGHT, CAUGHT_LOSS, MISSED_LOSS = 24.0, 0.6, 0.7, 4.0
LABELS_A_DAY = {"chargeback": 60.0, "issuer_report": 30.0, "analyst": 120.0, "assumed_legitimate": 6_000.0}
WEEKDAYS = {"chargeback": 5, "issuer_report": 7, "analyst": 6, "assumed_legitimate": 7}
"""On so many days of a week a source works; on the others a tenth of its labels come."""


class Planted(NamedTuple):
    """A change, the hour from which on it holds, and how strong it is, 0 to 1."""

    change: Change
    onset: int
    strength: float


class SimulatedStore:
    """So many hours of a store, from `START_MS` on; a look is at the end of an hour."""

    def __init__(self, hours: int, seed: int, planted: Planted | None = None) -> None:
        self.hours = hours
        self._chance = chance = np.random.default_rng(seed)
        self._planted = planted
        clock = np.arange(hours)
        day_noise = np.repeat(np.exp(chance.normal(0, 0.08, -(-hours // 24))), 24)[:hours]
        daily = 1 + 0.6 * np.sin(2 * np.pi * (clock % 24 - 9) / 24)
        weekly = np.where(clock // 24 % 7 >= 5, 0.8, 1.0)
        self.payments = chance.poisson(PAYMENTS_AN_HOUR * daily * weekly * day_noise)
        self._after = clock >= (planted.onset if planted else hours)
        self._features = self._drawn_features()
        self._score = self._drawn_score()
        self._segments = {name: self._drawn_segment(name) for name in SEGMENTS}
        self._decided = self._drawn_decisions()
        self._draw_frauds()
        self._labels = {source: self._drawn_labels(source) for source in LABELS_A_DAY}

    def _strength(self, *changes: Change) -> float:
        return self._planted.strength if self._planted and self._planted.change in changes else 0.0

    def _drifting(self, base: Floats) -> Floats:
        """Return shares by hour that wander from day to day and with the hour of the day."""
        days = -(-self.hours // 24)
        noise = np.repeat(np.exp(self._chance.normal(0, 0.04, (days, *base.shape))), 24, axis=0)[: self.hours]
        hour = 2 * np.pi * (np.arange(self.hours) % 24) / 24
        phase = self._chance.random(base.shape) * 2 * np.pi
        shares: Floats = base * noise * (1 + 0.08 * np.sin(hour.reshape(-1, *[1] * base.ndim) + phase))
        shares /= shares.sum(axis=-1, keepdims=True)
        return shares

    def _counts(self, shares: Floats) -> Floats:
        """Return the sums up to each hour of what falls into each bin."""
        rows = self.payments if shares.ndim == 2 else self.payments[:, None]
        counts = self._chance.multinomial(rows, shares)
        return np.concatenate([np.zeros((1, *counts.shape[1:])), np.cumsum(counts, axis=0)]).astype(np.float64)

    def _drawn_features(self) -> Floats:
        base = np.full((FEATURES, BINS + 1), 1.0)
        base[:, BINS] = np.where(np.arange(FEATURES) % 3 == 0, 1.0, 0.01)
        shares = self._drifting(base)
        tilt = np.exp(np.linspace(-1, 1, BINS))
        moves: tuple[tuple[Change, int, float], ...] = (("feature", 3, 1.0), ("mix", 1, 0.5), ("mix", 2, 0.5))
        for change, feature, power in moves:
            if strength := self._strength(change):
                shares[self._after, feature, :BINS] *= tilt ** (power * (0.85 + 0.6 * strength))
        strength = self._strength("broken_field")
        if 0 < strength < STUCK_FROM:
            shares[self._after, BROKEN] *= 0.5 - strength
            shares[self._after, BROKEN, BINS] += 0.5 + strength
        elif STUCK_FROM <= strength < SEGMENT_FROM:
            shares[self._after, BROKEN] *= 1 - strength
            shares[self._after, BROKEN, STUCK_BIN] += strength
        return self._counts(shares / shares.sum(axis=-1, keepdims=True))

    def _drawn_score(self) -> Floats:
        shares = self._drifting(np.full((1, BINS), 1.0))
        shares[self._after] *= np.exp(np.linspace(-1, 1, BINS) * 0.5 * self._strength("mix", "feature"))
        return self._counts(shares / shares.sum(axis=-1, keepdims=True))

    def _drawn_segment(self, name: str) -> Floats:
        # The last place is of payments that do not have the field.
        shares = self._drifting(np.array([*SEGMENTS[name], 0.02]))
        if name == "issuer_country" and (strength := self._strength("mix")):
            shares[self._after, 1] *= 3 + 2 * strength
        if name == "channel" and (strength := self._strength("broken_field")) >= SEGMENT_FROM:
            shares[self._after] *= 1 - strength
            shares[self._after, -1] += strength
        return self._counts(shares / shares.sum(axis=-1, keepdims=True))

    def _drawn_decisions(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return for each policy the sums up to each hour of payments, and of those that were acted on."""
        share = ACTED * np.exp(self._chance.normal(0, 0.15, self.hours))
        times = 1 + 0.5 * self._strength("mix") + (0.5 + 3 * policy if (policy := self._strength("policy")) else 0.0)
        share = np.where(self._after, share * times, share)
        decided = np.stack([self.payments, self._chance.binomial(self.payments, np.minimum(share, 1))], axis=1)
        new = (self._after & (self._strength("policy") > 0))[:, None]
        return {
            version: np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(np.where(those, decided, 0), axis=0)])
            for version, those in (("p-1", ~new), ("p-2", new))
        }

    def _draw_frauds(self) -> None:
        """Draw frauds with the hours in which they become known, whether they were acted on, and their log loss."""
        chance = self._chance
        rate = FRAUDS_A_DAY / 24 * np.repeat(np.exp(chance.normal(0, 0.4, -(-self.hours // 24))), 24)[: self.hours]
        old = np.repeat(np.arange(self.hours), chance.poisson(rate))
        strength = self._strength("fraud_pattern")
        new = np.repeat(np.arange(self.hours), chance.poisson(np.where(self._after, (0.6 + strength) * rate, 0)))
        new = new if strength else new[:0]
        occurred = np.concatenate([old, new])
        is_new = np.arange(len(occurred)) >= len(old)
        # A campaign is caught or not: frauds of one day share their luck.
        luck = chance.normal(0, 0.08, self.hours // 24 + 1)[occurred // 24]
        caught = chance.random(len(occurred)) < np.where(is_new, 0.1, np.clip(CAUGHT + luck, 0, 1))
        losses = chance.exponential(np.where(caught, CAUGHT_LOSS, MISSED_LOSS + is_new))
        delay = 24 * np.exp(chance.normal(np.log(4), 0.7, len(occurred)))
        known = occurred + delay
        order = np.argsort(known)
        self._known, self._caught, self._losses = known[order], caught[order], np.minimum(losses[order], 6.9)

    def _drawn_labels(self, source: str) -> npt.NDArray[np.int64]:
        days = -(-self.hours // 24)
        busy = np.where(np.arange(days) % 7 < WEEKDAYS[source], 1.0, 0.1)
        return self._chance.poisson(LABELS_A_DAY[source] * busy * np.exp(self._chance.normal(0, 0.15, days)))

    def ask(self, sql: str, parameters: Mapping[str, Any]) -> Columns:
        """Answer a query of the monitors."""
        recent, reference = (parameters[name] / HOUR_MS for name in ("recent_ms", "reference_ms"))
        return _ANSWERS[sql](self, (parameters["now_ms"] - START_MS) // HOUR_MS, recent, reference)

    def _sides(self, sums: Floats, now: int, recent: float, reference: float) -> tuple[Floats, Floats]:
        """Return what a sample of the reference and one of the recent payments would hold."""
        middle = now - round(recent)
        since = max(0, middle - round(reference))
        sides = []
        for first, last in ((since, middle), (middle, now)):
            counts = sums[last] - sums[first]
            rows = min(queries.SAMPLE_ROWS, int(self.payments[first:last].sum()))
            shares = counts / counts.sum(axis=-1, keepdims=True)
            sides.append(self._chance.multinomial(rows, shares).astype(np.float64))
        return sides[0], sides[1]

    def _distributions(self, sums: Floats, names: list[str], now: int, recent: float, reference: float) -> Columns:
        before, after = self._sides(sums, now, recent, reference)
        tops = np.stack([before[:, :BINS].sum(axis=1), after[:, :BINS].sum(axis=1)]) * 0.01
        if len(names) == FEATURES and STUCK_FROM <= self._strength("broken_field") < SEGMENT_FROM:
            tops[:, BROKEN] = (
                0,
                max(0, after[BROKEN, STUCK_BIN] - before[BROKEN, STUCK_BIN] * after[0].sum() / before[0].sum()),
            )
        return {
            "name": ["", *names],
            "reference": [[], *before[:, :BINS].astype(int).tolist()],
            "recent": [[], *after[:, :BINS].astype(int).tolist()],
            "reference_values": [int(before[0].sum()), *before[:, :BINS].sum(axis=1).astype(int).tolist()],
            "recent_values": [int(after[0].sum()), *after[:, :BINS].sum(axis=1).astype(int).tolist()],
            "reference_distinct": [1] + [BINS] * len(names),
            "reference_top": [int(before[0].sum()), *tops[0].astype(int).tolist()],
            "recent_top": [int(after[0].sum()), *tops[1].astype(int).tolist()],
        }

    def _feature_columns(self, now: int, recent: float, reference: float) -> Columns:
        return self._distributions(self._features, [f"f{n}" for n in range(FEATURES)], now, recent, reference)

    def _score_columns(self, now: int, recent: float, reference: float) -> Columns:
        return self._distributions(self._score, ["score"], now, recent, reference)

    def _segment_columns(self, now: int, recent: float, reference: float) -> Columns:
        rows: list[tuple[str, str, int, int]] = []
        for name, sums in self._segments.items():
            before, after = self._sides(sums, now, recent, reference)
            values = [f"{name}-{n}" for n in range(len(before) - 1)] + [""]
            rows += zip(
                [name] * len(values), values, before.astype(int).tolist(), after.astype(int).tolist(), strict=True
            )
        return dict(zip(("field", "value", "reference", "recent"), map(list, zip(*rows, strict=True)), strict=True))

    def _decision_columns(self, now: int, recent: float, reference: float) -> Columns:
        ages = np.arange(int(reference / recent) + 1)
        lasts = now - ages * round(recent)
        columns: dict[str, list[Any]] = {name: [] for name in ("age", "policy_version", "payments", "acted")}
        for version, sums in self._decided.items():
            payments, acted = (sums[lasts] - sums[lasts - round(recent)]).T
            there = payments > 0
            columns["age"] += ages[there].tolist()
            columns["policy_version"] += [version] * int(there.sum())
            columns["payments"] += payments[there].tolist()
            columns["acted"] += acted[there].tolist()
        return columns

    def _quality_columns(self, now: int, recent: float, reference: float) -> Columns:
        first, last = np.searchsorted(self._known, [now - recent - reference, now])
        ages = ((now - self._known[first:last]) // 24).astype(int)
        caught, losses = self._caught[first:last], self._losses[first:last]
        sums = [np.bincount(ages, weights) for weights in (np.ones(len(ages)), caught, losses, losses**2)]
        days = np.flatnonzero(sums[0])
        names = ("frauds", "caught", "loss", "squares")
        columns: dict[str, Any] = {name: sums[at][days].tolist() for at, name in enumerate(names)}
        return {**columns, "recent": (days < recent / 24).astype(int).tolist(), "age": days.tolist()}

    def _calibration_columns(self, now: int, recent: float, _: float) -> Columns:
        first, last = np.searchsorted(self._known, [now - recent, now])
        frauds = last - first
        honest = int(self._chance.poisson(frauds * 40))
        probability = self._chance.beta(0.2, 8.0, honest)
        said = frauds - probability.sum() * self._chance.normal(1.0, 0.15)
        return {
            "verdict": ["fraud", "legitimate"],
            "labels": [int(frauds), honest],
            "weights": [float(frauds), float(honest)],
            "expected": [max(said, 0.1 * frauds), float(probability.sum())],
            "variance": [0.1 * frauds, float((probability * (1 - probability)).sum())],
        }

    def _label_columns(self, now: int, recent: float, reference: float) -> Columns:
        today, days = now // 24, round((recent + reference) / 24)
        rows = [
            (source, age, int(labels[today - 1 - age]))
            for source, labels in self._labels.items()
            for age in range(min(days, today))
            if labels[today - 1 - age]
        ]
        return dict(zip(("source", "age", "labels"), map(list, zip(*rows, strict=True)), strict=True))

    def _error_columns(self, now: int, recent: float, _: float) -> Columns:
        last = int(np.searchsorted(self._known, now))
        first = max(0, last - queries.ERRORS_MAX)
        return {"loss": self._losses[first:last].tolist(), "recent": (self._known[first:last] >= now - recent).tolist()}

    def _latency_columns(self, now: int, *_: float) -> Columns:
        worst = float(np.exp(self._chance.normal(np.log(250), 0.35, 6)).max())
        return {"payments": [int(self.payments[now - 1]) // 6], "p99_ms": [worst]}

    def _stored_columns(self, now: int, *_: float) -> Columns:
        restart_ms = 60_000.0 if self._chance.random() < 0.01 else 0.0
        lag_ms = float(self._chance.exponential(2_000, 60).max()) + restart_ms
        return {"lag_ms": [lag_ms], "due": [lag_ms / HOUR_MS * float(self.payments[now - 1])], "days": [4]}

    def _arrived_columns(self, now: int, recent: float, reference: float) -> Columns:
        days = range(int((recent + reference) // 24) + 1)
        hours = [now - 1 - 24 * age for age in days]
        counts = [int(self._chance.binomial(self.payments[hour], recent)) for hour in hours]
        counts[0] = int(self._chance.binomial(self.payments[hours[0]], recent, 6).min())
        return {"age": list(days), "payments": counts}

    def _refused_columns(self, now: int, *_: float) -> Columns:
        payments = int(self.payments[now - 1]) // 4
        rate = 0.0005 * payments * np.exp(self._chance.normal(0, 0.7, 6))
        return {"letters": [int(self._chance.poisson(rate).max())], "reason": ["invalid"], "payments": [payments]}

    def _model_columns(self, *_: float) -> Columns:
        age_ms = self._chance.random() * 8 * HOUR_MS
        return {"age_ms": [age_ms], "learnable": [int(age_ms / DAY_MS * 2_000)]}


_ANSWERS: Mapping[str, Callable[[SimulatedStore, int, float, float], Columns]] = {
    queries.FEATURES: SimulatedStore._feature_columns,
    queries.SCORE: SimulatedStore._score_columns,
    queries.SEGMENTS: SimulatedStore._segment_columns,
    queries.DECISIONS: SimulatedStore._decision_columns,
    queries.QUALITY: SimulatedStore._quality_columns,
    queries.CALIBRATION: SimulatedStore._calibration_columns,
    queries.LABELS: SimulatedStore._label_columns,
    queries.ERRORS: SimulatedStore._error_columns,
    queries.LATENCY: SimulatedStore._latency_columns,
    queries.STORED: SimulatedStore._stored_columns,
    queries.ARRIVED: SimulatedStore._arrived_columns,
    queries.REFUSED: SimulatedStore._refused_columns,
    queries.MODEL: SimulatedStore._model_columns,
}
