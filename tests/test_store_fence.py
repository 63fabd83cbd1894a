"""What comes late, or finds its store moved or taken over, changes nothing in any store."""

import os
import pickle
import shutil
import subprocess
import sys
import textwrap

import pytest
from store_runs import files, leftovers
from stores import at_chunk

import montezarr as mz

N, CHUNK = 3000, 1024  # the last chunk is no whole one
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def paths(n=N, seed=1):
    return mz.simulate(GBM, n_paths=n, T=5, x0=100.0, dt=0.1, seed=seed, chunks=CHUNK)


class Died(Exception):
    pass


@pytest.fixture(autouse=True)
def _one_after_the_other():
    with mz.backend("synchronous"):
        yield


@pytest.mark.parametrize("statistics", [None, "mean"])
@pytest.mark.parametrize("storage", [None, mz.Storage(inner_chunk=1024)])
@pytest.mark.parametrize("killed", [False, True])
def test_a_task_that_outlives_its_writer_changes_nothing(
    tmp_path, monkeypatch, statistics, storage, killed
):
    late = []

    def keep(task, item):
        late.append((pickle.dumps(task), item))
        shutil.copytree(tmp_path / "a", tmp_path / "as it was")
        raise Died

    at_chunk(monkeypatch, 2, keep)
    options = {"statistics": statistics, "storage": storage}
    with pytest.raises(Died):
        mz.write(paths(), tmp_path / "a", **options)
    monkeypatch.undo()
    if killed:  # then what the writer had made for itself is there still
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "as it was").rename(tmp_path / "a")
        assert set(leftovers(tmp_path / "a")) == {"tmp", "lock"}
    mz.write(paths(), tmp_path / "a", **options)
    mz.extend(tmp_path / "a", 4000)
    before = files(tmp_path / "a")
    task, item = late[0]
    with pytest.raises(mz.StoreError, match="moved, removed or taken over"):
        pickle.loads(task)(item)
    assert files(tmp_path / "a") == before
    assert mz.verify(tmp_path / "a").ok
    mz.write(paths(4000), tmp_path / "fresh", **options)
    assert before == files(tmp_path / "fresh")


def test_a_file_that_was_drawn_before_its_writer_died_is_not_renamed_afterwards(
    tmp_path, monkeypatch
):
    def finish_elsewhere(*_):
        monkeypatch.setattr(os, "replace", replace)
        mz.backend("synchronous")
        os.unlink(tmp_path / "a/montezarr/lock")  # as if the system had taken it from the dead
        mz.write(paths(), tmp_path / "a")
        return replace(*_)

    replace = os.replace
    at_chunk(
        monkeypatch, 2, lambda task, item: monkeypatch.setattr(os, "replace", finish_elsewhere)
    )
    with pytest.raises(mz.StoreError, match="moved, removed or taken over"):
        mz.write(paths(), tmp_path / "a")
    assert mz.verify(tmp_path / "a").ok
    assert leftovers(tmp_path / "a") == []


def test_a_store_that_is_renamed_and_replaced_stays_what_each_of_them_is(tmp_path, monkeypatch):
    def swap(task, item):
        (tmp_path / "a").rename(tmp_path / "moved")
        mz.write(paths(seed=2), tmp_path / "a")

    at_chunk(monkeypatch, 1, swap)
    with pytest.raises(mz.StoreError, match="moved, removed or taken over"):
        mz.write(paths(), tmp_path / "a")
    assert mz.verify(tmp_path / "a").ok
    mz.write(paths(seed=2), tmp_path / "fresh 2")
    assert files(tmp_path / "a") == files(tmp_path / "fresh 2")
    assert mz.open(tmp_path / "moved").sizes["path"] in (0, CHUNK)
    mz.write(paths(), tmp_path / "moved")  # it goes on there
    mz.write(paths(), tmp_path / "fresh")
    assert files(tmp_path / "moved") == files(tmp_path / "fresh")


def test_a_store_that_is_removed_does_not_come_back(tmp_path, monkeypatch):
    at_chunk(monkeypatch, 1, lambda task, item: shutil.rmtree(tmp_path / "a"))
    with pytest.raises(mz.StoreError, match="moved, removed or taken over"):
        mz.write(paths(), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_writer_whose_lock_was_deleted_publishes_nothing_over_the_next_one(tmp_path, monkeypatch):
    def overtake(task, item):
        (tmp_path / "a/montezarr/lock").unlink()
        mz.write(paths(), tmp_path / "a")

    at_chunk(monkeypatch, 1, overtake)
    with pytest.raises(mz.StoreError, match="moved, removed or taken over"):
        mz.write(paths(), tmp_path / "a")
    assert mz.open(tmp_path / "a").sizes["path"] == N
    mz.write(paths(), tmp_path / "fresh")
    assert files(tmp_path / "a") == files(tmp_path / "fresh")


def test_a_journal_that_another_program_put_there_is_not_written_to(tmp_path, monkeypatch):
    def restore(task, item):
        journal = tmp_path / "a/montezarr/journal"
        data = journal.read_bytes()
        journal.unlink()
        journal.write_bytes(data)

    at_chunk(monkeypatch, 2, restore)
    with pytest.raises(mz.StoreError, match="moved, removed or taken over"):
        mz.write(paths(), tmp_path / "a")
    mz.write(paths(), tmp_path / "a")
    assert mz.verify(tmp_path / "a").ok


def test_a_directory_of_an_earlier_session_is_no_obstacle(tmp_path):
    folder = tmp_path / "a/montezarr/tmp/0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "fedcba9876543210").write_bytes(b"half a chunk")
    mz.write(paths(), tmp_path / "a")
    assert leftovers(tmp_path / "a") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_is_forked_while_a_store_is_written_does_not_keep_its_lock(tmp_path):
    script = textwrap.dedent(
        f"""
        import os, signal, time, warnings
        import montezarr as mz

        warnings.simplefilter("ignore")
        ds = mz.simulate(
            mz.GeometricBrownianMotion(mu=0.05, sigma=0.2), n_paths={N}, T=5, x0=100.0, dt=0.1,
            seed=1, chunks={CHUNK},
        )

        def fork(done, total, failed):
            if done:
                pid = os.fork()
                if pid == 0:
                    os.close(0), os.close(1), os.close(2)
                    time.sleep(60)
                    os._exit(0)
                print(pid, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        with mz.backend("synchronous"):
            mz.write(ds, "a", on_progress=fork)
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == -9, ended.stderr
    child = int(ended.stdout)
    try:
        mz.write(paths(), tmp_path / "a")
        os.kill(child, 0)  # it is alive still
    finally:
        os.kill(child, 9)
    assert mz.verify(tmp_path / "a").ok
