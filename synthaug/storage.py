"""Outputs that appear whole or not at all, and digests that name their content."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from synthaug.errors import ConfigError, FormatError, OutputExistsError

PARTIAL_SUFFIX = ".partial"
MANIFEST, METADATA, BANK = ".synthaug.json", "metadata.parquet", "bank.json"
"""In outputs of samples: what they are to become; beside image folders, a table of them by file; in banks, the header.
The first is hidden, because readers of Parquet and image folders take every visible file for data."""
LOCK = ".lock"
"""Held while a process works in a folder over a long time."""
_ANYWHERE = ("cli.yaml", ".cli.yaml", ".DS_Store", "Thumbs.db")
"""Beside any output: what the command line leaves, and what file managers do."""
_LEFTOVER = re.compile(r"\.(.+?)(?:\.\d+(?:-\d+)?\.tmp|\.new|\.old|\.gone)")
"""Names under which a kill leaves what was being written or replaced."""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


UMASK = _umask()
"""Which permissions new files lack. Asked once: to ask is to change it for a moment, for all threads."""


class Contents(NamedTuple):
    """What a kind of output holds. By that, an earlier one is told from a folder that is the user's.

    Attributes:
        name: What messages call it.
        marks: Every such output has one of these: names or patterns.
        others: The rest. All in a folder of such a name belongs to the output; one with a slash is of files in folders.
        proof: By mark: keys that its JSON has. A file of that name without them, ``config.json`` say, is another's.
    """

    name: str
    marks: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    proof: Mapping[str, Sequence[str]] = MappingProxyType({})

    def marked(self, folder: Path) -> bool:
        """Say whether such an output is, or was begun, in a folder, whatever else is there."""
        return any(self._proves(file, mark) for mark in self.marks for file in folder.glob(mark))

    def _proves(self, file: Path, mark: str) -> bool:
        keys = self.proof.get(mark, ())
        return not keys or _json_keys(file).issuperset(keys)

    def strangers(self, folder: Path) -> list[str]:
        """Return the names of what else is in a folder, which is everything where no mark is."""
        if not self.marked(folder):
            return sorted(entry.name for entry in folder.iterdir() if entry.name not in _ANYWHERE)
        found = []
        for entry in folder.iterdir():
            if self._holds(entry.name):
                continue
            inside = [f"{entry.name}/{file.name}" for file in entry.iterdir()] if entry.is_dir() else [entry.name]
            found += [name for name in inside if not self._holds(name) and Path(name).name not in _ANYWHERE]
        return sorted(found)

    def _holds(self, name: str) -> bool:
        leftover = _LEFTOVER.fullmatch(name)
        known = (*self.marks, *self.others, *_ANYWHERE)
        return any(fnmatch.fnmatchcase(leftover[1] if leftover else name, pattern) for pattern in known)


NOTHING = Contents("output")


def _json_keys(file: Path) -> set[str]:
    """Return the keys of a JSON object; none of what is no such file."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(value) if isinstance(value, dict) else set()


def partial_path(path: Path) -> Path:
    """Return the hidden sibling under which ``path`` is built before it is renamed into place."""
    return path.with_name(f".{path.name}{PARTIAL_SUFFIX}")


