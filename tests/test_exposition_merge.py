# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
import re

import pytest

from lmcache_frontend.exposition.blocks import Blocks, make_blocks
from lmcache_frontend.exposition.merge import conflicts, merge
from lmcache_frontend.exposition.parse import parse
from tests.helpers.expositions import Series, check_openmetrics, random_body, recorded, series


def node(name: str, text: str) -> Blocks:
    """Make the blocks of a node of this name."""
    return make_blocks(text, [("node", name)] if name else []).blocks


def merged(*blocks: Blocks, openmetrics: bool = False) -> str:
    return b"".join(merge(blocks, openmetrics=openmetrics)).decode()


def recorded_fleet() -> list[Blocks]:
    return [
        node("worker-0", recorded("in_process")),
        node("worker-1", recorded("in_process").replace('worker_id="0"', 'worker_id="1"')),
        node("mp-0", recorded("multiprocess")),
    ]


def test_each_family_is_there_once_with_the_samples_of_all_nodes() -> None:
    text = '# HELP x Help of {}\n# TYPE x gauge\nx{{a="b"}} {}\n# TYPE y counter\ny 5\n'
    assert merged(node("a", text.format("a", 1)), node("b", text.format("b", 2))) == (
        '# HELP x Help of a\n# TYPE x gauge\nx{node="a",a="b"} 1\nx{node="b",a="b"} 2\n'
        '# TYPE y counter\ny{node="a"} 5\ny{node="b"} 5\n'
    )


def test_no_nodes_make_an_empty_exposition() -> None:
    assert merged() == ""
    assert merged(openmetrics=True) == "# EOF\n"
    assert merged(node("a", "")) == ""


def test_help_of_a_later_node_is_taken_where_the_first_has_none() -> None:
    text = merged(node("a", "# TYPE x gauge\nx 1\n"), node("b", "# TYPE x gauge\n# HELP x said \\\\\nx 2\n"))
    assert text.startswith("# HELP x said \\\\\n# TYPE x gauge\n")


def test_a_family_without_samples_keeps_its_description() -> None:
    text = "# HELP h None yet\n# TYPE h histogram\n"
    assert merged(node("a", text), node("b", text)) == text


def test_families_can_be_chosen() -> None:
    blocks = [node("a", "x 1\ny 2\n"), node("b", "y 3\nz 4\n")]
    assert b"".join(merge(blocks, families=lambda name: name == "y")).decode() == (
        '# TYPE y untyped\ny{node="a"} 2\ny{node="b"} 3\n'
    )


@pytest.mark.parametrize("seed", range(40))
def test_random_nodes_merged_and_parsed_again_are_what_they_were(seed: int) -> None:
    bodies = {f'n"{number}\\': random_body(seed * 3 + number) for number in range(3)}
    blocks = [make_blocks(body.text, [("node", name), ("proxy", "p")]).blocks for name, body in bodies.items()]
    lost = {(conflict.name, labels) for conflict in conflicts(blocks) for labels in conflict.nodes}
    expected = [
        relabelled(one, name)
        for (name, body), made in zip(bodies.items(), blocks, strict=True)
        for one in body.series
        if (family_of(one.name, body.families), made.labels) not in lost
    ]
    text = merged(*blocks)
    parsed = parse(text)
    assert parsed.faults == []
    assert sorted(series(*sample) for family in parsed.families.values() for sample in family.samples) == sorted(
        expected
    )
    check_contiguous(text)


def relabelled(one: Series, name: str) -> Series:
    """Put the labels in as Prometheus does with those of a target, one after the other."""
    labels = dict(one.labels)
    for label, value in (("node", name), ("proxy", "p")):
        if label in labels:
            free = f"exported_{label}"
            while free in labels:
                free = f"exported_{free}"
            labels[free] = labels.pop(label)
        labels[label] = value
    return Series(one.name, tuple(sorted(labels.items())), one.value)


def family_of(name: str, families: dict[str, tuple[str, str]]) -> str:
    return name if name in families else name.rpartition("_")[0]


