# SPDX-License-Identifier: Apache-2.0
"""Prometheus text: parse what nodes say, keep it small, merge it into one exposition, render our own figures. Pure."""
