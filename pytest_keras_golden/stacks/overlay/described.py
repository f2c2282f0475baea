"""What a Python environment is: its markers, and the packages installed in it.

Also run as a script by another environment's Python: only the standard library is imported.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import sysconfig
from email import message_from_string
from email.message import Message
from importlib import metadata
from typing import Any
from urllib.parse import unquote, urlparse


def described() -> dict[str, Any]:
    """Of the running Python: JSON-able."""
    return {
        "executable": sys.executable,
        "tag": tag(),
        "markers": markers(),
        "installed": installed(),
    }


def tag() -> str:
    """What compiled packages are made for: one Python and platform only."""
    name = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{sys.implementation.cache_tag}-{name}"


def markers() -> dict[str, str]:
    """The variables of environment markers (PEP 508)."""
    version = sys.implementation.version
    own = f"{version.major}.{version.minor}.{version.micro}"
    if version.releaselevel != "final":
        own += f"{version.releaselevel[0]}{version.serial}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": own,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def installed() -> dict[str, list[str]]:
    """Normalised name → version, and the folder that the package is imported from."""
    found: dict[str, list[str]] = {}
    for distribution in metadata.distributions():
        said = headers(distribution)
        key = re.sub(r"[-_.]+", "-", said["Name"] or "").lower()
        # The first on sys.path is the one that an import finds.
        if key and key not in found and said["Version"]:
            found[key] = [said["Version"], _folder(distribution)]
    return found


def headers(distribution: metadata.Distribution) -> Message:
    """A package's core metadata without the description behind them, most of the file:
    `importlib.metadata` parses all of it anew for each field that it is asked for."""
    said = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    return message_from_string(said.partition("\n\n")[0])


def _folder(distribution: metadata.Distribution) -> str:
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        origin = {}
    if origin.get("dir_info", {}).get("editable"):
        return unquote(urlparse(origin["url"]).path)
    return str(distribution.locate_file(""))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(described()))