def check_contiguous(text: str) -> None:
    """Each family has one HELP and one TYPE at most, then its samples in a row."""
    heads = re.findall(r"(?m)^# (?:HELP|TYPE) (\S+)", text)
    assert len(re.findall(r"(?m)^# TYPE ", text)) == len(set(heads))
    runs = [name for position, name in enumerate(heads) if position == 0 or heads[position - 1] != name]
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize("seed", range(40))
def test_the_order_of_families_does_not_matter(seed: int) -> None:
    dice = random.Random(seed)
    families = re.split(r"(?m)^(?=# HELP )", recorded("in_process"))[1:]
    texts = []
    for _ in range(2):
        dice.shuffle(families)
        texts.append("".join(families))
    found = parse(merged(*(node(f"n{number}", text) for number, text in enumerate(texts))))
    assert found.faults == []
    samples = [sample for family in found.families.values() for sample in family.samples]
    assert len(samples) == 2 * len(re.findall(r"(?m)^[^#\n]", texts[0]))


def test_a_type_that_differs_is_left_out_with_a_note_and_reported() -> None:
    blocks = [node("a", "# TYPE x gauge\nx 1\nok 1\n"), *(node(n, "# TYPE x counter\nx 2\n") for n in ("b", "c"))]
    text = merged(*blocks)
    assert 'x{node="a"}' not in text
    assert 'ok{node="a"} 1' in text
    assert '# TYPE x counter\nx{node="b"} 2\nx{node="c"} 2\n' in text
    assert "# left out: gauge x of 'a': it clashes with the counter x" in text
    [conflict] = conflicts(blocks)
    assert (conflict.name, conflict.type, conflict.kept_name, conflict.kept_type) == ("x", "gauge", "x", "counter")
    assert conflict.nodes == ((("node", "a"),),)
    assert "#" not in merged(*blocks, openmetrics=True).replace("# TYPE", "").replace("# EOF", "")


def test_the_first_wins_a_tie_and_a_note_names_few_nodes() -> None:
    blocks = [node(f"a\n{number}", "# TYPE x gauge\nx 1\n") for number in range(5)]
    blocks += [node(f"b\n{number}", "# TYPE x counter\nx 1\n") for number in range(5)]
    text = merged(*blocks)
    assert "# TYPE x gauge\n" in text
    assert "counter x of 'b\\n0', 'b\\n1', 'b\\n2' and 2 more:" in text
    assert parse(text).faults == []


def test_a_family_named_like_a_sample_of_a_histogram_is_a_conflict() -> None:
    histogram = '# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 1\nh_sum 1\n'
    [conflict] = conflicts([node("a", histogram), node("b", "# TYPE h_count gauge\nh_count 3\n")])
    assert (conflict.name, conflict.kept_name) == ("h_count", "h")
    assert conflicts([node("a", histogram), node("b", "# TYPE h_total gauge\nh_total 3\n")]) == []


def test_our_own_families_come_first_and_are_never_outvoted() -> None:
    own = node("", "# TYPE own gauge\nown 1\n")
    others = [node(name, "# TYPE own counter\nown 2\n") for name in "abc"]
    assert merged(own, *others).endswith("# TYPE own gauge\nown 1\n")


def test_no_node_can_repeat_a_sample_of_ours() -> None:
    own = node("", 'up{node="a"} 0\nup{node="b",c="d\r"} 0\nother 1\n')
    nodes = [node("a", 'up 1\nup{x="y"} 1\nother 2\n'), node("b", 'up{c="d\r"} 1\nup{node="z"} 1\n')]
    text = merged(own, *nodes)
    assert parse(text).faults == []
    assert 'up{node="a"} 0\n' in text
    assert 'up{node="a"} 1\n' not in text
    assert 'up{node="a",x="y"} 1\n' in text
    assert 'up{node="b",exported_node="z"} 1\n' in text
    assert 'other{node="a"} 2\n' in text


