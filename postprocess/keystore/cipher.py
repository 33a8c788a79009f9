"""Encryption at rest: AES-256-GCM rows under a data key per block, data keys under the key-encryption key (KEK) of the store."""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ...core.errors import KeyStoreError, StorageError
from ...core.files import write_private

KEY_BYTES = 32


class Damaged(Exception):
    """A row does not decrypt: altered, or moved to another place."""


@dataclass(frozen=True, slots=True)
class RowPlace:
    """What a row is bound to: it decrypts nowhere else.

    link_id: 16 bytes.  pool, block, index: where it lies.  provenance: 1 real, 2 simulated, 3 local-rng, 4 preshared.
    """

    link_id: bytes
    pool: int
    block: int
    index: int
    provenance: int

    @property
    def nonce(self) -> bytes:
        """Return the 12-byte nonce; a place is written once under its block's data key."""
        return struct.pack(">IQ", self.pool, self.index)

    def aad(self, length: int) -> bytes:
        """Return the 43 bytes of associated data for `length` bytes of plaintext."""
        return b"HGKS1" + self.link_id + struct.pack(">BQQIB", self.pool, self.block, self.index, length, self.provenance)


def seal_row(cipher: AESGCM, place: RowPlace, plain: bytes) -> bytes:
    """Return ciphertext and tag of a chunk."""
    return cipher.encrypt(place.nonce, plain, place.aad(len(plain)))


def open_row(cipher: AESGCM, place: RowPlace, sealed: bytes) -> bytes:
    """Return the plaintext of a chunk. Raises Damaged if row or place was altered."""
    try:
        return cipher.decrypt(place.nonce, sealed, place.aad(len(sealed) - 16))
    except InvalidTag as error:
        raise Damaged(f"row {place.index} of pool {place.pool}") from error


def wrap_dek(kek: bytes, store_id: bytes, block: int, dek: bytes) -> bytes:
    """Return nonce and ciphertext of a block's data key."""
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(kek).encrypt(nonce, dek, _dek_aad(store_id, block))


def unwrap_dek(kek: bytes, store_id: bytes, block: int, wrapped: bytes) -> bytes:
    """Return a block's data key. Raises KeyStoreError if the KEK is not the one of this store."""
    try:
        return AESGCM(kek).decrypt(wrapped[:12], wrapped[12:], _dek_aad(store_id, block))
    except InvalidTag as error:
        raise KeyStoreError(
            f"the data key of block {block} does not open with this key-encryption key", remedy="Give the right one; nothing changed."
        ) from error


def _dek_aad(store_id: bytes, block: int) -> bytes:
    return b"HGDEK1" + store_id + struct.pack(">Q", block)


def kek_from_passphrase(passphrase: str, salt: bytes) -> bytes:
    """Return the key-encryption key of a passphrase.  scrypt, N = 2^17, r = 8, p = 1.  salt: 16 bytes, kept by the caller."""
    return Scrypt(salt=salt, length=KEY_BYTES, n=2**17, r=8, p=1).derive(passphrase.encode())


def kek_from_file(path: Path) -> bytes:
    """Return the key-encryption key in a 0600 file, drawing it first if the file is not there.

    Good enough for simulated key only: who copies the folder has the key. Raises StorageError if it cannot be written, KeyStoreError if it is damaged.
    """
    try:
        if not path.exists():
            write_private(path, secrets.token_bytes(KEY_BYTES))
        kek = path.read_bytes()
    except OSError as error:
        raise StorageError(f"the key-encryption key cannot be kept ({error.strerror})", where=str(path), remedy="Make the folder writable.") from error
    if len(kek) != KEY_BYTES:
        raise KeyStoreError(f"{len(kek)} bytes instead of {KEY_BYTES}", where=str(path), remedy="Restore the file; without it the store cannot be read.")
    return kek
