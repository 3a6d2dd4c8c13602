"""The shipped documents are sound, and a file that is not is told in one line."""

from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.learning import PolicyVersion, RateTable
from streams.detector.policy import problems_of
from streams.documents import read_document, shipped_policy, shipped_rates
from tests.oracle_decisions import SHIPPED


def test_shipped_documents_are_sound() -> None:
    """Law: what decides until something is published passes the checks that anything published must pass."""
    assert problems_of(shipped_policy()) == []
    assert shipped_rates().base not in shipped_rates().units_per_base
    assert shipped_policy() == read_document(PolicyVersion, SHIPPED / "policy.json")
    assert shipped_rates() == read_document(RateTable, SHIPPED / "rates.json")


def test_document_is_the_same_after_a_file(tmp_path: Path) -> None:
    """Law: what is written to a file is read from it."""
    file = tmp_path / "policy.json"
    file.write_bytes(encode(shipped_policy()))
    assert read_document(PolicyVersion, file) == shipped_policy()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "EOF"),
        (b"{}", "version: Field required"),
        (b'{"version": "p-1", "author": "ana", "thresholds": [{"at_least_score": 1001, "action": "block"}]}', "1000"),
        (b'{"version": "p-1", "author": "ana", "thresholds": [{"at_least_score": 1, "action": "approve"}]}', "action"),
        (b'{"version": "p-1", "author": "ana", "score_map": {"acting_pays_at_probability": 1}}', "less than 1"),
        (b'{"version": "p-1", "author": "ana", "score_map": {"acting_pays_at_probability": NaN}}', "finite"),
    ],
)
def test_unsound_file_stops_with_one_line(content: bytes, why: str, tmp_path: Path) -> None:
    """Law: a file that is no document stops the process with one line that names file and field."""
    file = tmp_path / "policy.json"
    file.write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        read_document(PolicyVersion, file)
    told = str(stopped.value)
    assert told.startswith(f"{file}: ")
    assert why in told
    assert "\n" not in told


def test_missing_file_stops_with_one_line(tmp_path: Path) -> None:
    """Law: a file that cannot be read is named, with the reason."""
    with pytest.raises(SystemExit, match="No such file"):
        read_document(RateTable, tmp_path / "nowhere.json")
