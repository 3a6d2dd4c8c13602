"""`python -m consumers`, killed beside its first commit: `python -m tests.integration.killed_replay before|after …`.

`before`: everything is at the broker and nothing is committed. `after`: all is committed, and nobody was told.
"""

import os
import signal
import sys

from consumers.__main__ import main
from consumers.letters_to_topics import LettersToTopics


def plant(moment: str) -> None:
    """Make the next commit the last thing but one, or the last."""
    commit = LettersToTopics.commit

    def killed(self: LettersToTopics) -> None:
        if moment == "after":
            commit(self)
        else:
            self._producer.flush(10)
        os.kill(os.getpid(), signal.SIGKILL)

    LettersToTopics.commit = killed  # type: ignore[method-assign]


if __name__ == "__main__":
    plant(sys.argv[1])
    main(sys.argv[2:])
