"""Keys of a local system: one for each kind of process that signs, made on the first start and kept beside the data."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.security import write_secret
from schemas.signing import SIGNER_OF, Signer

OFFICES = {**{principal: principal for principal in SIGNER_OF.values()}, "shadow": "learner", "retrainer": "operator"}
"""Who signs, and whose records: the challengers' snapshots are models, and what is started unattended are commands."""


class Keys:
    """The folder: `<principal>.pem` is a private key, `trusted/<office>/<principal>.pem` its public half."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.trusted_dir = directory / "trusted"

    def prepare(self) -> None:
        """Make what is not there yet."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for principal, office in OFFICES.items():
            if not (path := self.private_file(principal)).exists():
                write_secret(path, new_private_pem().decode())
            public = self.trusted_dir / office / f"{principal}.pem"
            public.parent.mkdir(parents=True, exist_ok=True)
            public.write_bytes(Signer(path.read_bytes()).public_pem)

    def private_file(self, principal: str) -> Path:
        """Return where a principal's own key is."""
        return self._directory / f"{principal}.pem"

    def client(self, principal: str) -> dict[str, str]:
        """Return the settings by which a principal's process finds its keys: whose it is not it is not told."""
        own = {"signing_key_file": str(self.private_file(principal))} if principal in OFFICES else {}
        return {"trusted_keys_dir": str(self.trusted_dir), **own}


def new_private_pem() -> bytes:
    """Return a new Ed25519 private key as PEM, without a password."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
