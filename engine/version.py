"""The version that is installed, for headers of journals and for people."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("seeddrill")
except PackageNotFoundError:  # a checkout that was not installed
    VERSION = "0+checkout"
