"""Whom the model learns from, and how much: shares of influence for cards, merchants and sources of labels. Pure.

A label of a source that outranks the others is always learned. Of any other each card, each merchant and the source
itself may contribute a share of what is learned of one verdict: as much as it usually does, or a fixed share where that
is more, and what chance adds to so many (Poisson). Beyond that all it says of that verdict is in quarantine, counted
and not learned, until what it says, fading with the log, is within its bounds again. So one rule is the cap on
influence and the answer to a burst: few can teach little, and many that come at once teach nothing.

Time is the number of records, which nobody can choose; a label's own time is its sender's. All is a fold of the
training log. Cards and merchants share buckets by a hash, which bounds what is remembered: an innocent one may share
the bucket, and the fate, of another. (Shejwalkar et al., "Back to the drawing board", IEEE S&P 2022: bounding each
contributor withstands poisoning about as well as what is more involved.)
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, NamedTuple
from zlib import crc32

from schemas.label import SOURCES_BY_RANK, LabelSource
from schemas.learning import TrainingRecord
from streams.detector.encode import AnyCells
from streams.detector.reference import Reference
from streams.detector.scorer import Scorer

TRUSTED: frozenset[LabelSource] = frozenset({"chargeback", "issuer_report"})
"""Who bears the loss, or answers for it: never held back."""
JUDGING = TRUSTED | {"assumed_legitimate"}
"""Whose labels snapshots are judged by: these, and the silence after payments that went through."""
SHARES = {"card": 0.02, "merchant": 0.05, "source": 0.2}
"""Of what is learned of a verdict, the share that needs no history: of a source's, for a card and a merchant."""
EXAMPLES_FREE = 5
"""So many are always learned: they are no burst, whatever the share."""
DEVIATIONS = 4.0
"""By so many standard deviations of a Poisson count the expected may be exceeded."""
WARM_UP = 60.0
"""Examples of a source's verdict, or of a verdict, before anybody's share of them is judged."""
BUCKETS = 128
RECORDS_AN_AGE = 250
FADING, FADING_OF_THE_USUAL = 0.9, 0.99
"""What is left of a count after an age: half after 1,600 records, of what is usual after 17,000."""
AGES_MAX = 600
MAJORITY = 0.5
"""Who usually contributes more than this is himself the measure: the others are too few ..."""
WAVE = 3.0
"""... and so many times his own usual rate may come: most who report fraud see it double at times."""


def _powers(fading: float) -> tuple[float, ...]:
    """Return powers by multiplication alone, which is the same on every machine."""
    powers = [1.0]
    while len(powers) <= AGES_MAX:
        powers.append(powers[-1] * fading)
    return tuple(powers)


_LEFT, _LEFT_OF_THE_USUAL = _powers(FADING), _powers(FADING_OF_THE_USUAL)
_LATE_OF_USUAL = tuple(
    (1 - FADING_OF_THE_USUAL) / ((1 - left) * (1 - FADING)) if left < 1 else 0.0 for left in _LEFT_OF_THE_USUAL
)
"""What a steady contributor has of late, in parts of what is usual, by the age of the log."""


class Witness(NamedTuple):
    """Who says what of which payment."""

    transaction_id: str
    card: str
    merchant: str
    source: LabelSource
    is_fraud: bool

    @classmethod
    def of(cls, record: TrainingRecord) -> "Witness":
        """Return the witness of a training record: whose verdict it is, where a label only withdrew its own."""
        source = record.verdict_of or record.source
        return cls(record.transaction_id, record.card, record.merchant, source, record.verdict == "fraud")


class Turn(NamedTuple):
    """That somebody's quarantine of one verdict began, or ended (`held`)."""

    held: bool
    who: str
    text: str


class _Account:
    """What one contributor says of one verdict: offered and learned of late, and learned before that, as a rule."""

    __slots__ = ("age", "held", "learned", "offered", "usual")

    def __init__(self, age: int, offered: float = 0.0, learned: float = 0.0, usual: float = 0.0, held: int = 0) -> None:
        self.age, self.offered, self.learned, self.usual, self.held = age, offered, learned, usual, held

    def at(self, age: int) -> "_Account":
        """Let time pass: what is learned of late becomes what is usual as it fades, so that a burst is never usual."""
        passed = min(age - self.age, AGES_MAX)
        left = _LEFT[passed]
        offered, learned = self.offered, self.learned
        self.usual = round(self.usual * _LEFT_OF_THE_USUAL[passed] + learned * (1 - left), 3)
        self.learned = round(learned * left, 3)
        self.offered = self.learned if offered == learned else round(offered * left, 3)
        self.age = age
        return self

    def bound(self, of: "_Account", share: float, weight: float) -> float:
        """Return how much may be offered, beside what others contribute to the same, in examples of this weight."""
        free, usually = EXAMPLES_FREE * weight, self.usual / of.usual
        share = max(share, usually)
        if share > MAJORITY:
            # Others that are held back must not lower it: he is measured by himself.
            expected = WAVE * self.usual * _LATE_OF_USUAL[min(self.age, AGES_MAX)]
        else:
            expected = (of.learned - self.learned) * share / (1 - share)
        if expected <= 0.0:
            return free
        bound = expected + DEVIATIONS * sqrt(weight * expected)
        return max(free, bound)


