"""The documents against the code: settings with their defaults, flags, snippets, and every path that is named."""

import re

import pytest

from deploy.demo import _parser
from schemas.codec import DecodeFailure, decode
from schemas.decision import Decision
from schemas.recordings.mapping import parse_mapping
from schemas.settings import Settings
from tests.house.tree import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "tests/README.md", "streams/DESIGN.md", "schemas/README.md")
FLAGS = [option for action in _parser()._actions for option in action.option_strings if option not in {"-h", "--help"}]
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
MAPPINGS = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
DECISIONS = re.findall(r"^```json\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PATH = re.compile(r"`((?:schemas|producers|streams|consumers|tests|deploy)/[\w./-]+)`")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_its_row_with_its_default(name: str) -> None:
    """Law: each variable is told with the default that it has."""
    default = str(Settings.model_fields[name].default)
    default = default.lower() if default in {"True", "False"} else default
    assert f"| `FRAUD_{name.upper()}` | {f'`{default}`' if default else 'empty'} | " in README


def test_no_setting_is_told_that_is_none() -> None:
    """Law: a variable that the documents name exists."""
    named = {name for path in DOCUMENTS for name in re.findall(r"FRAUD_[A-Z_]+[A-Z]", (ROOT / path).read_text())}
    assert named <= {f"FRAUD_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_of_the_demo_is_told(flag: str) -> None:
    """Law: what the demo can be told stands in the table of its flags."""
    assert re.search(rf"^\| .*`{flag}`", README, re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_compiles(snippet: str) -> None:
    """Law: what is to be copied is Python."""
    compile(snippet, "README.md", "exec")


def test_there_are_snippets() -> None:
    """Law: the README shows how to publish a payment and how to read its decision."""
    assert len(SNIPPETS) >= 2


def test_the_mapping_and_the_decision_are_ones() -> None:
    """Law: the examples of a mapping and of a decision can be read by the code that reads them."""
    assert [len(parse_mapping(text)) for text in MAPPINGS] == [7]
    assert [isinstance(decode(Decision, text.encode()), DecodeFailure) for text in DECISIONS] == [False]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_is_named_exists(document: str) -> None:
    """Law: who follows a document finds what it names."""
    named = PATH.findall((ROOT / document).read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
