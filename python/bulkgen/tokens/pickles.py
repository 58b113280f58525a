"""Read dictionaries out of pickles without running what a pickle may ask to run.

A pickle is a program. This reader lets through the few instructions that a flat dictionary of strings and
numbers needs, and gives NumPy's scalars to stand-ins that only decode bytes: no module is imported and no
function of another package is called, whatever the file says. The result is checked once more at the end.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from typing import TYPE_CHECKING, NoReturn, cast

from bulkgen.errors import UnsafePickleError, VocabularyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["MAX_BYTES", "read_bytes", "read_pickle"]

#: The most instructions that are looked at; Geneformer's largest dictionary has 585,179.
MAX_INSTRUCTIONS = 4_000_000
#: The largest dictionary file that is read; Geneformer's largest is 4 MB.
MAX_BYTES = 32 * 2**20

_REMEDY = "get the file from where you trust it, or store the dictionary as JSON"

# Instructions of a flat dictionary whose values may be NumPy scalars, at pickle protocols 2 to 5. There is no
# list, set, object, persistent id or extension code among them, and no bytes longer than 255.
_PLAIN = frozenset(
    [
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "EMPTY_DICT",
        "SETITEM",
        "SETITEMS",
        "MEMOIZE",
        "BINPUT",
        "LONG_BINPUT",
        "BINGET",
        "LONG_BINGET",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "NEWTRUE",
        "NEWFALSE",
        "NONE",
        "SHORT_BINBYTES",
        "TUPLE",
        "TUPLE2",
        "TUPLE3",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
    ]
)
_MEMO = frozenset(["MEMOIZE", "BINPUT", "LONG_BINPUT"])
_FORMATS = {"i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}
_FORMATS |= {"f2": "e", "f4": "f", "f8": "d"}
_NUMPY_SCALAR = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_NUMPY_DTYPE = "numpy.dtype"


def read_bytes(path: Path) -> bytes:
    """Return the content of a dictionary file.

    Raises
    ------
    VocabularyError
        If it is larger than :data:`MAX_BYTES`, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise VocabularyError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise VocabularyError(
            f"{path} is larger than {MAX_BYTES // 2**20} MB, far beyond any gene dictionary; is it the right file?"
        )
    return content


def read_pickle(content: bytes, *, source: str, trusted: bool = False) -> dict[str, str | int | float]:
    """Read a flat dictionary of strings and numbers out of a pickle.

    Parameters
    ----------
    content
        The pickle.
    source
        Its name, for messages.
    trusted
        The content is known byte for byte (by its SHA-256): leave out the scan of its instructions, which
        takes most of the time. Functions are looked up in the allow-list all the same.

    Returns
    -------
    dict
        NumPy scalars have become plain numbers.

    Raises
    ------
    UnsafePickleError
        If the pickle asks for anything else; the message names it. Nothing of it has run.
    VocabularyError
        If it is truncated or not a pickle.
    """
    if not trusted:
        _scan(content, source)
    try:
        value = _Reader(content, source).load()
    except UnsafePickleError:
        raise
    # damaged input can make the unpickler raise almost anything
    except Exception as error:
        raise VocabularyError(f"{source} is truncated or not a pickle: {error}") from error
    return _flat(value, source)