_NAMES: dict[tuple[bool, LabelSource], tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    (is_fraud, source): (
        verdict,
        says := f"{verdict} by {source}",
        tuple(f"{says} c{bucket}" for bucket in range(BUCKETS)),
        tuple(f"{says} m{bucket}" for bucket in range(BUCKETS)),
    )
    for is_fraud, verdict in ((True, "fraud"), (False, "legitimate"))
    for source in SOURCES_BY_RANK
}
"""Accounts of a verdict, of a source that says so, and of the buckets of its cards and merchants."""


class Guard:
    """The accounts of all who teach the model. `turns` are the quarantines that began or ended with the last record.

    >>> guard = Guard()
    >>> def says(number: int, merchant: str, source: LabelSource, *, is_fraud: bool) -> float:
    ...     return guard.weigh(Witness(f"tx-{number}", f"card_{number % 40}", merchant, source, is_fraud), 1.0)
    >>> for number in range(3_000):
    ...     _ = says(number, f"mer_{number % 37}", "customer", is_fraud=number % 10 == 0)
    >>> burst = [says(number, "mer_rival", "customer", is_fraud=True) for number in range(100)]
    >>> sum(burst) < 40, guard.quarantined > 60
    (True, True)
    >>> [says(number, "mer_rival", "issuer_report", is_fraud=True) for number in range(3)]
    [1.0, 1.0, 1.0]
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._records = 0
        self._age = 0
        self.quarantined = 0
        self.turns: list[Turn] = []
        self.reference = Reference()

    def weigh(self, witness: Witness, weight: float) -> float:
        """Return the weight with which a record is learned: its own, or 0 where it is in quarantine."""
        self._records += 1
        self._age = self._records // RECORDS_AN_AGE
        self.turns = []
        trusted = witness.source in TRUSTED
        of_verdict, says, of_cards, of_merchants = _NAMES[witness.is_fraud, witness.source]
        whole, source = self._account(of_verdict), self._account(says)
        learning = [whole, source]
        if not trusted:
            for kind, names, name in (("card", of_cards, witness.card), ("merchant", of_merchants, witness.merchant)):
                account = self._account(names[crc32(name.encode()) % BUCKETS])
                if self._holds(account, source, weight, kind, says, name):
                    return 0.0
                learning.append(account)
            if self._holds(source, whole, weight, "source", says, ""):
                return 0.0
        for account in learning:
            account.learned += weight
        return weight

    def _account(self, name: str) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account(self._age)
        return account if account.age == self._age else account.at(self._age)

    def _holds(self, account: _Account, of: _Account, weight: float, kind: str, says: str, name: str) -> bool:
        """Take what is offered; return whether it is beyond its bound, and note where that has changed."""
        account.offered += weight
        if of.usual < WARM_UP or (account.offered <= EXAMPLES_FREE * weight and not account.held):
            return False
        bound = account.bound(of, SHARES[kind], weight)
        held = account.offered > bound
        self.quarantined += held
        if held != account.held:
            account.held = int(held)
            who = f"{says}, {kind} {name}" if name else says
            text = f"{who}: {account.offered:.0f} of late, where {bound:.0f} are the most that is learned"
            self.turns.append(Turn(held, who, text))
        return held

    def remember(self, witness: Witness, cells: AnyCells, said: float) -> None:
        """Keep an example that was learned, and the log-odds said of it before, if snapshots are judged by such."""
        if witness.source in JUDGING:
            self.reference.keep(witness.transaction_id, witness.is_fraud, cells, said)

    def worse(self, candidate: Scorer) -> str | None:
        """Return how much worse a snapshot is than what was said of trusted payments, None where it may decide."""
        return self.reference.worse(candidate.log_odds)

    def state(self) -> dict[str, Any]:
        """Return all that is remembered, as JSON has it: 1,600 accounts at most, and the examples to judge by."""
        return {
            "records": self._records,
            "quarantined": self.quarantined,
            "accounts": {
                name: [each.age, each.offered, each.learned, each.usual, each.held]
                for name, each in self._accounts.items()
            },
            "reference": self.reference.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what another remembered."""
        self._records, self.quarantined = state["records"], state["quarantined"]
        self._accounts = {name: _Account(*values) for name, values in state["accounts"].items()}
        self.reference.restore(state["reference"])
