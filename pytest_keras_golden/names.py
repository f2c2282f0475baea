"""Node ids as portable folders, stacks as file names. Imports no numpy."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from .errors import StoreError

SUFFIX = ".safetensors"
ACCEPTED_FILE = "golden_accepted.toml"
"""Beside the goldens folder: drift that a gate lets through."""

# Half of what file systems allow in one component: room for the hash, and for a deep checkout.
_LONGEST = 120
# A temporary file beside it has a longer name; file systems allow 255 bytes.
_LONGEST_FILE = 200
_HASH_DIGITS = 12
_SLOT_FIX = "every part needs a name; a long dtype policy name needs a shorter one"

_PLAIN = re.compile(r"[a-z0-9_.,=+@()\[\]-]+")
_UNSAFE = re.compile(r"[^\w.,=+@()\[\]-]")
# Windows drops dots at the end, `.` and `..` lead elsewhere, and a folder that is named like a
# golden would be taken for one.
_ENDING = re.compile(r"^$|\.$|(?<=\.safetensor)s$", re.IGNORECASE)
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_ESCAPED = re.compile(r"[^a-z0-9_.+]")
_FILE = re.compile(
    r"keras-([a-z0-9_.+~]+)-([a-z0-9_.+~]+)-([a-z0-9_.+~]+)-([a-z0-9_.+~]+)\.safetensors"
)


def natural(name: str) -> list[tuple[int, str]]:
    """What names are sorted by, so that `[2]` comes before `[10]`."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def golden_folder(nodeid: str) -> PurePosixPath:
    """The folder of a test's goldens, relative to the goldens folder.

    `tests/test_a.py::TestB::test_c[1-x]` becomes `tests/test_a/TestB.test_c[1-x]`. Ids that some
    file system would not keep apart (capitals, unicode forms), not accept (reserved names,
    characters, lengths) or that would lead out of the folder (`..`) have the offending parts
    replaced and end in `~` and 12 hex digits of their SHA-256. Different ids never share a
    folder, on case-insensitive file systems either. Of class names that differ by case only,
    `TestName`, `NameTest`, `NameTests`, `NameTestCase` and `Name` go without the hash.
    """
    file, _, test = nodeid.partition("::")
    head, bracket, parameters = test.partition("[")
    names = head.split("::")
    wanted = [*file.removesuffix(".py").split("/"), ".".join(names) + bracket + parameters]
    parts = [_portable(part) for part in wanted]
    if parts != wanted or not _plain(file, names, bracket + parameters):
        parts[-1] = _hashed(parts[-1], nodeid)
    return PurePosixPath(*parts)


def _plain(file: str, names: list[str], parameters: str) -> bool:
    """Whether the folder leads back to this id alone, whatever becomes of its capitals."""
    *classes, function = names
    return (
        file.endswith(".py")
        and not any("." in name for name in names)
        and all(name.isascii() and name == _class_case(name) for name in classes)
        and _PLAIN.fullmatch(file.replace("/", "") + function + parameters) is not None
    )


def _class_case(name: str) -> str:
    """The one spelling of a class name that needs no hash, among all that differ by case only."""
    lower = name.lower()
    if lower.startswith("test"):
        return "Test" + lower[4:].capitalize()
    stem = re.sub(r"test(s|case)?$", "", lower)
    ending = {"": "", "test": "Test", "tests": "Tests", "testcase": "TestCase"}[lower[len(stem) :]]
    return stem.capitalize() + ending


def _portable(part: str) -> str:
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", part))
    text = _ENDING.sub("_", text)
    text = f"_{text}" if _RESERVED.fullmatch(text) else text
    return _cut(text, _LONGEST)


def _hashed(part: str, nodeid: str) -> str:
    mark = sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{_cut(part, _LONGEST - _HASH_DIGITS - 1)}~{mark}"


def _cut(text: str, length: int) -> str:
    """At most `length` bytes of UTF-8, whole characters, no dot at the end."""
    cut = text.encode()[:length].decode("utf-8", "ignore")
    return cut if cut == text else _ENDING.sub("_", cut)


@dataclass(frozen=True, slots=True)
class Slot:
    """What names a golden file: a Keras version, backend, device and dtype policy.

    `filename` and `parse` are inverse; characters that a file system or the separator `-` would
    not carry (capitals too) are written as `~` and two hex digits per UTF-8 byte.
    """

    keras: str
    backend: str
    device: str
    policy: str

    @property
    def filename(self) -> str:
        """`keras-<version>-<backend>-<device>-<dtype policy>.safetensors`.

        Raises StoreError where a field is empty or the name is too long for a file system.
        """
        fields = (self.keras, self.backend, self.device, self.policy)
        name = "-".join(("keras", *map(_escape, fields))) + SUFFIX
        if len(name) > _LONGEST_FILE or not all(fields):
            raise StoreError(f"{self}: no file name can be made of it", _SLOT_FIX)
        return name

    @property
    def family(self) -> tuple[str, str, str]:
        """What goldens must share to be compared: backend, device, dtype policy."""
        return (self.backend, self.device, self.policy)

    @classmethod
    def parse(cls, filename: str) -> Slot | None:
        """The slot of a golden's file name; None for any name that `filename` would not give."""
        match = _FILE.fullmatch(filename)
        if match is None:
            return None
        try:
            slot = cls(*map(_unescape, match.groups()))
            return slot if slot.filename == filename else None
        except (UnicodeDecodeError, StoreError):
            return None


def _escape(field: str) -> str:
    return _ESCAPED.sub(
        lambda match: "".join(f"~{byte:02x}" for byte in match[0].encode("utf-8", "replace")), field
    )


def _unescape(field: str) -> str:
    return re.sub(
        rb"~([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), field.encode()
    ).decode()
