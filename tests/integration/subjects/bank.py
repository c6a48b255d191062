"""PostgreSQL and its clients as one job: transfers go on, and the books have to balance. bank.py DIRECTORY"""
import os
import pathlib
import pwd
import subprocess
import sys
import time

from report import Report

BALANCES = """select (select sum(abalance) from pgbench_accounts) = (select coalesce(sum(delta), 0) from pgbench_history)
and (select sum(bbalance) from pgbench_branches) = (select coalesce(sum(delta), 0) from pgbench_history)"""


def main():
    directory = pathlib.Path(sys.argv[1])
    report = Report(directory)
    home = directory / "postgres"
    home.mkdir()
    user = pwd.getpwnam("postgres")
    os.chown(home, user.pw_uid, user.pw_gid)
    for folder in (directory, *directory.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    os.environ.update(PGHOST=str(home), PGUSER="postgres", PGDATABASE="postgres", LC_ALL="C")
    as_postgres = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    run = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home}
    subprocess.run([*as_postgres, "initdb", "-D", home / "data", "-A", "trust", "--no-sync"], **run)
    settings = {"listen_addresses": "", "unix_socket_directories": home, "shared_buffers": "128MB", "fsync": "off"}
    options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    with open(directory / "server.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen([*as_postgres, "postgres", "-D", home / "data", *options], stdout=log, stderr=log, cwd=home)
    while subprocess.run(["psql", "-qc", "select 1"], **(run | {"check": False})).returncode != 0:
        time.sleep(0.1)
    subprocess.run(["pgbench", "-q", "-i", "-s", "3"], **run)
    report.ready()
    while True:
        # -n: it would empty the books first.
        if subprocess.run(["pgbench", "-n", "-c", "3", "-t", "40"], **(run | {"check": False})).returncode != 0:
            report.bad("a client failed")
        if server.poll() is not None:
            report.bad(f"the server ended with {server.returncode}")
        answer = subprocess.run(["psql", "-Atc", BALANCES], check=False, capture_output=True, text=True, cwd=home)
        if answer.stdout.strip() != "t":
            report.bad(f"the books do not balance: {answer.stdout} {answer.stderr}")
        report.good()


if __name__ == "__main__":
    main()
