"""The jobs of bench/steady: see slowdown.Work."""
import csv
import pathlib
import re
import shutil
import subprocess

from processes import Failed
from slowdown import Work

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"

# A server and its load, which come and go together: with nobody else on the line, stock CRIU can dump them as well. A Unix
# socket, since it cannot dump others on newer kernels.
REDIS = """
set -e
cd "$0"
rm -f redis.sock
redis-server --port 0 --unixsocket redis.sock --save '' --appendonly no >redis.log 2>&1 &
until redis-cli -s redis.sock ping >/dev/null 2>&1; do sleep 0.05; done
redis-benchmark -s redis.sock -c 20 -t set -d 1000 -r "$2" -n "$((2 * $2))" -q >/dev/null
echo begin
redis-benchmark -s redis.sock -c 20 -t set -d 1000 -r "$2" -n "$1" --csv
redis-cli -s redis.sock shutdown nosave
wait
"""


class RedisWork(Work):
    """Writes of 1,000 bytes all over its keys, as fast as they go, by twenty clients."""

    name, unit, calibration = "Redis", "writes", 100_000
    keys = 200_000

    def __init__(self, directory):
        self.directory = directory

    def why_not(self):
        missing = [program for program in ("redis-server", "redis-benchmark") if not shutil.which(program)]
        return f"there is no {missing[0]} (the package redis)" if missing else None

    def command(self, amount):
        return ["bash", "-c", REDIS, str(self.directory), str(amount), str(self.keys)]

    def figures(self, amount, lines):
        rows = list(csv.DictReader([line for _, line in lines if line.startswith('"')]))
        if len(rows) != 1:
            raise Failed(f"redis-benchmark said {lines}")
        return {
            "seconds": amount / float(rows[0]["rps"]),
            "p99_ms": float(rows[0]["p99_latency_ms"]),
            "worst_ms": float(rows[0]["max_latency_ms"]),
        }


class JavaWork(Work):
    """programs/Allocate.java: a table of 90 MiB whose records are replaced all the time."""

    name, unit, calibration = "JVM", "operations", 10_000

    def __init__(self, directory):
        self.directory = directory

    def why_not(self):
        missing = [program for program in ("java", "javac") if not shutil.which(program)]
        return f"there is no {missing[0]} (the package default-jdk-headless)" if missing else None

    def command(self, amount):
        if not (self.directory / "Allocate.class").exists():
            subprocess.run(["javac", "-d", str(self.directory), str(PROGRAMS / "Allocate.java")], check=True)
        return ["java", "-Xmx512m", "-XX:-UsePerfData", "-cp", str(self.directory), "Allocate", str(amount), "3"]

    def figures(self, amount, lines):
        found = re.match(r"([\d.]+) s, p99 ([\d.]+) ms, worst ([\d.]+) ms", lines[-1][1]) if lines else None
        if not found:
            raise Failed(f"the JVM said {lines[-3:]}")
        return {"seconds": float(found[1]), "p99_ms": float(found[2]), "worst_ms": float(found[3])}
