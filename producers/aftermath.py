"""What becomes of a payment in the simulated world, and what is said of it: the issuer, the shop, the card's owner.

Every payment takes the same number of draws, from a source of chance of its own: how much is reported, and when,
changes neither the payments nor what is said of the others.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from random import Random
from statistics import NormalDist

from producers.duration import LONGEST_MS
from producers.fraud_patterns import Pattern
from schemas.label import FraudType, Label, Outcome, OutcomeKind
from schemas.sampling import weight_of
from schemas.transaction import Transaction

ANSWER_MS = (150, 2_500)
"""The fastest and the slowest answer of an issuer; most are fast."""

DECLINED = 0.02
"""Share of honest payments that the issuer declines; a fraud's is in its row of `fraud_patterns`."""

DECLINE_CODES = ("51", "05", "61", "54", "14")
"""No funds, do not honour, over a limit, expired, no such number (ISO 8583 DE 39)."""

REVERSED = 0.01
"""Share of authorised payments that the shop takes back before it captures them: nobody speaks of those again."""

REFUNDED = 0.03
"""Share of captured honest payments that are refunded, one to three capture delays later."""


_NORMAL = NormalDist()
_LEAST = 2.0**-53


@dataclass(frozen=True, slots=True)
class Reporting:
    """What is published of a payment's later life. Shares are from 0 to 1.

    The shop captures `capture_delay_ms` after the payment; `outcomes` says whether outcomes are published at all: the
    issuer declines in any case. A label comes `label_delay_ms` after its payment on average; `label_delay_spread` is
    the standard deviation as a multiple of that (lognormal; 0 is exact). Of the frauds that were authorised and not
    reversed `label_coverage` is ever charged back. Of such honest payments one in `legitimate_one_in` is called
    `assumed_legitimate`, by the draw by which the label join samples (`schemas.sampling`): of the others nobody says
    anything, which is what nothing would be learned from. `label_noise` of all labels have the wrong verdict: a
    fraud that passes for honest, or an owner who disputes what he bought. `label_reversals` of those disputes are
    overturned by a later revision. `label_early_reports` of the frauds that are charged back were reported by their
    issuer before, after half the time.
    """

    label_delay_ms: int = 60_000
    label_delay_spread: float = 0.0
    label_coverage: float = 1.0
    label_noise: float = 0.0
    label_reversals: float = 0.0
    label_early_reports: float = 0.0
    legitimate_one_in: int = 3
    outcomes: bool = True
    capture_delay_ms: int = 30_000

    def wrong(self) -> list[str]:
        """Return the names of what is out of its range."""
        shares = ("label_coverage", "label_noise", "label_reversals", "label_early_reports")
        ranges = {name: 0 <= getattr(self, name) <= 1 for name in shares}
        ranges["legitimate_one_in"] = self.legitimate_one_in >= 1
        ranges["label_delay_ms"] = 0 <= self.label_delay_ms <= LONGEST_MS
        ranges["label_delay_spread"] = 0 <= self.label_delay_spread <= 10
        ranges["capture_delay_ms"] = 0 <= self.capture_delay_ms <= LONGEST_MS
        return [name for name, within in ranges.items() if not within]


@dataclass(frozen=True, slots=True)
class _Chances:
    """The draws of one payment, each from 0 to 1: every decision has its own, whether it comes to be taken or not."""

    refusal: float
    answer: float
    fate: float
    later: float
    told: float
    noise: float
    delay: float
    overturned: float
    next_delay: float


