# SPDX-License-Identifier: Apache-2.0
"""The one place that decides who may do what: the rule table, the client's role, browsers, hosts and targets.

But for `token_files` nothing here opens anything or reads a clock; what must be looked up is handed in as a callable.
What one request may do is asked of the `Gate`, and of nothing else.
"""
