"""Create or load the installation's signing key and certificate chain.

In the data folder `signing/chain.pem` holds the certificates, the signer's first and the root last, and
`signing/key.pem` the signer's key. An owner with certificates of an authority puts both files there. They are created
only if neither exists.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import secrets
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core.errors import StudioError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

CERTIFICATE_VALIDITY = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class SigningKey:
    """Certificate chain and private key as PEM text, and C2PA's name of the key's algorithm."""

    chain: str
    key: str
    algorithm: str

    @property
    def root_certificate(self) -> str:
        """The last certificate of the chain, as PEM."""
        return self.chain[self.chain.rindex("-----BEGIN CERTIFICATE-----") :]

    @property
    def watermark_id(self) -> int:
        """The 16-bit id in invisible watermarks, a hash of the root certificate."""
        return int(hashlib.sha256(self.root_certificate.encode()).hexdigest()[:4], 16)


class SigningKeyStore:
    """The signing key of one data folder, loaded or created on first use. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "signing"
        self._lock = threading.Lock()
        self._key: SigningKey | None = None

    def load_key(self) -> SigningKey:
        """Return certificates and key. Raises `StudioError` if the files do not match or cannot be read."""
        with self._lock:
            if self._key is None:
                self._key = self._read_or_create()
            return self._key

    def use_key(self, key: SigningKey) -> None:
        """Use this key from now on. It is kept in memory only."""
        with self._lock:
            self._key = key

    def _read_or_create(self) -> SigningKey:
        chain_path, key_path = self._folder / "chain.pem", self._folder / "key.pem"
        if not chain_path.exists() and not key_path.exists():
            self._create_files()
        try:
            chain, key = chain_path.read_text("utf-8"), key_path.read_text("utf-8")
            return SigningKey(chain, key, _key_algorithm(chain, key))
        except (OSError, ValueError, TypeError) as error:
            raise StudioError("The signing key in the data folder cannot be used. The log says more.") from error

    def _create_files(self) -> None:
        """Write both files atomically, so that of two processes that create a key one wins and the other reads it."""
        temporary = self._folder.with_name(f".signing-{secrets.token_hex(8)}")
        temporary.mkdir(parents=True)
        chain, private_key = _generate_chain()
        with open(os.open(temporary / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(private_key)
        (temporary / "chain.pem").write_text(chain)
        try:
            os.rename(temporary, self._folder)
        except OSError:
            shutil.rmtree(temporary)
            if not (self._folder / "key.pem").exists():
                raise


def _key_algorithm(chain: str, key: str) -> str:
    """Return C2PA's name of the key's algorithm. Raises `ValueError` unless the first certificate is the key's."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private_key = load_pem_private_key(key.encode(), None)
    if x509.load_pem_x509_certificates(chain.encode())[0].public_key() != private_key.public_key():
        raise ValueError("the first certificate is not that of the key")
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        return {256: "es256", 384: "es384", 521: "es512"}[private_key.key_size]
    if isinstance(private_key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(private_key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise ValueError("C2PA knows no keys of this kind")


def _generate_chain() -> tuple[str, str]:
    """Return PEM texts of a new chain and its key. The root's key is discarded, so that it can sign nothing else."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = f"DesignerBox installation {secrets.token_hex(4)}"
    certificates = _build_certificate(name, leaf.public_key(), root), _build_certificate(name, None, root)
    chain = "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)
    return chain, leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _build_certificate(
    name: str, key: EllipticCurvePublicKey | None, root: EllipticCurvePrivateKey
) -> x509.Certificate:
    """Build a certificate by the C2PA profile of X.509: the signer's for `key`, the root's for None."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)  # tolerates a clock that is behind
    authority, signer = (x509.Name.from_rfc4514_string(f"CN={each},O=DesignerBox") for each in (f"{name} root", name))
    public = key or root.public_key()
    builder = x509.CertificateBuilder(
        issuer_name=authority,
        subject_name=signer if key else authority,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + CERTIFICATE_VALIDITY,
    )
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usage = x509.KeyUsage(
        digital_signature=key is not None,
        key_cert_sign=key is None,
        crl_sign=key is None,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(unused, False),
    )
    constraints = x509.BasicConstraints(ca=key is None, path_length=None if key else 0)
    builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    if key is not None:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
        builder = builder.add_extension(purpose, critical=True).add_extension(issuer, critical=False)
    return builder.sign(root, hashes.SHA256())
