# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.exposition.blocks import make_blocks
from lmcache_frontend.exposition.merge import merge
from lmcache_frontend.exposition.scan import scan
from tests.helpers.expositions import recorded


def relabelled(text: str, *labels: tuple[str, str]) -> list[str]:
    """Give the sample lines of one node."""
    merged = b"".join(merge([make_blocks(text, labels).blocks])).decode()
    return [line for line in merged.split("\n") if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x 1", 'x{node="n"} 1'),
        ("x{} 1", 'x{node="n"} 1'),
        ('x{a="b"} 1', 'x{node="n",a="b"} 1'),
        ('x { a = "b" , } 1 1795289295000', 'x{node="n",a="b"} 1'),
        ('x{node="m"} 1', 'x{node="n",exported_node="m"} 1'),
        ('x{node="m",exported_node="l"} 1', 'x{node="n",exported_exported_node="m",exported_node="l"} 1'),
        (
            'x{exported_exported_node="k",exported_node="l",node="m"} 1',
            'x{node="n",exported_exported_node="k",exported_node="l",exported_exported_exported_node="m"} 1',
        ),
        ('x{xnode="m",nodes="node="} 1', 'x{node="n",xnode="m",nodes="node="} 1'),
        ('x{a="\\"\\\\\\n}{,é"} 1', 'x{node="n",a="\\"\\\\\\n}{,é"} 1'),
        ("x NaN", 'x{node="n"} NaN'),
        ("x +Inf", 'x{node="n"} +Inf'),
    ],
)
def test_the_label_is_put_into_every_sample(line: str, expected: str) -> None:
    assert relabelled(f"{line}\n", ("node", "n")) == [expected]


def test_two_labels_and_no_label() -> None:
    assert relabelled('x{proxy="p"} 1\n', ("node", "n"), ("proxy", "q")) == [
        'x{node="n",proxy="q",exported_proxy="p"} 1'
    ]
    assert relabelled('x{node="p"} 1\ny 2\n') == ['x{node="p"} 1', "y 2"]


def test_labels_that_are_named_like_renamed_ones_find_free_names() -> None:
    labels = (("node", "n"), ("exported_node", "e"))
    expected = 'x{node="n",exported_node="e",exported_exported_node="1",exported_exported_exported_node="2"} 1'
    assert relabelled('x{node="1",exported_node="2"} 1\n', *labels) == [expected]


def test_a_name_of_a_node_is_escaped() -> None:
    assert relabelled("x 1\n", ("node", 'a"\\\nb')) == ['x{node="a\\"\\\\\\nb"} 1']


def test_a_label_that_becomes_one_that_is_there_makes_a_repeated_sample() -> None:
    made = make_blocks('x{exported_node="1"} 1\nx{node="1"} 2\ny{node="1"} 3\n', [("node", "n")])
    assert (made.dropped, made.blocks.samples) == (1, 2)
    assert "once they are renamed" in made.faults[0]
    assert b"".join(merge([made.blocks])).count(b'x{node="n",exported_node="1"}') == 1


def test_faults_are_those_of_the_body() -> None:
    made = make_blocks("x 1\nx 2\n<\n", [("node", "n")])
    assert made.dropped == 2
    assert [fault.partition(":")[0] for fault in made.faults] == ["line 3", "line 2"]
    assert made.blocks.samples == 1


def test_a_body_that_was_read_already_gives_the_same_blocks() -> None:
    text = recorded("multiprocess")
    assert make_blocks(scan(text), [("node", "n")]) == make_blocks(text, [("node", "n")])


def test_blocks_are_small_and_nodes_of_one_layout_share_their_heads() -> None:
    text = recorded("in_process")
    one, other = (make_blocks(text, [("node", f"n{number}")]).blocks for number in range(2))
    assert one.heads is other.heads
    assert one.samples == sum(1 for line in text.splitlines() if not line.startswith("#"))
    assert one.stored_bytes < 12 * 1024
    assert len(one.chunks) > 2


def test_blocks_can_be_kept_and_compared() -> None:
    assert hash(make_blocks("x 1\n", [("node", "n")]).blocks) == hash(make_blocks("x 1\n", [("node", "n")]).blocks)
    empty = make_blocks("", [("node", "n")])
    assert (empty.blocks.heads, empty.blocks.chunks, empty.faults, empty.dropped) == ((), (), [], 0)


def test_a_lone_surrogate_does_no_harm() -> None:
    assert relabelled('x{a="\ud800"} 1\n', ("node", "n")) == ['x{node="n",a="?"} 1']
