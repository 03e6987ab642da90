"""Secrets are masked, ordinary text is not."""

from __future__ import annotations

import pytest

from quadrat.core.secrets import mask

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
