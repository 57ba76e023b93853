# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.masking import MASK, has_mask, is_secret, masked, masked_mapping, masked_text


@pytest.mark.parametrize(
    "name",
    ["api_key", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "redis-password", "tls.key", "apiKey", "credentials", "secrets"],
)
def test_names_with_a_secret_word(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["blend_min_tokens", "min_retrieve_tokens", "monkey", "keyboard", "tokenizer", "secretary", "remote_url", ""],
)
def test_names_without_one(name: str) -> None:
    assert not is_secret(name)


def test_values_under_secret_names_are_hidden_whole() -> None:
    assert masked("api_key", "abc") == MASK
    assert masked("api_key", ["abc"]) == MASK
    assert masked("pin_key", 1234) == MASK


@pytest.mark.parametrize("value", [None, True, False, ""])
def test_what_says_only_whether_there_is_one_is_shown(value: object) -> None:
    assert masked("api_key", value) is value


def test_secrets_within_values_are_hidden_at_any_depth() -> None:
    value = {"plugins": [{"password": "p", "size": 3}], "url": "redis://user:pass@host:6379/0"}
    assert masked("extra_config", value) == {
        "plugins": [{"password": MASK, "size": 3}],
        "url": f"redis://{MASK}@host:6379/0",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://host:6379", "redis://host:6379"),
        ("https://u:p@h/x", f"https://{MASK}@h/x"),
        ("https://u:p@ss@h/x", f"https://{MASK}@h/x"),
        ("https://token@h", f"https://{MASK}@h"),
        ("a https://u@h and s3://k:s@b", f"a https://{MASK}@h and s3://{MASK}@b"),
        ("http://h/x?token=abc&n=1", f"http://h/x?token={MASK}&n=1"),
        ("http://h/x?n=1&api_key=abc#y", f"http://h/x?n=1&api_key={MASK}#y"),
        ("mail a@b", "mail a@b"),
        ("http://h/x?sig=abc&sp=r", f"http://h/x?sig={MASK}&sp=r"),
        ("redis://key:6379", "redis://key:6379"),
    ],
)
def test_secrets_in_urls(text: str, shown: str) -> None:
    assert masked_text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=h password=abc user=u", f"host=h password={MASK} user=u"),
        ("AccountName=a;AccountKey=abc==;E=x", f"AccountName=a;AccountKey={MASK};E=x"),
        ('{"password": "x", "a": 1}', f'{{"password": "{MASK}", "a": 1}}'),
        ('{"outer": "{\\"password\\": \\"x\\"}"}', f'{{"outer": "{{\\"password\\": \\"{MASK}\\"}}"}}'),
        ('{"a":  1}', '{"a":  1}'),
        ("{'api_key': 'x y', 'n': 1}", f"{{'api_key': {MASK}, 'n': 1}}"),
        ('a: {\\"password\\": \\"x\\", \\"b\\": 1}', f'a: {{\\"password\\": {MASK}, \\"b\\": 1}}'),
        ('"keys": ["a", "b"], "c": 1\nd: 2', f'"keys": {MASK}\nd: 2'),
        ('token:"a\\"b" c', f"token:{MASK} c"),
        ("password: my words\nb: c", f"password: {MASK}\nb: c"),
        ("Authorization: Bearer abc", f"Authorization: Bearer {MASK}"),
        ("run --api-key abc --tokenizer x", f"run --api-key {MASK} --tokenizer x"),
        ("see --token-file for others", "see --token-file for others"),
        ("LMCACHE_TOKEN=abc", f"LMCACHE_TOKEN={MASK}"),
        ("the key is x", "the key is x"),
        ("max_tokens: 5, key=", "max_tokens: 5, key="),
        (f"password={MASK}", f"password={MASK}"),
        (f"password: {MASK} b", f"password: {MASK} b"),
        ("password=//x", f"password={MASK}"),
        ("password: //x y", f"password: {MASK}"),
        ("key://host", "key://host"),
        ('a: {\\\\"password\\\\": \\\\"x\\\\", b', f'a: {{\\\\"password\\\\": {MASK}, b'),
    ],
)
def test_secrets_in_other_texts(text: str, shown: str) -> None:
    assert masked_text(text) == shown


def test_secrets_in_command_lines_that_are_lists() -> None:
    given = ["vllm", "--api-key", "abc", "--model", "m", "--token=abc", "--hf-token"]
    assert masked("args", given) == ["vllm", "--api-key", MASK, "--model", "m", f"--token={MASK}", "--hf-token"]


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (MASK, True),
        (f"redis://{MASK}@h", True),
        ({"a": [{"b": MASK}]}, True),
        ("***", False),
        ({"a": [1, None, "x"]}, False),
    ],
)
def test_what_was_masked_is_known_as_such(value: object, answer: bool) -> None:
    assert has_mask(value) is answer


@pytest.mark.parametrize("text", ["key:", 'key:"', "token=", 'key:\\"', "key: ", "key:[", "--key ", "Bearer ", "{"])
def test_hostile_repetition_ends(text: str) -> None:
    assert masked_text(text * 50_000)


def test_a_hostile_text_takes_no_time() -> None:
    assert masked_text("a://" + "@" * 200_000) == f"a://{MASK}@"
    assert len(masked_text("?" * 200_000 + "=" * 200_000)) == 400_000
    assert len(masked_text("a://" * 50_000)) == 200_000
    assert len(masked_text("a" * 1_000_000 + "://")) == 1_000_003
    assert masked_text(f"key: {MASK} " * 50_000) == f"key: {MASK} " * 50_000
    assert masked_text("key: //x " * 50_000) == f"key: {MASK}"
    assert masked_text('key="' + "\\" * 500_000) == f"key={MASK}"
    assert masked_text('key=\\"' + "\\" * 500_000) == f"key={MASK}"


def test_deep_values_end_hidden() -> None:
    value: object = "end"
    for _ in range(500):
        value = [value]
    assert MASK in str(masked("x", value))


def test_a_mapping_keeps_its_order() -> None:
    assert list(masked_mapping({"b": 1, "api_key": "x", "a": 2}).items()) == [("b", 1), ("api_key", MASK), ("a", 2)]
