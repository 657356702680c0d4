"""Arrays in files, npz or safetensors, with a text beside them; never pickles.

A file is written beside its place, brought to the disc, and then put into place in one step: whoever reads
sees the old file or the new one, whole, whatever happens in between.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from chainrule.codegen.compiled import library
from chainrule.codegen.interrupts import undisturbed
from chainrule.errors import FileProblem, OptionError
from chainrule.fit.objective import Array

TEXT = "about"  # the name under which the text stands
SUFFIXES = (".npz", ".safetensors")


def write_arrays(path: Path, arrays: Mapping[str, Array], text: str) -> None:
    """Writes a file, as safetensors if its name ends so, else as npz.

    Raises: FileProblem if it cannot be written.
    """
    with undisturbed():
        replace_file(path, _content(path, arrays, text))


def _content(path: Path, arrays: Mapping[str, Array], text: str) -> bytes:
    if path.suffix == ".safetensors":
        tensors = {name: np.array(array, order="C") for name, array in arrays.items()}
        content: bytes = library("safetensors.numpy").save(tensors, metadata={TEXT: text})
        return content
    buffer = io.BytesIO()
    archive = zipfile.ZipFile(buffer, "w")
    for name, array in {TEXT: np.array(text), **arrays}.items():
        # An entry without the time of day, so that equal arrays make equal files.
        with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, array, allow_pickle=False)
    archive.close()
    return buffer.getvalue()


def replace_file(path: Path, content: bytes) -> None:
    """Puts a file into place in one step, so that no half of it is ever seen."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _settle(path.parent)
    except OSError as problem:
        raise FileProblem(f"{path} cannot be written: {problem.strerror or problem}") from None
    finally:
        beside.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Brings the new name to the disc, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_arrays(path: Path) -> tuple[dict[str, Array], str]:
    """The arrays of a file and the text, "" if there is none.

    Raises: FileProblem if the file is missing, damaged, or something else.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileProblem(f"there is no file {path}") from None
    except OSError as problem:
        raise FileProblem(f"{path} cannot be read: {problem.strerror or problem}") from None
    if content[:2] == b"PK":
        return _npz(path, content)
    if path.suffix == ".safetensors" or content[8:9] == b"{":
        return _safetensors(path, content)
    raise FileProblem(
        f"{path} is neither an npz nor a safetensors file" if content else f"{path} is empty",
        hint="such files are written where a result or a checkpoint is saved",
    )


def _npz(path: Path, content: bytes) -> tuple[dict[str, Array], str]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        EOFError,
        OSError,
        KeyError,
        NotImplementedError,
    ) as p:
        raise damaged(path, str(p)) from None
    text = str(arrays.pop(TEXT, ""))
    return arrays, text


def _safetensors(path: Path, content: bytes) -> tuple[dict[str, Array], str]:
    module = library("safetensors")
    try:
        # The library gives them in another order each time.
        arrays = dict(sorted(library("safetensors.numpy").load(content).items()))
        with module.safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(TEXT, "")
    except (module.SafetensorError, ValueError, KeyError) as problem:
        raise damaged(path, str(problem)) from None
    return arrays, text


def damaged(path: Path, reason: str) -> FileProblem:
    """The error for a file that does not hold what it should."""
    return FileProblem(f"{path} is damaged: {reason}", hint="write it anew")


def known_suffix(path: Path) -> None:
    """Raises: OptionError for a name that does not say the format, or if that needs a missing package."""
    if path.suffix not in SUFFIXES:
        raise OptionError(
            f"{path} does not say in which format to save", hint=f"end its name in {' or '.join(SUFFIXES)}"
        )
    if path.suffix == ".safetensors":
        library("safetensors.numpy")
