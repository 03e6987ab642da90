from __future__ import annotations

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from quadrat.sinks.mirror import Mirror
from quadrat.sinks.wandb import WandbTracker, has_key
from quadrat.testing.sinks import ended, facts, rows

wandb = pytest.importorskip("wandb", reason="the package wandb is not installed")

KEY = "0123456789" * 4
WORDS = ("API_KEY", "BASE_URL", "PROJECT", "ENTITY", "MODE", "CACHE_DIR", "DATA_DIR", "ARTIFACT_DIR", "ERROR_REPORTING")


@pytest.fixture(autouse=True)
def _nobody_is_logged_in(monkeypatch):
    for name in WORDS:
        monkeypatch.setenv(f"WANDB_{name}", "set so that it is taken back")
        monkeypatch.delenv(f"WANDB_{name}")
    monkeypatch.setenv("NETRC", "/nonexistent")
    wandb.teardown()
    yield
    wandb.teardown()


def records(home, run):
    """Every record of the run's offline file, read by the package's own reader."""
    (file,) = home.glob(f"wandb/offline-run-*/run-{run.token}.wandb")
    words = ["leet", "inspect", "--no-observability", "--json", "--run-file", str(file), str(file.parent)]
    lines = subprocess.run([wandb.util.get_core_path(), *words], capture_output=True, check=True, text=True).stdout
    return [json.loads(line) for line in lines.splitlines()], file.read_bytes()


def send(tracker, run, status="completed"):
    track = tracker.open(run)
    track.rows(rows())
    track.close(ended(status))


def test_an_offline_run_holds_what_the_journal_knows(tmp_path):
    run = facts(stage="overfit")
    send(WandbTracker(tmp_path), run)
    found, _ = records(tmp_path, run)
    told = [record["run"] for record in found if "run" in record][-1]
    named = {key: told[key] for key in ("project", "display_name", "run_group", "job_type", "run_id", "tags")}
    assert named == {
        "project": "story",
        "display_name": "L2_S0",
        "run_group": "story/plain",
        "job_type": "overfit",
        "run_id": run.token,
        "tags": ["completed"],
    }
    config = {key: value for key, value in told["config"]["update"].items() if key != "_wandb"}
    about = {"study": "story", "stage": "overfit", "arm": "plain"}
    assert config == {"seed": 0, "rate": 0.5, "model": {"depth": 2}, "quadrat": about}
    axes = [record["metric"] for record in found if "metric" in record]
    assert {"glob_name": "*", "step_metric": "quadrat/step"}.items() <= axes[-1].items()
    items = [record["history"]["item"] for record in found if "history" in record]
    assert [(item["quadrat/step"], item["_timestamp"]) for item in items] == [(r.step, r.time) for r in rows()]
    summary = {k: v for record in found for k, v in record.get("summary", {}).get("update", {}).items()}
    wanted = {"status": "completed", "train/loss": 2.0**-6, "min/train/loss": 2.0**-6, "max/train/loss": 0.5}
    assert wanted.items() <= summary.items()
    assert [record["exit"].get("exit_code", 0) for record in found if "exit" in record] == [0]


def test_a_failed_run_is_a_failed_run(tmp_path):
    send(WandbTracker(tmp_path), facts(), "failed")
    found, _ = records(tmp_path, facts())
    assert [record["exit"]["exit_code"] for record in found if "exit" in record] == [1]


