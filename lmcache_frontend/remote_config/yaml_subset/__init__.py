# SPDX-License-Identifier: Apache-2.0
"""YAML as LMCache's configuration files use it: read as PyYAML's ``safe_load`` reads it, or refused."""

from __future__ import annotations

from lmcache_frontend.remote_config.yaml_subset.faults import YamlError
from lmcache_frontend.remote_config.yaml_subset.reader import load
from lmcache_frontend.remote_config.yaml_subset.writer import dump

__all__ = ["YamlError", "dump", "load"]
