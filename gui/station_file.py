"""The station file as the editor has it: read, told apart from what others wrote meanwhile, and saved so that nothing is ever lost."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..core.answers import answer
from ..core.errors import ConfigError, HeliographError, StorageError
from ..core.files import write_private

_LINE = re.compile(r"\bline (\d+)")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.  line: of the fault, from 1; 0 where it has none.  text: what, and what to do; or that all is well."""

    valid: bool
    text: str
    line: int = 0


class StationFile:
    """One file in the editor.  text: as it was read or saved last, lines ended by line feeds alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = self._read()

    def _read(self) -> bytes:
        try:
            raw = self.path.read_bytes()
            raw.decode()
        except OSError as error:
            raise ConfigError(f"the station file cannot be read ({error.strerror})", where=str(self.path), remedy="Check its name and rights.") from error
        except UnicodeDecodeError as error:
            raise ConfigError("this is no text in UTF-8", where=str(self.path), remedy="Choose a station file (TOML).") from error
        return raw

    @property
    def text(self) -> str:
        """Return the text."""
        return self._bytes.decode().replace("\r\n", "\n")

    @property
    def sha256(self) -> str:
        """Return the digest of what was read or saved last, as the owner tells that of its station."""
        return hashlib.sha256(self._bytes).hexdigest()

    def changed_by_others(self) -> bool:
        """Say whether the file is no longer what was read; one that is gone counts as changed."""
        try:
            return self.path.read_bytes() != self._bytes
        except OSError:
            return True

    def reload(self) -> None:
        """Read it anew. Raises ConfigError."""
        self._bytes = self._read()

    def save(self, text: str) -> Path | None:
        """Replace the file in one step, and return where its old contents are kept, None where there were none.

        Line ends stay as they are in the file. Raises StorageError; then the file is as it was.
        """
        raw = text.replace("\n", "\r\n").encode() if b"\r\n" in self._bytes else text.encode()
        try:
            backup = self._backup()
            write_private(self.path, raw)
            if backup is not None:
                shutil.copymode(backup, self.path)
        except OSError as error:
            told = f"the station file cannot be saved ({error.strerror})"
            raise StorageError(told, where=str(self.path), remedy="It is as it was. Make room, or copy the text to another place.") from error
        self._bytes = raw
        return backup

    def _backup(self) -> Path | None:
        if not self.path.exists():
            return None
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        backup = self.path.with_name(f"{self.path.name}.{stamp}.bak")
        number = 1
        while backup.exists():
            number += 1
            backup = self.path.with_name(f"{self.path.name}.{stamp}-{number}.bak")
        shutil.copy2(self.path, backup)
        return backup


def checked(said: str | bytes, complaints: str | bytes, checked_path: Path, shown_as: Path) -> Checked:
    """Return what `station check --json` said on its two outputs.  checked_path: of the copy that was checked, which is told as `shown_as`."""
    try:
        reply = answer(said, complaints=complaints, who="the check", where="", remedy="Run `heliograph station check` in a terminal.")
    except HeliographError as error:
        where, message, remedy = (text.replace(str(checked_path), shown_as.name) for text in (error.where, error.message, error.remedy))
        found = _LINE.search(where) or _LINE.search(message)
        told = f"{where}: {message}" if where else message
        return Checked(False, f"{told}. {remedy}".rstrip(), int(found[1]) if found else 0)
    return Checked(bool(reply.get("valid")), "No fault found. Names, units and the light trains of the loop are right.")
