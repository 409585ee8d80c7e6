"""A folder is used by one process, and in it by one thread; a dead one leaves it to others."""

import errno
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from fpdm.errors import InvalidValueError, StorageError
from fpdm.runtime import locks
from fpdm.runtime.locks import in_use, in_use_together
from fpdm.runtime.storage import LOCK

HOLD = """
import sys, time
from pathlib import Path
from fpdm.runtime.locks import in_use
with in_use(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that uses the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def refused(folder, **options) -> str:
    with pytest.raises(StorageError) as caught, in_use(folder, **options):
        pass
    return str(caught.value)


def test_another_process_is_told_which_one_uses_the_folder_until_it_is_dead(other, tmp_path):
    out = tmp_path / "out"
    said = refused(out)
    assert said.startswith(f"{out} is in use by process {other.pid} on {os.uname().nodename} since")
    assert said.endswith("wait until that ends, or choose another folder.")
    assert refused(out / ".." / "out").startswith(f"{out / '..' / 'out'} is in use")
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (out / LOCK).exists()  # which it has left
    with in_use(out):
        assert str(os.getpid()) in (out / LOCK).read_text()
    assert not (out / LOCK).exists()


@pytest.mark.usefixtures("other")
def test_a_lock_of_which_nothing_can_be_read_is_still_one(tmp_path):
    (tmp_path / "out" / LOCK).write_bytes(b"\xff{")
    assert "is in use by another process" in refused(tmp_path / "out")


def test_threads_and_the_thread_itself_are_kept_out(tmp_path):
    with in_use(tmp_path):
        assert f"is in use by process {os.getpid()}, which is this one" in refused(tmp_path)
        with in_use(tmp_path, nested=True):
            pass
        said = []
        thread = threading.Thread(target=lambda: said.append(refused(tmp_path, nested=True)))
        thread.start()
        thread.join()
        assert "which is this one" in said[0]
    with in_use(tmp_path):  # and it is free again
        pass


def test_of_many_threads_one_at_a_time_has_the_folder(tmp_path):
    inside, most, refusals = [], [], []

    def work():
        for _ in range(20):
            try:
                with in_use(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except StorageError:
                refusals.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) + len(refusals) == 120


def test_a_forked_reader_neither_has_the_lock_nor_gives_it_up(tmp_path):
    """As the workers that read data: one of them may outlive the process that has the folder."""
    with in_use(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                with in_use(tmp_path):
                    os._exit(1)
            except StorageError:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (tmp_path / LOCK).exists()
        command = [sys.executable, "-c", HOLD, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "is in use by process" in done.stderr


def test_what_was_made_for_it_goes_if_it_stays_empty(tmp_path):
    with in_use(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with in_use(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValueError, match="is a file"), in_use(tmp_path / "file"):
        pass


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_where_nothing_can_be_written_there_is_no_lock(number, tmp_path, monkeypatch):
    def refuse(path, *_):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("fpdm.runtime.locks.os.open", refuse)
    with in_use(tmp_path):
        pass


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "lockf", refuse)
    with pytest.warns(UserWarning, match="cannot be locked"), in_use(tmp_path):
        pass


def test_process_0_answers_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr("accelerate.utils.broadcast_object_list", lambda _: ["taken"])
    here = SimpleNamespace(is_main_process=False, num_processes=2)
    with pytest.raises(StorageError, match="taken"), in_use_together(tmp_path / "out", here):
        pass
