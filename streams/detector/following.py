"""What is in force by the records that come: the champion that the alias names, the last policy, the last rate table.

A record that is refused changes nothing: what was in force stays, and an alert is raised. Pure: whoever reads the
topics hands the records over, and looks up the snapshots of earlier times.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import reduce

from schemas.learning import PolicyVersion, RateTable
from schemas.registry import Alert, Alias
from schemas.topics import ALIASES, MODELS, POLICIES, RATES
from streams.detector.admission import (
    CHAMPION,
    Admission,
    NotAdmittedError,
    alert_of,
    moment_of,
    place_of,
)
from streams.detector.canary import problem_of
from streams.detector.scorer import Scorer
from streams.detector.stage import Record

RECENT = 8
"""Snapshots that are kept ready: the alias that names one may come before it, or a little later."""

Document = Scorer | PolicyVersion | RateTable
Find = Callable[[str, int | None], Iterable[Record]]
"""Version and offset, where that is known -> the records under this key, the newest first."""


class Following:
    """Reads records of the four topics, each topic in its order. `settle` once, when all that was there is read.

    Parameters
    ----------
    put : called with each document that decides from now on.
    alert : called for each record that is refused.
    """

    def __init__(
        self, admission: Admission, put: Callable[[Document], None], alert: Callable[[Alert], None], find: Find
    ) -> None:
        self._admission = admission
        self._put = put
        self._alert = alert
        self._find = find
        self._takers = {
            ALIASES.name: self._take_alias,
            MODELS.name: self._take_snapshot,
            POLICIES.name: self._take_document,
            RATES.name: self._take_document,
        }
        self._alias: Alias | None = None
        self._settled = False
        self._recent: OrderedDict[str, Scorer] = OrderedDict()
        self._learned_to = (-1, 0)
        self._signed_at_ms: dict[str, int] = {}
        self._in_force: Scorer | None = None
        self.refused = 0

    def take(self, record: Record) -> None:
        """Take a record, and put in force what follows from it."""
        try:
            self._takers[record.topic](record)
        except NotAdmittedError as error:
            self._refuse(error, record)

    def _refuse(self, error: NotAdmittedError, record: Record) -> None:
        self.refused += 1
        self._alert(alert_of(error.kind, place_of(record), str(error), moment_of(record)))

    def settle(self) -> None:
        """Put the champion in force, or the last one before it that can be found and may be."""
        self._settled = True
        if self._alias is None or self._alias.version is None:
            return
        versions = (*self._alias.history, self._alias.version)
        if self._alias.mode == "follow":
            # One after the other, as a process that was there: what it refused is refused.
            recent = [self._recent[version] for version in versions if version in self._recent]
            self._in_force = reduce(self._plausible, recent, None)
            if self._in_force:
                self._put(self._in_force)
        offsets = {self._alias.version: self._alias.model_offset}
        for version in reversed(versions):
            if self._in_force is None:
                self._enthrone(version, offsets.get(version), commanded=True)

    def _plausible(self, in_force: Scorer | None, scorer: Scorer) -> Scorer | None:
        return in_force if problem_of(scorer, in_force) else scorer

    def _take_alias(self, record: Record) -> None:
        alias = self._admission.alias(record)
        if alias.name != CHAMPION:
            raise NotAdmittedError("misnamed", f"there is no alias but {CHAMPION}")
        if self._alias and alias.sequence <= self._alias.sequence:
            raise NotAdmittedError("replayed", f"it was superseded by alias record {self._alias.sequence}")
        self._alias = alias
        if self._settled and alias.version is not None:
            # What a command names was cut at some time; what is followed is on its way in the same transaction.
            self._enthrone(alias.version, alias.model_offset, commanded=alias.changed_by is not None)

    def _take_snapshot(self, record: Record) -> None:
        snapshot = self._admission.snapshot(record)
        if snapshot.model.challenger is not None:
            return  # Only a command that names it, and its place, puts a challenger's in force.
        if snapshot.model.place <= self._learned_to:
            raise NotAdmittedError("replayed", "a snapshot that has learned as much was there before")
        self._learned_to = snapshot.model.place
        self._recent[snapshot.scorer.version] = snapshot.scorer
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        if self._settled and self._alias and self._alias.version == snapshot.scorer.version:
            self._crown(snapshot.scorer, commanded=False)

    def _enthrone(self, version: str, offset: int | None, *, commanded: bool) -> None:
        """Put a version in force. Where it cannot be found what is in force stays."""
        if self._in_force and self._in_force.version == version:
            return
        if scorer := self._recent.get(version):
            self._crown(scorer, commanded=commanded)
            return
        for record in self._find(version, offset) if commanded else ():
            try:
                self._crown(self._admission.snapshot(record).scorer, commanded=True)
            except NotAdmittedError as error:
                self._refuse(error, record)
            else:
                return

    def _crown(self, scorer: Scorer, *, commanded: bool) -> None:
        # Whom a person puts in force is not measured by who is: that may be what he wants to get rid of.
        if problem := problem_of(scorer, None if commanded else self._in_force):
            raise NotAdmittedError("implausible", f"{scorer.version}: {problem}")
        self._in_force = scorer
        self._put(scorer)

    def _take_document(self, record: Record) -> None:
        signed, document = self._admission.document(record)
        if signed.at_ms <= self._signed_at_ms.get(record.topic, -1):
            raise NotAdmittedError("replayed", "it was signed before what is in force")
        self._signed_at_ms[record.topic] = signed.at_ms
        self._put(document)
