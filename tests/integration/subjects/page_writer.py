"""Rewrites pages of a large file in place and knows in memory what is in it: page_writer.py DIR MEBIBYTES"""
import os
import random
import sys
import time

from report import Report

PAGE = 4096
directory, mebibytes = sys.argv[1:3]
report = Report(directory)
random = random.Random(1)
fd = os.open(f"{directory}/data", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
pages = []
for _ in range(int(mebibytes) * 256):
    pages.append(random.randbytes(16))
    os.write(fd, pages[-1] * (PAGE // 16))
while True:
    for number in random.choices(range(len(pages)), k=20):
        content = random.randbytes(16)
        os.pwrite(fd, content * (PAGE // 16), number * PAGE)
        pages[number] = content
    for number in random.choices(range(len(pages)), k=200):
        if os.pread(fd, PAGE, number * PAGE) != pages[number] * (PAGE // 16):
            report.bad(f"page {number} has another content")
    report.ready()
    report.good()
    time.sleep(0.002)
