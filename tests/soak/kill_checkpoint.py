#!/usr/bin/python3
"""Kills checkpoints with -9 at random moments, as often as one likes: after each, the job runs on and is right, nothing is
left behind, and the store has every snapshot that was committed.

    tests/soak/kill_checkpoint.py [--kills 1000] [--seed N] [--program "memory_churn all 64"]

Prints its seed; the same seed chooses the same moments. Ends with how many were cut off, and 1 when anything was wrong.
"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))
sys.dont_write_bytecode = True
import harness  # noqa: E402
import killing  # noqa: E402

VERIFY_EVERY = 25
KEEP = 5


def build_programs(folder):
    subprocess.run(["make", "-s", "-j2", "-C", str(ROOT / "tests/programs"), f"OUT={folder}"], check=True)


def soak(holdfast, programs, options):
    program, *arguments = options.program.split()
    job = harness.Subject(holdfast, programs, program, *arguments).run()
    job.checkpoint()
    longest = killing.measure_checkpoint(job) * 1.1
    tally = killing.Tally(committed=2)
    chance = random.Random(options.seed)
    for number in range(1, options.kills + 1):
        killing.kill_one_checkpoint(job, holdfast, chance, tally, longest)
        if number % VERIFY_EVERY == 0:
            holdfast.ok("prune", job.name, "--keep", KEEP)
            holdfast.verify()
            holdfast.transcript.clear()
            print(f"{number} kills: {tally}", flush=True)
    job.kill()
    job.resume()
    job.wait_rounds(3)
    holdfast.verify()
    print(f"{options.kills} kills, nothing lost or torn: {tally}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments.add_argument("--program", default="memory_churn all 64", help="of tests/programs, with its arguments")
    options = arguments.parse_args()
    if os.geteuid() != 0:
        sys.exit("kill_checkpoint.py: checkpointing needs root")
    binary = harness.find_binary()
    if not binary:
        sys.exit("kill_checkpoint.py: there is no holdfast: build it, or set HOLDFAST_BINARY")
    print(f"seed {options.seed}", flush=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-soak-", dir="/var/tmp"))
    directory.chmod(0o755)
    holdfast = harness.Holdfast(binary, directory)
    try:
        build_programs(directory / "programs")
        soak(holdfast, directory / "programs", options)
    except AssertionError as error:
        print("\n".join(holdfast.transcript[-20:]))
        sys.exit(f"kill_checkpoint.py: {error}\n  --seed {options.seed} repeats it")
    finally:
        holdfast.clean_up()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