def test_nothing_of_the_machine_is_in_the_file_and_nothing_is_written_outside(tmp_path):
    home, house = tmp_path / "home", tmp_path / "a-house-of-its-own"
    house.mkdir()
    code = (
        "import sys\nfrom pathlib import Path\nfrom quadrat.sinks.wandb import WandbTracker\n"
        "from quadrat.testing.sinks import ended, facts, rows\n"
        "track = WandbTracker(Path(sys.argv[1])).open(facts())\ntrack.rows(rows())\ntrack.close(ended())\n"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "XDG_"))}
    environ |= {"HOME": str(house), "USER": "somebody-else", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", code, str(home), "--token=argument-of-mine"]
    subprocess.run(words, env=environ, cwd=house, check=True, capture_output=True)
    found, raw = records(home, facts())
    assert not any({"host", "git", "program"} & record.get("run", {}).keys() for record in found)
    secrets = ["argument-of-mine", "somebody-else", "a-house-of-its-own", sys.executable]
    assert [word for word in secrets if word.encode() in raw or word in json.dumps(found)] == []
    assert [path.name for path in house.rglob("*")] == []
    (files,) = home.glob("wandb/offline-run-*/files")
    assert list(files.iterdir()) == [], "no metadata, no requirements, no code"


class Server(http.server.ThreadingHTTPServer):
    """As much of a W&B server as a run needs. It keeps every line of a file under its number, as the real one does."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lines: dict[tuple[str, str], dict[int, dict]] = {}
        self.runs: list[dict] = []
        self.code = 200
        self.delay = 0.0

    def history(self, run):
        kept = self.lines.get((run.token, "wandb-history.jsonl"), {})
        return [(line["quadrat/step"], line["train/loss"]) for _, line in sorted(kept.items())]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        told = json.loads(body or b"{}")
        if self.path == "/graphql":
            self.answer(200, self.graphql(told))
            return
        time.sleep(self.server.delay)
        if self.server.code == 200:
            token = self.path.split("/")[-2]
            for name, part in (told.get("files") or {}).items():
                kept = self.server.lines.setdefault((token, name), {})
                kept.update({part["offset"] + n: json.loads(line) for n, line in enumerate(part["content"])})
        self.answer(self.server.code, {})

    def graphql(self, told):
        if "UpsertBucket" not in told["query"]:
            return {"errors": [{"message": "not here"}]}
        asked = told["variables"]
        self.server.runs.append(asked)
        project = {"id": "P", "name": asked["project"], "entity": {"id": "E", "name": "lab"}}
        bucket = {"id": "B", "name": asked["name"], "displayName": asked.get("displayName"), "project": project}
        bucket |= {"description": None, "config": None, "sweepName": None, "historyLineCount": 0}
        return {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}

    def answer(self, code, value):
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        del words


@pytest.fixture
def server(monkeypatch):
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{running.server_address[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield running
        running.shutdown()
        thread.join()


def test_sent_again_to_a_server_every_row_is_there_once(study, server, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mamba-symmetry")
    story = study.run().rows(1, 2, 4)
    home = study.folder.path / ".wandb"

    def mirror():
        return Mirror(WandbTracker(home), study.folder, name="wandb")

    keeper = mirror()
    keeper.send(last=True)
    token = server.runs[-1]["name"]
    story.rows(5).end()
    keeper.send()
    (study.folder.path / ".mirror/wandb.json").unlink()
    mirror().send()
    assert {(asked["project"], asked["name"]) for asked in server.runs} == {("mamba-symmetry", token)}
    kept = server.lines[token, "wandb-history.jsonl"]
    assert [kept[n]["quadrat/step"] for n in sorted(kept)] == [1, 2, 4, 5]
    assert KEY.encode() not in b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert len(list(home.glob("wandb/run-*"))) == 1, "one local folder for each run"


def test_what_went_offline_goes_to_the_server_once_somebody_has_logged_in(study, server, monkeypatch):
    study.run().rows(1, 2).end()
    monkeypatch.delenv("WANDB_API_KEY")
    Mirror(WandbTracker(study.folder.path / ".wandb"), study.folder, name="wandb").send(last=True)
    assert server.runs == []
    wandb.teardown()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    Mirror(WandbTracker(study.folder.path / ".wandb"), study.folder, name="wandb").send(last=True)
    assert len(server.lines[server.runs[-1]["name"], "wandb-history.jsonl"]) == 2


def test_a_server_that_refuses_the_rows_has_not_got_them(tmp_path, server):
    server.code = 404
    with pytest.raises(ConnectionError, match="refused the rows of L2_S0"):
        send(WandbTracker(tmp_path), facts())


def test_a_server_that_hangs_is_waited_for_no_longer_than_patience(tmp_path, server):
    server.delay = 30
    track = WandbTracker(tmp_path, patience=1).open(facts())
    track.rows(rows())
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        track.close(ended())
    assert time.monotonic() - began < 4
    server.delay = 0


@pytest.mark.parametrize(
    ("netrc", "environ", "known"),
    [
        ("", {}, False),
        ("machine api.wandb.ai\n  login user\n  password x\n", {}, True),
        ("machine elsewhere.org\n  login user\n  password x\n", {}, False),
        ("machine", {}, False),
        ("", {"WANDB_API_KEY": "x"}, True),
        ("", {"WANDB_IDENTITY_TOKEN_FILE": "/x"}, True),
    ],
)
def test_a_key_is_looked_for_where_the_package_would_find_it(tmp_path, monkeypatch, netrc, environ, known):
    path = tmp_path / "netrc"
    path.write_text(netrc)
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert has_key("https://api.wandb.ai") is known