class Aftermath:
    """Gives the labels and outcomes of each payment in turn, as a `Reporting` says."""

    def __init__(self, rng: Random, reporting: Reporting) -> None:
        self._draw = rng.random
        self._reporting = reporting
        # So that the mean of the lognormal is the delay that was asked for.
        self._sigma = sqrt(log(1 + reporting.label_delay_spread**2))

    def of(self, transaction: Transaction, pattern: Pattern | None) -> tuple[tuple[Label, ...], tuple[Outcome, ...]]:
        """Return what is said of a payment and what becomes of it; `pattern` is the fraud that it is, if it is one."""
        draw = self._draw
        chances = _Chances(draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw(), draw())
        declined = pattern.declined if pattern else DECLINED
        stands = chances.refusal >= declined and chances.fate >= REVERSED
        labels = self._labels(transaction, pattern, chances) if stands else ()
        return labels, self._outcomes(transaction, pattern, chances, declined) if self._reporting.outcomes else ()

    def _outcomes(
        self, transaction: Transaction, pattern: Pattern | None, chances: _Chances, declined: float
    ) -> tuple[Outcome, ...]:
        paid_ms, capture_delay_ms = transaction.event_time_ms, self._reporting.capture_delay_ms
        fastest_ms, slowest_ms = ANSWER_MS
        answered_ms = paid_ms + fastest_ms + round((slowest_ms - fastest_ms) * chances.answer**3)
        if chances.refusal < declined:
            code = DECLINE_CODES[int(chances.refusal / declined * len(DECLINE_CODES))]
            return (_outcome(transaction, "declined_by_issuer", answered_ms, code),)
        authorised = _outcome(transaction, "authorised", answered_ms, "00")
        captured_ms = max(answered_ms, paid_ms + capture_delay_ms)
        if chances.fate < REVERSED:
            reversed_ms = answered_ms + round((captured_ms - answered_ms) * chances.later)
            return authorised, _outcome(transaction, "reversed", reversed_ms)
        captured = _outcome(transaction, "captured", captured_ms)
        if pattern or chances.fate >= REVERSED + (1 - REVERSED) * REFUNDED:
            return authorised, captured
        refunded_ms = captured_ms + round(capture_delay_ms * (1 + 2 * chances.later))
        return authorised, captured, _outcome(transaction, "refunded", refunded_ms)

    def _labels(self, transaction: Transaction, pattern: Pattern | None, chances: _Chances) -> tuple[Label, ...]:
        reporting = self._reporting
        reported_ms = transaction.event_time_ms + self._delay_ms(chances.delay)
        honest = _label(transaction, reported_ms, None)
        kept = weight_of(honest, reporting.legitimate_one_in) is not None
        if not (chances.told < reporting.label_coverage if pattern else kept):
            return ()
        wrong = chances.noise < reporting.label_noise
        if pattern:
            if wrong:
                return (honest,)
            charged_back = _label(transaction, reported_ms, pattern.fraud_type)
            # What is later in the life of an honest payment is a draw that a fraud has no other use for.
            early = chances.later < reporting.label_early_reports
            return (_reported_early(charged_back), charged_back) if early else (charged_back,)
        first = _label(transaction, reported_ms, "friendly_fraud") if wrong else honest
        if not (wrong and chances.overturned < reporting.label_reversals):
            return (first,)
        return first, _overturned(first, reported_ms + self._delay_ms(chances.next_delay))

    def _delay_ms(self, chance: float) -> int:
        mean_ms = self._reporting.label_delay_ms
        if not (self._sigma and mean_ms):
            return mean_ms
        deviation = _NORMAL.inv_cdf(max(chance, _LEAST))
        return min(LONGEST_MS, round(mean_ms * exp(self._sigma * deviation - self._sigma**2 / 2)))


def _label(transaction: Transaction, reported_ms: int, fraud_type: FraudType | None) -> Label:
    return Label.model_validate(
        {
            "transaction_id": transaction.transaction_id,
            "card": transaction.card,
            "merchant": transaction.merchant,
            "verdict": "fraud" if fraud_type else "legitimate",
            "source": "chargeback" if fraud_type else "assumed_legitimate",
            "occurred_at_ms": transaction.event_time_ms,
            "reported_at_ms": reported_ms,
            "fraud_type": fraud_type,
        }
    )


def _overturned(first: Label, reported_ms: int) -> Label:
    """Return the revision of the dispute by which the shop has proved that the owner did buy."""
    changes = {"revision": 1, "verdict": "legitimate", "fraud_type": None}
    return Label.model_validate(first.model_dump() | changes | {"reported_at_ms": reported_ms})


def _reported_early(charged_back: Label) -> Label:
    """Return the issuer's report of a fraud that is charged back later."""
    half_ms = (charged_back.reported_at_ms - charged_back.occurred_at_ms) // 2
    changes = {"source": "issuer_report", "reported_at_ms": charged_back.occurred_at_ms + half_ms}
    return Label.model_validate(charged_back.model_dump() | changes)


def _outcome(transaction: Transaction, kind: OutcomeKind, occurred_ms: int, code: str | None = None) -> Outcome:
    return Outcome.model_validate(
        {
            "transaction_id": transaction.transaction_id,
            "card": transaction.card,
            "merchant": transaction.merchant,
            "kind": kind,
            "occurred_at_ms": occurred_ms,
            "response_code": code,
        }
    )
