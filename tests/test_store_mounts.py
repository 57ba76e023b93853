# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.store.mounts import network_file_system

MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /dev rw,nosuid - devtmpfs udev rw
30 22 0:40 / /home rw,relatime shared:5 master:3 - nfs4 server:/export rw,vers=4.2
31 30 254:1 / /home/local rw - xfs /dev/vdb rw
32 22 0:41 / /with\\040space\\134x rw - cifs //server/share rw
33 22 0:42 / /fuse/far rw - fuse.sshfs user@host: rw
34 22 0:43 / /fuse/near rw - fuse.ntfs-3g /dev/sdc1 rw
35 22 0:44 / /twice rw - nfs server:/a rw
36 22 0:45 / /twice rw - tmpfs tmpfs rw
37 22 0:46 / /wsl rw - 9p drvfs rw
38 22 0:47 / /merged rw - overlay overlay rw

cut off
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/x.db", ""),
        ("/home", "nfs4"),
        ("/home/me/.local/state/lmcache-frontend/8080.db", "nfs4"),
        ("/home/local/x.db", ""),
        ("/homeless/x.db", ""),
        ("/with space\\x/x.db", "cifs"),
        ("/fuse/far/x.db", "fuse.sshfs"),
        ("/fuse/near/x.db", ""),
        ("/twice/x.db", ""),
        ("/wsl/x.db", "9p"),
        ("/merged/x.db", ""),
        ("/", ""),
    ],
)
def test_the_mount_that_a_path_lies_on_decides(path: str, kind: str) -> None:
    assert network_file_system(path, MOUNTINFO) == kind


def test_where_nothing_is_known_a_path_counts_as_local() -> None:
    assert network_file_system("/home/x.db", "") == ""
