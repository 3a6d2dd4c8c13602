"""What is signed cannot be changed, passed off as another record, or signed by another; keys are shown nowhere."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from deploy.keys import Keys, new_private_pem
from schemas.key_files import KeyFileError, signer_of, trusted_of
from schemas.settings import Settings
from schemas.signing import KEY_ID, SIGNATURE, SIGNED_AT, Signer, TrustedKeys, UntrustedError, signed_bytes
from schemas.topics import ALIASES, MODELS, POLICIES, TOPICS
from tests.signed import SIGNERS, STRANGER, TRUSTED

HEADERS = SIGNERS["learner"].headers(MODELS, b"m-1", b"{}", 7)


def test_what_was_signed_is_believed() -> None:
    """Law: a record as it was signed tells its owner and its time."""
    signed = TRUSTED.check(MODELS, b"m-1", b"{}", HEADERS)
    assert (signed.owner, signed.at_ms, signed.key_id) == ("learner", 7, SIGNERS["learner"].key_id)


OTHERS = {
    "another value": (MODELS, b"m-1", b"[]", HEADERS, "forged"),
    "a value cut off": (MODELS, b"m-1", b"{", HEADERS, "forged"),
    "another key": (MODELS, b"m-2", b"{}", HEADERS, "forged"),
    "another topic of the same signer": (ALIASES, b"m-1", b"{}", HEADERS, "forged"),
    "a topic of another signer": (POLICIES, b"m-1", b"{}", HEADERS, "unknown_key"),
    "another time": (MODELS, b"m-1", b"{}", ((SIGNED_AT, b"8"), *HEADERS[:1], *HEADERS[2:]), "forged"),
    "a time that is none": (MODELS, b"m-1", b"{}", (*HEADERS, (SIGNED_AT, b"now")), "forged"),
    "no headers": (MODELS, b"m-1", b"{}", (), "unsigned"),
    "no value": (MODELS, b"m-1", None, HEADERS, "unsigned"),
    "no record key": (MODELS, None, b"{}", HEADERS, "unsigned"),
    "a signature cut off": (MODELS, b"m-1", b"{}", (*HEADERS[:2], (SIGNATURE, HEADERS[2][1][:63])), "forged"),
    "an empty signature": (MODELS, b"m-1", b"{}", (*HEADERS, (SIGNATURE, b"")), "unsigned"),
    "a key nobody knows": (MODELS, b"m-1", b"{}", STRANGER.headers(MODELS, b"m-1", b"{}"), "unknown_key"),
    "a key under another name": (
        MODELS,
        b"m-1",
        b"{}",
        (*STRANGER.headers(MODELS, b"m-1", b"{}"), (KEY_ID, SIGNERS["learner"].key_id.encode())),
        "forged",
    ),
    "an operator's signature": (
        MODELS,
        b"m-1",
        b"{}",
        SIGNERS["operator"].headers(MODELS, b"m-1", b"{}"),
        "unknown_key",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_was_not_signed_so_is_refused(name: str) -> None:
    """Law: each part of a record is covered, and who may sign one topic may not sign another's."""
    topic, key, value, headers, kind = OTHERS[name]
    with pytest.raises(UntrustedError) as refused:
        TRUSTED.check(topic, key, value, headers)
    assert refused.value.kind == kind


@given(st.lists(st.tuples(st.sampled_from(TOPICS), st.binary(), st.binary(), st.integers(0)), min_size=2, unique=True))
def test_no_two_records_have_the_same_signed_bytes(records: list[tuple[object, bytes, bytes, int]]) -> None:
    """Law: parts cannot be moved from one field into the next."""
    assert len({signed_bytes(*record) for record in records}) == len(records)  # type: ignore[arg-type]


def test_nobody_is_believed_without_keys() -> None:
    """Law: an empty set of keys believes nothing."""
    with pytest.raises(UntrustedError):
        TrustedKeys({}).check(MODELS, b"m-1", b"{}", HEADERS)


def test_a_private_key_is_shown_nowhere(tmp_path: Path) -> None:
    """Law: neither a signer nor an error of its file says a line of the key."""
    pem = new_private_pem()
    secret = pem.splitlines()[1].decode()
    assert secret not in repr(Signer(pem)) + str(vars(Signer(pem)))
    broken = tmp_path / "learner.pem"
    broken.write_bytes(pem.replace(b"-----END", b"+++++END"))
    with pytest.raises(KeyFileError) as refused:
        signer_of(Settings(signing_key_file=str(broken)))
    assert secret not in str(refused.value)
    assert "FRAUD_SIGNING_KEY_FILE" in str(refused.value)


def test_a_key_of_another_kind_is_refused() -> None:
    """Law: only Ed25519 keys are taken, so there is one kind of signature."""
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ValueError, match="Ed25519"):
        Signer(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_keys_of_a_system_are_made_once_and_told_to_their_owner(tmp_path: Path) -> None:
    """Law: a second start finds the keys of the first; a worker has none of its own, and whom it trusts."""
    keys = Keys(tmp_path / "keys")
    keys.prepare()
    before = {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*.pem")}
    keys.prepare()
    assert before == {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*.pem")}
    assert keys.private_file("learner").stat().st_mode & 0o077 == 0
    assert keys.client("worker").keys() == {"trusted_keys_dir"}
    learner = Settings.model_validate(keys.client("learner"))
    signer, trusted = signer_of(learner), trusted_of(learner)
    assert trusted.owner_of("learner", signer.key_id) == "learner"
    assert trusted.owner_of("operator", signer.key_id) is None


@pytest.mark.parametrize("made", ["nothing", "an empty folder", "a file that is no key"])
def test_keys_that_cannot_be_read_are_one_line(made: str, tmp_path: Path) -> None:
    """Law: who trusts nobody by mistake is told so, and by which setting."""
    folder = tmp_path / "trusted"
    if made != "nothing":
        (folder / "learner").mkdir(parents=True)
    if made == "a file that is no key":
        (folder / "learner" / "ana.pem").write_text("no key")
    with pytest.raises(KeyFileError, match="FRAUD_TRUSTED_KEYS_DIR"):
        trusted_of(Settings(trusted_keys_dir=str(folder) if made != "nothing" else ""))
