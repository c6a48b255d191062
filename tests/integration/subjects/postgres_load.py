"""A PostgreSQL server and pgbench, whose balances have to agree at every moment: postgres_load.py DIR

Both run as another user than root, as the server demands. pgbench's connections go on for good: one that breaks, and a
transaction that fails, is reported as bad. The sums are asked for over a new connection each time.
"""
import os
import pathlib
import pwd
import re
import subprocess
import sys
import threading
import time

from report import Report

USER = "postgres"
BINARIES = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
SUMS = """
select (select sum(abalance) from pgbench_accounts), (select sum(bbalance) from pgbench_branches),
       (select sum(tbalance) from pgbench_tellers), (select coalesce(sum(delta), 0) from pgbench_history)"""

directory = pathlib.Path(sys.argv[1])
report = Report(str(directory))
database = directory / "database"
log = open(directory / "postgres.log", "ab")


def start(program, *arguments, **options):
    words = [BINARIES / program, *map(str, arguments)]
    account = pwd.getpwnam(USER)
    options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "text": True, **options}
    return subprocess.Popen(words, user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd=database, **options)


def ask(program, *arguments):
    """Its stdout, or None when it fails."""
    client = start(program, *arguments, stdout=subprocess.PIPE)
    out = client.communicate()[0]
    return out.strip() if client.returncode == 0 else None


def watch(load):
    for line in load.stderr:
        failed = re.search(r"(\d+) failed", line)
        if not line.startswith("progress:") or (failed and int(failed[1]) > 0):
            report.bad(f"pgbench says {line.strip()}")
    report.bad(f"pgbench has ended with {load.wait()}")


def main():
    database.mkdir()
    os.chown(database, pwd.getpwnam(USER).pw_uid, -1)
    database.chmod(0o700)
    os.chown(log.fileno(), pwd.getpwnam(USER).pw_uid, -1)
    connection = ["-h", str(database)]  # a Unix socket there
    if ask("initdb", "-D", database, "--auth=trust", "--no-sync") is None:
        report.bad("initdb failed")
    settings = {"listen_addresses": "", "unix_socket_directories": database, "shared_buffers": "64MB", "max_wal_size": "256MB"}
    server = start("postgres", "-D", database, *(f"--{name}={value}" for name, value in settings.items()))
    while ask("psql", *connection, "-c", "select 1", USER) is None:
        time.sleep(0.1)
    if ask("pgbench", *connection, "-i", "-s", "2", "-q", USER) is None:
        report.bad("pgbench -i failed")
    load = start("pgbench", *connection, "-c", "4", "-T", "1000000", "-P", "1", "-n", USER, stderr=subprocess.PIPE)
    threading.Thread(target=watch, args=(load,), daemon=True).start()
    while True:
        sums = ask("psql", *connection, "-A", "-t", "-F", " ", "-c", SUMS, USER)
        if sums is None or len(set(sums.split())) != 1:
            report.bad(f"the sums are {sums}; the server's status is {server.poll()}")
        if report.round == 0:
            report.ready()
        report.good()
        time.sleep(0.1)


main()