def output_folder(
    path: str | Path,
    *,
    overwrite: bool = False,
    what: str = "output folder",
    contents: Contents = NOTHING,
    in_place: bool = False,
) -> Path:
    """Return the folder that an output goes to, ``~`` and links followed, once it is sure that it can and may.

    To be called before the work begins. What a kill of `publish` had left aside is put back or cleared away first.

    Args:
        path: As the user names it.
        overwrite: Whether an earlier output there may be replaced. Nothing else ever is.
        what: Begins the messages.
        contents: Of an earlier output.
        in_place: The folder is written into, and not replaced as a whole.

    Raises:
        OutputExistsError: If ``path`` holds data and ``overwrite`` is false, or data that are not such an output; if it
            or a parent is a file; or if it cannot be replaced as a whole.
        ConfigError: If there is no permission to write there.
    """
    folder = Path(path).expanduser().resolve()
    _check_place(folder if in_place else folder.parent, folder, what)
    put_back(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{what}: expected a folder to write to, but {folder} is a file. Choose another path.")
    if not in_place and (folder in (Path.cwd(), *Path.cwd().parents) or os.path.ismount(folder)):
        raise OutputExistsError(
            f"{what}: expected a new folder, but got {path}, which cannot be replaced as a whole: it is the current "
            "one, holds that, or is a mount point. Name a folder in it."
        )
    if not folder.is_dir() or not any(folder.iterdir()):
        return folder
    if strangers := contents.strangers(folder):
        shown = ", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else "")
        why = f", but no {contents.name} of synthaug, so even --overwrite leaves it as it is. Choose another path."
        if contents.marked(folder):
            why = f" beside the {contents.name} of synthaug. Move that away, since --overwrite would delete it, too."
        raise OutputExistsError(f"{what}: {folder} holds {shown}{why}")
    _refuse(folder, overwrite, what)
    return folder


def refuse_existing(path: str | Path, overwrite: bool, what: str) -> None:
    """Raise before the work begins if a file cannot be written, or is already there and ``overwrite`` is false.

    Raises:
        OutputExistsError: If the file is there and ``overwrite`` is false, if it is a folder, or a parent is a file.
        ConfigError: If there is no permission to write there.
    """
    file = Path(path).expanduser().resolve()
    _check_place(file.parent, file, what)
    if file.is_dir():
        raise OutputExistsError(f"{what}: expected a file to write, but {file} is a folder. Name a file in it.")
    if file.exists():
        _refuse(file, overwrite, what)


def _refuse(path: Path, overwrite: bool, what: str) -> None:
    if not overwrite:
        raise OutputExistsError(
            f"{what}: expected a new or empty path, but {path} already holds data. "
            "Choose another path, or pass overwrite=True (--overwrite) to replace it."
        )


def _check_place(place: Path, path: Path, what: str) -> None:
    """Refuse ``path`` unless ``place``, or the nearest of its parents that exists, is a folder to write in."""
    nearest = Path(place.anchor)
    for folder in (*reversed(place.parents), place):
        if not os.access(nearest, os.X_OK) or not folder.exists():
            break
        if not folder.is_dir():
            raise OutputExistsError(f"{what}: cannot write {path}: {folder} is a file. Choose another path.")
        nearest = folder
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{what}: cannot write {path}: no permission to write in {nearest}. Choose another path.")


def publish(partial: Path, path: Path) -> None:
    """Rename a finished folder into place, replacing what was there only once the new one is whole."""
    if path.is_dir() and any(path.iterdir()):
        set_aside(path)
        try:
            partial.rename(path)
        except OSError:
            put_back(path)
            raise
        forget_aside(path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            path.rmdir()
        partial.rename(path)


def set_aside(path: Path) -> None:
    """Move an output away, to its hidden sibling, until the one that replaces it is there."""
    forget_aside(path)
    path.rename(_sibling(path, "old"))


def forget_aside(path: Path) -> None:
    """Delete what `set_aside` moved away. A kill in between leaves nothing that `put_back` takes for whole."""
    old, gone = _sibling(path, "old"), _sibling(path, "gone")
    shutil.rmtree(gone, ignore_errors=True)
    if old.is_dir():
        old.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def put_back(path: Path) -> None:
    """Bring back what `set_aside` had moved away when a kill came before the new folder was in its place."""
    if not path.name:  # the root folder has no siblings
        return
    shutil.rmtree(_sibling(path, "gone"), ignore_errors=True)
    old = _sibling(path, "old")
    if old.is_dir() and not path.exists():
        old.rename(path)


def empty(folder: Path) -> None:
    """Delete all that is in a folder, if it is there; it stays, since it may be the current one or have a link."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{suffix}")


@contextlib.contextmanager
def new_directory(
    path: str | Path, *, overwrite: bool = False, what: str = "output folder", contents: Contents = NOTHING
) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends without an error.

    Args:
        path: As of `output_folder`, which is asked first, and so for the others.
        overwrite: Whether an earlier output there may be replaced.
        what: Begins the messages.
        contents: Of an earlier output.

    Raises:
        OutputExistsError: If ``path`` holds data and ``overwrite`` is false, or data that are not such an output.
        ConfigError: If there is no permission to write there.
    """
    folder = output_folder(path, overwrite=overwrite, what=what, contents=contents)
    partial = _sibling(folder, "new")  # another than that of a run that goes on after a kill
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    publish(partial, folder)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for this process, where the system knows such; a killed process lets go of it.

    Raises:
        OutputExistsError: If another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with path.open("w", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputExistsError(
                f"another process is writing to {path.parent}; wait for it or choose another path."
            ) from None
        yield


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it atomically when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield temporary
        with contextlib.suppress(OSError):  # of file systems without modes, and of files that were not made
            temporary.chmod(0o666 & ~UMASK)  # some libraries make files that their owner alone may read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FormatError: If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FormatError(f"expected the file {path.name} in {path.parent}, but it is missing.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}") from error


def digest(*parts: bytes | str | Path) -> str:
    """Return the SHA-256 (hex) of byte strings, texts and the contents of files, in order.

    Each part is length-prefixed, so ``digest("ab", "c")`` and ``digest("a", "bc")`` differ.
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            total.update(f"file {part.stat().st_size}\0".encode())
            with part.open("rb") as stream:
                while block := stream.read(1 << 20):
                    total.update(block)
        else:
            data = part.encode() if isinstance(part, str) else part
            total.update(f"bytes {len(data)}\0".encode() + data)
    return total.hexdigest()


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
