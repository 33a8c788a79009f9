"""Rows, guard slots and audit links as they stand in the specification."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from heliograph.core.errors import GuardMismatch, KeyStoreError, StorageError, StoreLocked
from heliograph.postprocess.channel import canonical
from heliograph.postprocess.keystore.cipher import (
    Damaged,
    RowPlace,
    kek_from_file,
    kek_from_passphrase,
    open_row,
    seal_row,
    unwrap_dek,
    wrap_dek,
)
from heliograph.postprocess.keystore.database import first_hash, link_hash
from heliograph.postprocess.keystore.guard import Guard, GuardRecord

LINK = bytes(range(0x40, 0x50))
PLACE = RowPlace(LINK, 3, 5, 1234, 1)
CIPHER = AESGCM(bytes(range(32)))
SEALED = "b1b33a5dec8bac3490600d69f190a8a9a24a1e1e38aba6c335734b01630937ed09676245186c2add6026e50f1bcc057e"


def test_the_golden_row():
    assert seal_row(CIPHER, PLACE, bytes(range(0x64, 0x84))).hex() == SEALED
    assert len(PLACE.aad(32)) == 43
    assert open_row(CIPHER, PLACE, bytes.fromhex(SEALED)) == bytes(range(0x64, 0x84))


@pytest.mark.parametrize(
    "place",
    [
        RowPlace(LINK[::-1], 3, 5, 1234, 1),
        RowPlace(LINK, 4, 5, 1234, 1),
        RowPlace(LINK, 3, 6, 1234, 1),
        RowPlace(LINK, 3, 5, 1235, 1),
        RowPlace(LINK, 3, 5, 1234, 2),
    ],
)
def test_a_row_does_not_decrypt_anywhere_else(place):
    with pytest.raises(Damaged):
        open_row(CIPHER, place, bytes.fromhex(SEALED))


def test_the_golden_audit_chain():
    text = canonical.encode({"bits": 1048576, "block": 5, "ev": "ingest", "n": 1, "t": 1700000000000})

    assert first_hash(LINK).hex() == "41913cb97463edcca4329a77c6a301bb003d2598d54fb1cf2dc1d7448f35985d"
    assert link_hash(first_hash(LINK), text).hex() == "3d4932f6fe89a19d0a541e4e0ed3f51a946fd520b80b7f0eceb2a95b8e43dbf9"


def test_the_golden_guard_slot():
    raw = GuardRecord(LINK, 12, 345).pack()

    assert len(raw) == 64
    assert raw[48:].hex() == "ef0eb6fea7579897541eb910cf463583"
    assert GuardRecord.unpack(raw) == GuardRecord(LINK, 12, 345)
    assert GuardRecord.unpack(raw[:20] + b"\1" + raw[21:]) is None


def test_a_torn_guard_slot_leaves_the_one_before(tmp_path):
    path = tmp_path / "guard"
    guard = Guard(path)
    for lease in (1, 2, 3):
        guard.write(GuardRecord(LINK, 1, lease))
    guard.close()
    raw = bytearray(path.read_bytes())
    assert struct.unpack_from(">Q", raw, 32)[0] == 3
    raw[40] ^= 1
    path.write_bytes(raw)

    again = Guard(path)

    assert again.record == GuardRecord(LINK, 1, 2)
    again.close()


def test_a_guard_without_a_valid_slot_is_refused(tmp_path):
    (tmp_path / "guard").write_bytes(bytes(5000))
    guard = Guard(tmp_path / "guard")

    with pytest.raises(GuardMismatch):
        _ = guard.record
    guard.close()


def test_a_guard_has_one_holder(tmp_path):
    guard = Guard(tmp_path / "guard")

    with pytest.raises(StoreLocked):
        Guard(tmp_path / "guard")
    guard.close()


def test_a_guard_that_cannot_be_synced_is_a_storage_error(tmp_path):
    def broken(_file: int) -> None:
        raise OSError(28, "No space left on device")

    guard = Guard(tmp_path / "guard", fsync=broken)

    with pytest.raises(StorageError, match="No space left"):
        guard.write(GuardRecord(LINK, 1, 1))
    guard.close()


def test_a_data_key_opens_with_its_own_kek_store_and_block_only():
    wrapped = wrap_dek(bytes(32), LINK, 3, b"d" * 32)

    assert unwrap_dek(bytes(32), LINK, 3, wrapped) == b"d" * 32
    for kek, store, number in ((b"x" * 32, LINK, 3), (bytes(32), LINK[::-1], 3), (bytes(32), LINK, 4)):
        with pytest.raises(KeyStoreError):
            unwrap_dek(kek, store, number, wrapped)


def test_a_kek_file_is_private_kept_and_checked(tmp_path):
    path = tmp_path / "kek"

    first = kek_from_file(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert kek_from_file(path) == first
    path.write_bytes(b"short")
    with pytest.raises(KeyStoreError, match="5 bytes"):
        kek_from_file(path)


@pytest.mark.slow
def test_a_passphrase_gives_the_key_of_scrypt():
    expected = hashlib.scrypt(b"open sesame", salt=LINK, n=2**17, r=8, p=1, dklen=32, maxmem=2**28)

    assert kek_from_passphrase("open sesame", LINK) == expected
