"""How a forked job begins and how it leaves."""

from __future__ import annotations

import json
import os
import signal


def test_a_job_starts_with_a_clean_slate(make_pool, make_job, outcome):
    source = """
        import json
        numbers = [signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1]
        print(json.dumps({
            "handlers": [int(signal.getsignal(n)) for n in numbers],
            "ctrl_c": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "wakeup": signal.set_wakeup_fd(-1),
            "files": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
            "argv": sys.argv,
        }))
    """
    pool = make_pool()
    job = make_job("a", source)
    assert outcome(pool, pool.submit(job)) == 0, job.log.read_text()
    seen = json.loads(job.log.read_text())
    assert seen["handlers"] == [int(signal.SIG_DFL)] * 4
    assert seen["ctrl_c"]
    assert (seen["blocked"], seen["wakeup"]) == (0, -1)
    assert seen["files"] == [0, 1, 2], "the job holds a file of the zygote or of another job"
    assert seen["argv"] == ["entry_a:go", str(job.folder)]


def test_a_job_leaves_as_a_program_does(make_pool, make_job, outcome):
    source = """
        import atexit, concurrent.futures, threading
        atexit.register(lambda: print("farewell"))
        executor = concurrent.futures.ThreadPoolExecutor(1)   # never shut down
        executor.submit(lambda: (time.sleep(0.1), print("pooled")))
        threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
        sys.stdout.write("no newline ")
        os.write(1, b"below ")
        return 3
    """
    pool = make_pool()
    job = make_job("a", source)
    assert outcome(pool, pool.submit(job)) == 3
    words = job.log.read_text().split()
    assert sorted(words) == ["below", "farewell", "newline", "no", "pooled", "thread"]
    assert words[-1] == "farewell"


def test_codes_that_do_not_fit_a_byte_are_still_failures(make_pool, make_job, outcome):
    pool = make_pool()
    codes = {"a": "return 256", "b": "return -1", "c": "return None", "d": "return 'broken'", "e": "return True"}
    seen = {name: outcome(pool, pool.submit(make_job(name, source))) for name, source in codes.items()}
    assert seen == {"a": 1, "b": 255, "c": 0, "d": 1, "e": 1}


def test_a_full_disk_under_the_log_does_not_hurt_the_job(make_pool, make_job, outcome, tmp_path):
    job = make_job("a", "print('x' * 100000); sys.stdout.flush(); print('e', file=sys.stderr); return 6")
    job.log.symlink_to("/dev/full")
    pool = make_pool()
    assert outcome(pool, pool.submit(job)) == 6


def test_a_log_that_cannot_be_opened_does_not_hurt_the_job(make_pool, make_job, outcome):
    job = make_job("a", "print('unheard'); return 6")
    job.log.mkdir()
    pool = make_pool()
    assert outcome(pool, pool.submit(job)) == 6


def test_text_that_is_not_unicode_reaches_the_log(make_pool, make_job, outcome):
    job = make_job("a", r"print('caf\xe9 \udcff'); os.write(1, b'\xff\n')")
    pool = make_pool()
    assert outcome(pool, pool.submit(job)) == 0
    assert job.log.read_bytes() == "café \\udcff\n".encode() + b"\xff\n"


def test_an_interrupt_sent_to_a_job_ends_it_by_that_signal(make_pool, make_job, outcome, appears, process_of):
    pool = make_pool()
    job = make_job("a", "print('up'); time.sleep(60)")
    handle = pool.submit(job)
    appears(job.log)
    os.kill(process_of(pool, handle), signal.SIGINT)
    assert outcome(pool, handle) == -signal.SIGINT
    assert "KeyboardInterrupt" in job.log.read_text()


def test_a_temporary_folder_of_an_imported_package_outlives_the_jobs(make_pool, make_job, beside, outcome):
    (beside / "with_folder.py").write_text("import tempfile\nfolder = tempfile.TemporaryDirectory()\n")
    source = "import with_folder; return 0 if os.path.isdir(with_folder.folder.name) else 9"
    pool = make_pool()
    for n in range(2):
        assert outcome(pool, pool.submit(make_job(f"j{n}", source, preload=("with_folder",)))) == 0
