"""Class names as folder names: never out of the folder, never two in one, on any file system."""

from __future__ import annotations

import collections
import hashlib
import unicodedata
from collections.abc import Sequence

_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(1, 10)}
_MOST_BYTES = 150
_PLAIN = "-_ .()+,&'"
"""Besides letters and digits: what every file system and shell-free tool takes inside a name."""


def folder_names(classes: Sequence[str]) -> list[str]:
    """Return a folder name for each class name: the name itself where that is safe, else percent-encoded.

    The names are distinct even where case does not count, hold no separator, are neither empty nor hidden nor
    reserved on Windows, and are at most 255 bytes long.

    Example:
        >>> folder_names(["sneaker", "T-shirt/top", "../x", "", "con"])
        ['sneaker', 'T-shirt%2Ftop', '%2E.%2Fx', '%', '%63on']
    """
    names = [_escape(name) for name in classes]
    taken = collections.Counter(folder.casefold() for folder in names)
    return [
        folder if taken[folder.casefold()] == 1 else _escape(name, keep_case=False)
        for name, folder in zip(classes, names, strict=True)
    ]


def _escape(name: str, keep_case: bool = True) -> str:
    if not name:
        return "%"
    # Two spellings of one accent would meet in one folder on macOS; only the composed one is kept as it is.
    keep_unicode = keep_case and unicodedata.normalize("NFC", name) == name
    encoded = "".join(
        character if _is_plain(character, keep_case, keep_unicode) else _percent(character) for character in name
    )
    if encoded[0] in ". ":
        encoded = _percent(encoded[0]) + encoded[1:]
    if encoded[-1] in ". ":
        encoded = encoded[:-1] + _percent(encoded[-1])
    if encoded.split(".")[0].rstrip().lower() in _RESERVED:
        encoded = _percent(encoded[0]) + encoded[1:]
    if len(encoded.encode()) > _MOST_BYTES:
        # The "%-" appears nowhere else, and the digest keeps long names with one beginning apart.
        beginning = encoded.encode()[: _MOST_BYTES // 2].decode(errors="ignore")
        encoded = f"{beginning}%-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:32]}"
    return encoded


def _is_plain(character: str, keep_case: bool, keep_unicode: bool) -> bool:
    if character.isascii():
        return character in _PLAIN or (character.isalnum() and (keep_case or not character.isupper()))
    return keep_unicode and character.isalnum()


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))
