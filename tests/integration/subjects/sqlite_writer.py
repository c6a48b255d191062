"""Writes rows into a SQLite database in transactions and knows in memory what has to be in it: sqlite_writer.py DIR MODE"""
import sqlite3
import sys
import time

from report import Report

directory, mode = sys.argv[1:3]
report = Report(directory)
database = sqlite3.connect(f"{directory}/rows.db", isolation_level=None)
database.execute(f"pragma journal_mode={mode}")
database.execute("pragma cache_size=50")  # small: pages are written and read again in mid-transaction
database.execute("create table rows(number integer primary key, twice integer, content blob)")
rows = 0
while True:
    database.execute("begin immediate")
    for _ in range(40):
        rows += 1
        database.execute("insert into rows values(?, ?, randomblob(700))", (rows, 2 * rows))
    database.execute("update rows set content = randomblob(300) where number % 37 = ?", (rows % 37,))
    database.execute("commit")
    count, total = database.execute("select count(*), sum(twice) from rows").fetchone()
    if count != rows or total != rows * (rows + 1):
        report.bad(f"{count} rows in the database, {rows} in memory, sum {total}")
    if rows % 200 == 0:
        verdict = database.execute("pragma integrity_check").fetchone()[0]
        if verdict != "ok":
            report.bad(f"integrity_check: {verdict}")
    if rows == 40:
        report.ready()
    report.good()
    time.sleep(0.002)
