# SPDX-License-Identifier: Apache-2.0
"""Real parts that a test needs: where one is missing the test is skipped, but in CI it fails."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where CI has promised every part."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have this part: {reason}", pytrace=False)
    pytest.skip(reason)


def program(name: str, package: str) -> str:
    """Give the path of a program from a Debian package."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not installed (Debian package {package})")
    return path
