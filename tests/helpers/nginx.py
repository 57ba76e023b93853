# SPDX-License-Identifier: Apache-2.0
"""A real nginx before a frontend, under a sub-path, as an ingress would be set up.

Source: the reference of nginx's http core and proxy modules.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.parts import missing
from tests.helpers.ports import free_port
from tests.helpers.waiting import wait_until

STOP_S = 20.0
_CONFIGURATION = """\
{user}worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location {prefix} {{
      proxy_pass {address};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


@contextmanager
def nginx_before(address: str, prefix: str, directory: Path) -> Iterator[str]:
    """Serve the frontend at `address` under `prefix` (`/lmcache/`); give the new address. Skips without nginx."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        missing("nginx is not installed (Debian package nginx-light)")
    port = free_port()
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(user=user, directory=directory, port=port, prefix=prefix, address=address)
    )
    process = subprocess.Popen([program, "-c", str(configuration), "-e", str(directory / "error.log")])
    try:
        wait_until(lambda: _accepts(port), timeout_s=STOP_S)
        yield f"http://127.0.0.1:{port}{prefix}"
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
