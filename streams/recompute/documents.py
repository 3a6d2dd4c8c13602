"""All that was ever in force, by version: policies, rates, models. Pure."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from schemas.codec import decode
from schemas.learning import PolicyVersion, RateTable
from schemas.topics import MODELS, POLICIES, RATES
from streams.detector.scorer import RefusedError, Scorer, model_of, scorer_of
from streams.detector.stage import Record
from streams.recompute.logs import Logs

SCORERS_HELD = 256

Document = TypeVar("Document", PolicyVersion, RateTable)


class Documents:
    """What a prediction names.

    Parameters
    ----------
    shipped : in force where nothing was published.
    instead : a policy that decides in the place of all that were in force: what if?
    is_believed : whether a record was signed by one who may write it; not asked where some were changed.
    """

    def __init__(
        self,
        logs: Logs,
        shipped: tuple[PolicyVersion, RateTable],
        instead: PolicyVersion | None = None,
        is_believed: Callable[[Record], bool] = lambda _record: True,
    ) -> None:
        self._logs = logs
        self._is_believed = is_believed
        self._instead = instead
        self.policies = {shipped[0].version: shipped[0]}
        self.rates = {shipped[1].version: shipped[1]}
        self.policies |= {each.version: each for each in self._published(PolicyVersion)}
        self.rates |= {each.version: each for each in self._published(RateTable)}
        self._places = {
            (record.key or b"").decode("latin-1"): record.offset
            for record in logs.read(MODELS, 0)
            if self.is_believed(record)
        }
        self.remade: dict[str, Scorer] = {}
        """Models that came out differently, by the version that was recorded."""
        self._recorded = lru_cache(maxsize=SCORERS_HELD)(self._read_scorer)

    def policy(self, version: str) -> PolicyVersion | None:
        """Return the policy of a version, None where there is none."""
        held = self.policies.get(version)
        if self._instead is None or held is None:
            return held
        # Under the name of what it replaces: that another decides is known, what it changes is asked.
        return self._instead.model_copy(update={"version": version})

    def scorer(self, version: str) -> Scorer | None:
        """Return the model of a version as it comes from the training log, None where there is none."""
        return self.remade.get(version) or self._recorded(version)

    def _read_scorer(self, version: str) -> Scorer | None:
        place = self._places.get(version)
        if place is None:
            return None
        record = next(self._logs.read(MODELS, 0, place), None)
        try:
            return scorer_of(model_of(record.value if record else None))
        except RefusedError:
            return None

    def _published(self, kind: type[Document]) -> Iterable[Document]:
        topic = POLICIES if kind is PolicyVersion else RATES
        for record in self._logs.read(topic, 0):
            document = decode(kind, record.value) if self.is_believed(record) else None
            if isinstance(document, kind):
                yield document

    def is_believed(self, record: Record) -> bool:
        """Return whether a record was signed by one who may write it."""
        return self._is_believed(record)
