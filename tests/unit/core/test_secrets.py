"""Secrets are masked, ordinary text is not."""

from __future__ import annotations

import pytest

from quadrat.core.secrets import is_secret, mask, masked_words

SECRETS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "hf_" + "abcDEF123" * 4,
    "sk-" + "proj-1234567890abcdefghij",
    "xoxb-" + "123456789012-abcdef",
    "glpat-" + "abcdefghij0123456789",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_tokens_are_masked_wherever_they_stand(secret):
    masked, found = mask(f"--token {secret} and more")
    assert secret not in masked
    assert found == 1
    assert masked.endswith("and more")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://me:hunter22@example.org/x.git", "hunter22"),
        ("WANDB_KEY=0123456789abcdef", "0123456789abcdef"),
        ('{"password": "correct horse"}', "correct"),
        ("api-key: abcdef123456", "abcdef123456"),
    ],
)
def test_named_secrets_are_masked(text, secret):
    assert secret not in mask(text)[0]


@pytest.mark.parametrize("text", ["learning_rate: 0.001", "tokens = 300", "secret sauce", "key: value", "sk-learn"])
def test_ordinary_text_is_left_alone(text):
    assert mask(text) == (text, 0)


@pytest.mark.parametrize("text", ["api_key=$API_KEY", "password: ${DB_PASSWORD}", "--api-key={api_key}", "secret: ***"])
def test_what_says_where_a_secret_is_found_is_none(text):
    assert mask(text) == (text, 0)


def test_a_quoted_secret_is_masked_whole():
    assert mask('{"password": "correct horse", "n": 1}') == ('{"password": "***", "n": 1}', 1)
    assert mask("api_key: 'two words'\nlr: 1") == ("api_key: '***'\nlr: 1", 1)


def test_on_a_command_line_the_word_after_its_name_is_masked():
    words = ["quadrat", "run", "--api-key", "abcdef0123", "--password", "--lr", "0.1", "--hf_token", "$HF_TOKEN"]
    assert masked_words(words) == [*words[:3], "***", *words[4:]]
    assert masked_words(["a=ghp_" + "a1B2" * 9]) == ["a=***"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (SECRETS[1], ""),
        ("hunter22", "db.password"),
        (12345678, "model.api_key"),
        ("correct horse battery", "wandb-key"),
        ("postgresql://me:hunter22@host/db", "uri"),
        ("python train.py --lr 0.1 --api-key abcdef0123", "command.line"),
        ("python train.py --api-key=abcdef0123", "command.line"),
    ],
)
def test_a_config_holds_a_secret(value, name):
    assert is_secret(value, name)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("$API_KEY", "api_key"),
        ("API_KEY", "api_key_env"),
        ("<pad>", "pad_token"),
        ("mean", "token"),
        ("python train.py --api-key {api_key} --lr {lr}", "command.line"),
        ("postgresql://me:$PASSWORD@host/db", "uri"),
        ("ssh://git@example.org/x.git", "remote"),
        ("key_of_attention", "key"),
        (True, "password"),
        (3, "secret"),
        (0.123456789, "api_key"),
        (None, "api_key"),
        ("", "api_key"),
    ],
)
def test_a_config_holds_no_secret(value, name):
    assert not is_secret(value, name)
