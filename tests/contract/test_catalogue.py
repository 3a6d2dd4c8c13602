"""The catalogue is that of the contracts, and leaves nothing untold."""

import pytest

from consumers.catalogue import columns_of, feature_entries, lines, shipped_catalogue
from consumers.warehouse import Warehouse
from deploy.catalogue.__main__ import SCHEMAS, written
from deploy.catalogue.classes import CLASSES
from deploy.catalogue.collect import catalogue
from schemas.topics import TOPICS
from streams.detector.features import FEATURES
from streams.documents import shipped_policy


def test_the_shipped_catalogue_is_made_from_the_contracts(warehouse: Warehouse) -> None:
    """Law: both files are what `python -m deploy.catalogue` writes now."""
    for name, text in written(catalogue(warehouse, shipped_policy())).items():
        assert (SCHEMAS / name).read_text(encoding="utf-8") == text, "run python -m deploy.catalogue"


def test_every_entry_is_told_whole() -> None:
    """Law: each topic, field, feature, table and column has a meaning and a known class; nothing is left out."""
    found = shipped_catalogue()
    fields = [field for topic in found["topics"] for field in topic["fields"]]
    columns = [column for table in found["tables"] for column in table["columns"]]
    entries = [*found["topics"], *fields, *found["features"], *found["tables"], *columns]
    assert [entry["name"] for entry in entries if not entry["meaning"]] == []
    assert {entry["personal"] for entry in (*fields, *columns, *found["features"])} == set(CLASSES)
    assert [each["name"] for each in found["topics"]] == [topic.name for topic in TOPICS]
    assert list(feature_entries()) == [feature.name for feature in FEATURES]
    assert all(each["unit"] and each["owner"] and each["source"] for each in found["features"])
    assert all(table["source"] for table in found["tables"])


@pytest.mark.parametrize("name", ["card", "customer", "device", "ip", "email"])
def test_a_token_of_a_person_is_personal_wherever_it_stands(name: str) -> None:
    """Law: what stands for a person is called a pseudonym in every topic and table that has it."""
    found = shipped_catalogue()
    holders = [*(topic["fields"] for topic in found["topics"]), *(table["columns"] for table in found["tables"])]
    classes = {each["personal"] for entries in holders for each in entries if each["name"] == name}
    assert classes == {"pseudonym"}


def test_an_entry_is_found_by_its_name_or_a_word() -> None:
    assert columns_of("predictions")["event_time"]["unit"] == "UTC"
    assert any(line.startswith("payments.labels.v1 verdict:") for line in lines("verdict"))
    assert list(lines("no such word")) == []
