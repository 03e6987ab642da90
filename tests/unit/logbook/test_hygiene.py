from __future__ import annotations

import pytest

from quadrat.logbook.hygiene import local_paths, mask, mojibake, secrets

SECRETS = [
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + "a1" * 18,
    "github_pat_" + "b2" * 15,
    "sk-" + "c3" * 16,
    "hf_" + "Dd" * 12,
    "glpat-" + "e4" * 10,
    "xoxb-" + "1234567890-abc",
    "AIza" + "f" * 35,
    "eyJ" + "hbGciOiJI" + "a.eyJ" + "zdWIiOiIxM" + ".c2ln",
    "-----BEGIN RSA PRIVATE KEY-----",
    "https://ada:" + "hunter2@example.org/r.git",
    "WANDB_API_KEY=" + "0a" * 20,
    "password: '" + "correct-horse'",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_seen_masked_and_not_repeated(secret):
    line = f"before {secret} after"
    found = list(secrets(line))
    assert found
    assert all(len(item) <= 7 for item in found)
    assert not list(secrets(mask(line)))


@pytest.mark.parametrize(
    "line",
    [
        "the token_only arm; max_tokens=4096",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "sha256 " + "ab" * 32,
        "the secret of its success",
        "key: value, api: none",
        "https://example.org/a/b@v1",
    ],
)
def test_plain_words_are_no_secrets(line):
    assert not list(secrets(line))


@pytest.mark.parametrize(
    "path",
    [
        "/home/ada/results/x",
        "/tmp/x",
        "/data/shared/train.ndjson",
        "~/results/x",
        "~ada/x",
        "file:///etc/passwd",
        "C:\\Users\\ada\\x",
        "D:/runs/x",
        "\\\\server\\share\\x",
        "$HOME/x",
        "${HOME}/x",
    ],
)
def test_paths_of_a_machine_are_seen_and_masked(path):
    for line in (path, f"in `{path}`", f"out={path}", f'File "{path}", line 3', f"[x]({path})", f"out:{path}"):
        assert list(local_paths(line)), line
        assert not list(local_paths(mask(line))), mask(line)


@pytest.mark.parametrize(
    "line",
    [
        "train/loss and grad/encoder_norm / grad/total_norm",
        "pass/fail, and/or, n/a, 1/2, ~10/s, km/h/kg",
        "https://example.org/home/ada and http://a/b/c",
        "../results/study/run and ./a/b and a/b/c",
        "{run_dir}/a/b and 2 > /dev/null",
        "at 10:30, a:b",
        "ARC/pass@1",
    ],
)
def test_what_only_looks_like_a_path_is_left_alone(line):
    assert not list(local_paths(line))
    assert mask(line) == line


@pytest.mark.parametrize("table", ["cp1252", "mac_roman", "latin-1"])
@pytest.mark.parametrize(
    "word",
    ["caf\u00e9", "na\u00efve \u00fcber", "\u2192 next", "\u201cquoted\u201d", "\u2265 5 %", "\u2705", "z\u00b2"],
)
def test_text_read_by_the_wrong_table_is_seen(word, table):
    wrong = word.encode("utf-8").decode(table, "replace")
    assert list(mojibake(wrong)), wrong
    assert not list(mojibake(word))


def test_other_languages_and_mathematics_are_no_mojibake():
    for plain in (
        "\u00c9l\u00e8ve \u00e0 l\u2019\u00e9t\u00e9, \u201c\u00e9lan\u201d, p\u00e2t\u00e9, \u00c5ngstr\u00f6m",
        "\u201a\u00fcber\u2018, \u221a\u03c0, \u221a\u221e, \u00acp \u2264 3 \u00b1 1, 12 \u00b5s, 5 \u20ac",
        "\u65e5\u672c\u8a9e, S\u00c3O PAULO, \U0001f600",
    ):
        assert not list(mojibake(plain))
