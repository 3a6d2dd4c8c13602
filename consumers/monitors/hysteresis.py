"""When an alert is raised and when it is over: after so many looks in a row that say so, and not before.

A figure near its bound would otherwise raise and clear an alert with every look.
"""

from typing import Literal, NamedTuple

from consumers.monitors.finding import Finding

Change = Literal["firing", "cleared"]


class Run(NamedTuple):
    """How many looks in a row were over the bound, or within it. One that saw too little to judge counts as neither."""

    over: int = 0
    within: int = 0

    def after(self, finding: Finding | None) -> "Run":
        """Return the run after one more look.

        >>> Run(over=2).after(None), Run(over=2).after(Finding(False, 0, 1, 9, "a", "b"))
        (Run(over=2, within=0), Run(over=0, within=1))
        """
        if finding is None:
            return self
        return Run(self.over + 1, 0) if finding.over else Run(0, self.within + 1)


def change(run: Run, *, firing: bool, to_fire: int, to_clear: int) -> Change | None:
    """Return what becomes of an alert now.

    >>> [change(Run(over=2), firing=firing, to_fire=2, to_clear=3) for firing in (False, True)]
    ['firing', None]
    """
    if firing:
        return "cleared" if run.within >= to_clear else None
    return "firing" if run.over >= to_fire else None
