"""The files of keys that settings name: one private key of our own, and public ones of those who are trusted."""

from pathlib import Path

from schemas.settings import Settings
from schemas.signing import SIGNER_OF, Signer, TrustedKeys


class KeyFileError(Exception):
    """A file of keys is not there, or holds none."""


def signer_of(settings: Settings) -> Signer:
    """Return our own key.

    Raises
    ------
    KeyFileError
        None is named, or the file cannot be read. The message names the setting, and holds nothing of the file.
    """
    if not settings.signing_key_file:
        raise KeyFileError("FRAUD_SIGNING_KEY_FILE is not set: what this process writes must be signed")
    try:
        return Signer(Path(settings.signing_key_file).read_bytes())
    except OSError as error:
        raise KeyFileError(f"FRAUD_SIGNING_KEY_FILE cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise KeyFileError(f"FRAUD_SIGNING_KEY_FILE {error}") from None


def trusted_of(settings: Settings) -> TrustedKeys:
    """Return whose records are believed: the files `<principal>/<owner>.pem` of the folder.

    Raises
    ------
    KeyFileError
        No folder is named, or it holds no key, or a file in it is none.
    """
    if not settings.trusted_keys_dir:
        raise KeyFileError("FRAUD_TRUSTED_KEYS_DIR is not set: without it no model and no policy is believed")
    folder = Path(settings.trusted_keys_dir)
    keys: dict[str, dict[str, bytes]] = {}
    for principal in sorted(set(SIGNER_OF.values())):
        for file in sorted(folder.glob(f"{principal}/*.pem")):
            try:
                public_pem = file.read_bytes()
                TrustedKeys({principal: {file.stem: public_pem}})  # one by one, so that the file can be named
                keys.setdefault(principal, {})[file.stem] = public_pem
            except OSError as error:
                raise KeyFileError(f"FRAUD_TRUSTED_KEYS_DIR: {file.name} cannot be read: {error.strerror}") from None
            except ValueError as error:
                raise KeyFileError(f"FRAUD_TRUSTED_KEYS_DIR: {principal}/{file.name} {error}") from None
    if not keys:
        raise KeyFileError("FRAUD_TRUSTED_KEYS_DIR holds no <principal>/<owner>.pem: nobody would be believed")
    return TrustedKeys(keys)