def test_pieces_are_large_enough_to_send_and_no_larger_than_a_family() -> None:
    blocks = [node(f"n{number}", recorded("in_process")) for number in range(20)]
    pieces = list(merge(blocks))
    assert len(pieces) > 3
    assert all(len(piece) >= 65536 for piece in pieces[:-1])
    assert all(len(piece) < 262144 for piece in pieces)


def test_the_recorded_nodes_merge_without_a_loss() -> None:
    blocks = recorded_fleet()
    assert conflicts(blocks) == conflicts(blocks, openmetrics=True) == []
    found = parse(merged(*blocks))
    assert found.faults == []
    assert sum(len(family.samples) for family in found.families.values()) == sum(one.samples for one in blocks)
    assert [sample.value for sample in found.families["lmcache:num_hit_tokens_total"].samples] == [3072.0, 3072.0]
    check_contiguous(merged(*blocks))


def test_the_recorded_nodes_are_valid_openmetrics() -> None:
    blocks = recorded_fleet()
    text = merged(*blocks, openmetrics=True)
    types = check_openmetrics(text.encode())
    assert types["lmcache:num_hit_tokens"] == "counter"
    assert types["lmcache:periodic_threads_low_total"] == "gauge"
    assert types["lmcache:request_cache_lifespan"] == "histogram"
    assert "_created" not in text
    plain = parse(merged(*blocks))
    expected = [
        sample for name, family in plain.families.items() if not name.endswith("_created") for sample in family.samples
    ]
    assert sorted(re.findall(r"(?m)^[^#\n]+$", text)) == sorted(
        line for line in re.findall(r"(?m)^[^#\n]+$", merged(*blocks)) if "_created{" not in line
    )
    assert len(expected) == len(re.findall(r"(?m)^[^#\n]+$", text))


@pytest.mark.parametrize("seed", range(60))
def test_random_nodes_are_valid_openmetrics(seed: int) -> None:
    texts = [random_body(seed * 2 + number, in_order=True).text for number in range(2)]
    blocks = [node(f"n{number}", text) for number, text in enumerate(texts)]
    check_openmetrics(merged(*blocks, openmetrics=True).encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x 1\n", '# TYPE x unknown\nx{node="n"} 1\n'),
        ("# TYPE x_total counter\nx_total 1\n", '# TYPE x counter\nx_total{node="n"} 1\n'),
        ("# TYPE x counter\nx 1\n", '# TYPE x unknown\nx{node="n"} 1\n'),
        ("# TYPE x_total gauge\nx_total 1\n", '# TYPE x_total gauge\nx_total{node="n"} 1\n'),
        ("# TYPE x_created gauge\nx_created 1\n", '# TYPE x_created gauge\nx_created{node="n"} 1\n'),
        (
            "# TYPE x_total counter\nx_total 1\n# TYPE x_created gauge\nx_created 2\n",
            '# TYPE x counter\nx_total{node="n"} 1\n',
        ),
        (
            "# TYPE x_created gauge\nx_created 2\n# TYPE x histogram\n",
            "# TYPE x histogram\n",
        ),
        (
            "# TYPE x_total counter\nx_total 1\n# TYPE x gauge\nx 2\n",
            '# TYPE x_total unknown\nx_total{node="n"} 1\n# TYPE x gauge\nx{node="n"} 2\n',
        ),
        ('# HELP x "a" \\\\b\\nc\nx 1\n', '# HELP x \\"a\\" \\\\b\\nc\n# TYPE x unknown\nx{node="n"} 1\n'),
    ],
)
def test_names_and_types_of_openmetrics(text: str, expected: str) -> None:
    found = merged(node("n", text), openmetrics=True)
    assert found == f"{expected}# EOF\n"
    check_openmetrics(found.encode())


def test_a_counter_without_its_suffix_and_a_gauge_with_it_live_side_by_side_in_openmetrics() -> None:
    blocks = [node("a", "# TYPE x counter\nx 1\n"), node("b", "# TYPE x_total gauge\nx_total 2\n")]
    assert conflicts(blocks, openmetrics=True) == []
    check_openmetrics(merged(*blocks, openmetrics=True).encode())
