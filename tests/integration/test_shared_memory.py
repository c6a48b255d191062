"""Memory that processes share: captured while they write to it, stored by what changed, and given back."""
import random

import pytest
import world
from killing import cut_off_checkpoint

PRECOPY = ("--capture", "precopy")  # little of it, too


@pytest.mark.parametrize("kind", ["anonymous", "memfd"])
def test_cycles_at_random_moments(kind, subject, holdfast, seed):
    """Three processes that do all kinds of things to one object; every snapshot is good."""
    chance = random.Random(seed)
    job = subject("shared_random", kind, 24).run()
    versions = 0
    for _ in range(3):
        for _ in range(chance.randrange(2, 5)):
            job.wait_rounds(1 + chance.randrange(3))
            job.checkpoint(*chance.choice([PRECOPY, PRECOPY, ()]))
            versions += 1
        job.assert_untouched()
        job.kill()
        job.resume()
        job.wait_rounds(2)
    for version in range(1, versions + 1):
        job.kill()
        job.resume(version)
        job.wait_rounds(2)
        job.assert_good()
    holdfast.verify()


def test_stores_what_changed(subject, holdfast):
    job = subject("slow_writer", 96, 2, "shared").run()
    first = job.checkpoint()
    assert first["bytes_captured"] >= 96 << 20, first
    for _ in range(3):
        job.wait_rounds(2)
        delta = job.checkpoint()
        assert delta["bytes_stored"] < first["bytes_stored"] / 4, delta
    job.assert_untouched()
    # It is tracked only as long as a checkpoint takes.
    assert world.tracked_mappings(job.pid) == 0
    for version in (2, 4):
        job.kill()
        job.resume(version)
        job.wait_rounds(9)  # in eight it looks at all of its memory


def test_in_a_pid_namespace_of_its_own(subject, holdfast):
    """A clone for the twin is a fork that is told of, to whoever still has the descriptor open."""
    job = subject("slow_writer", 64, 2, "shared").run()
    job.checkpoint()
    job.kill()
    job.resume(None, "--pid-mode", "new-ns")
    for way in ("partial", "precopy", "auto"):
        job.wait_rounds(2)
        job.checkpoint("--capture", way)
    job.assert_untouched()
    job.kill()
    job.resume(None, "--pid-mode", "new-ns")
    job.wait_rounds(9)
    job.assert_good()


def test_a_killed_checkpoint_leaves_nothing(subject, holdfast, seed):
    """Whoever forks while it is tracked waits for the checkpoint's answer, or for its end."""
    job = subject("shared_random", "anonymous", 24).run()
    chance = random.Random(seed)
    for _ in range(8):
        cut_off_checkpoint(job, holdfast, chance, *PRECOPY)
        job.wait_rounds(2)
    job.checkpoint(*PRECOPY)
    job.assert_untouched()
    job.kill()
    job.resume()
    job.wait_rounds(3)