def _scan(content: bytes, source: str) -> None:
    """Refuse instructions that a dictionary does not need, before any of them is carried out."""
    refused: str | None = None
    strings = ["?", "?"]
    previous = ""
    dictionaries = instructions = 0
    try:
        for opcode, argument, _ in cast(
            "Iterator[tuple[pickletools.OpcodeInfo, str | int, int]]", pickletools.genops(content)
        ):
            name = opcode.name
            instructions += 1
            if instructions > MAX_INSTRUCTIONS:
                refused = refused or f"more than {MAX_INSTRUCTIONS:,} instructions"
                break
            if name == "GLOBAL":
                _check_global(str(argument).replace(" ", ".", 1), source)
            elif name == "STACK_GLOBAL":
                # a name fetched from the memo may be another string than the last; _Reader.find_class decides
                _check_global(".".join(strings), source)
            elif name in ("SHORT_BINUNICODE", "BINUNICODE"):
                strings = [strings[1], str(argument)]
            elif name in ("BINPUT", "LONG_BINPUT") and int(argument) > len(content):
                # the unpickler allocates a memo of this many places
                refused = refused or f"{name} {argument}, which claims more memory than the file can need"
            elif name == "EMPTY_DICT":
                dictionaries += 1
            if name not in _PLAIN:
                refused = refused or f"the instruction {name}"
            elif previous.startswith("TUPLE") and name not in _MEMO and name not in ("REDUCE", "BUILD"):
                refused = refused or "tuples as data"
            if name not in _MEMO:
                previous = name
    except UnsafePickleError:
        raise
    except ValueError as error:
        if refused is None:
            raise VocabularyError(f"{source} is truncated or not a pickle: {error}") from error
    if refused is None and dictionaries > 1:
        refused = f"{dictionaries} dictionaries in one another"
    if refused is not None:
        raise UnsafePickleError(
            f"{source} asks for {refused}; a gene dictionary holds strings and numbers only: {_REMEDY}"
        )


def _check_global(name: str, source: str) -> None:
    if name not in _NUMPY_SCALAR and name != _NUMPY_DTYPE:
        raise UnsafePickleError(
            f"{source} asks to call {name}; a gene dictionary holds strings and numbers only: {_REMEDY}"
        )


class _Reader(pickle.Unpickler):
    """The unpickler, with stand-ins for the two functions of NumPy and nothing else."""

    def __init__(self, content: bytes, source: str) -> None:
        super().__init__(io.BytesIO(content))
        self._source = source

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        asked = f"{module}.{name}"
        _check_global(asked, self._source)
        return _DTYPE if asked == _NUMPY_DTYPE else _SCALAR

    def persistent_load(self, pid: object) -> NoReturn:
        raise UnsafePickleError(f"{self._source} asks for a persistent object ({type(pid).__name__}): {_REMEDY}")


class _Dtype:
    """Stands in for `numpy.dtype`: a plain number's kind, size and byte order."""

    __slots__ = ("_unpack", "code")

    def __init__(self, code: str) -> None:
        self.code = code
        self._unpack = struct.Struct("=" + _FORMATS[code])

    def __setstate__(self, state: tuple[int, str, *tuple[object, ...]]) -> None:
        order = state[1]
        # the rest of the state describes fields and sub-arrays, which a plain number has not
        if order not in ("<", ">", "=", "|") or any(part not in (None, -1, 0) for part in state[2:]):
            raise UnsafePickleError("a pickle describes a structured NumPy type where a plain number is expected")
        self._unpack = struct.Struct(order.replace("|", "=") + _FORMATS[self.code])

    def decode(self, data: bytes) -> int | float:
        value: int | float = self._unpack.unpack(data)[0]
        return value


class _StandIn:
    """A function that a pickle can call but not change (it has no attributes to set)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise UnsafePickleError("a pickle tries to change a function")


def _dtype(code: object, align: object = False, copy: object = False) -> _Dtype:  # noqa: FBT002 - NumPy's
    if not isinstance(code, str) or code not in _FORMATS:
        raise UnsafePickleError(f"a pickle asks for the NumPy type {code!r:.40}; only plain numbers are read")
    return _Dtype(code)


def _scalar(dtype: object, data: object) -> int | float:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
        raise UnsafePickleError("a pickle asks for a NumPy scalar that is not a plain number")
    return dtype.decode(data)


_DTYPE = _StandIn(_dtype)
_SCALAR = _StandIn(_scalar)


def _flat(value: object, source: str) -> dict[str, str | int | float]:
    """Return `value` if it is a flat dictionary of strings and numbers."""
    if type(value) is not dict:
        raise UnsafePickleError(f"{source} holds a {type(value).__name__}, not a dictionary: {_REMEDY}")
    for key, item in value.items():
        if type(key) is not str or type(item) not in (str, int, float):
            raise UnsafePickleError(
                f"{source} holds a {type(item).__name__} under a {type(key).__name__}; a gene dictionary "
                f"holds strings and numbers under strings: {_REMEDY}"
            )
    return value
