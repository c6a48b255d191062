"""Changes a directory in every way there is and knows in memory what has to be in it: directory_keeper.py DIR SEED

The directory is DIR/kept; the reports are beside it, as they have to grow on.
"""
import os
import random
import sys
import time

from report import Report

directory, seed = sys.argv[1:3]
report = Report(directory)
top = f"{directory}/kept"
os.makedirs(top, exist_ok=True)
random = random.Random(int(seed))
files = {}  # name -> the list that holds its content: names that are links to each other share it
links = {}  # name -> where it leads
folders = set()
log = open(f"{top}/log", "ab", buffering=0)
files["log"] = [b""]


def content():
    return bytes([random.randrange(256)]) * random.choice((0, 10, 5000, 400000))


def fresh(kind):
    return f"{random.choice(['', *(folder + '/' for folder in folders)])}{kind}{random.randrange(10**9)}"


def make_atomically():
    """As checkpoints of frameworks are written."""
    name, text = fresh("checkpoint"), content()
    with open(f"{top}/{name}.tmp", "wb") as file:
        files[f"{name}.tmp"] = held = [b""]
        file.write(text)
        file.flush()
        held[0] = text
    os.replace(f"{top}/{name}.tmp", f"{top}/{name}")
    files[name] = files.pop(f"{name}.tmp")


def change(name):
    held = files[name]
    if name == "log" or not held[0]:
        return
    at = random.randrange(len(held[0]))
    with open(f"{top}/{name}", "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"X", at)
    held[0] = held[0][:at] + b"X" + held[0][at + 1 :]


def remove(name):
    if name != "log":
        os.unlink(f"{top}/{name}")
        del files[name]


def link(name):
    other = fresh("hard")
    os.link(f"{top}/{name}", f"{top}/{other}")
    files[other] = files[name]


def symlink():
    name = fresh("soft")
    os.symlink("some/where", f"{top}/{name}")
    links[name] = "some/where"


def folder():
    name = f"folder{len(folders)}"
    os.mkdir(f"{top}/{name}")
    folders.add(name)


def append():
    line = b"line %09d\n" % random.randrange(10**9)
    log.write(line)
    files["log"][0] += line


def look():
    found_files, found_links, found_folders = set(), set(), set()
    for path, inner, names in os.walk(top):
        for name in inner + names:
            whole = os.path.join(path, name)
            short = whole[len(top) + 1 :]
            if os.path.islink(whole):
                found_links.add(short)
                if os.readlink(whole) != links.get(short):
                    report.bad(f"{short} leads to {os.readlink(whole)}")
            elif os.path.isdir(whole):
                found_folders.add(short)
            else:
                found_files.add(short)
    if (found_files, found_links, found_folders) != (set(files), set(links), folders):
        report.bad(f"there are {sorted(found_files ^ set(files))} {found_links ^ set(links)} {found_folders ^ folders}")
    for name, held in files.items():
        with open(f"{top}/{name}", "rb") as file:
            if file.read() != held[0]:
                report.bad(f"{name} has another content")
            if os.fstat(file.fileno()).st_nlink != sum(other is held for other in files.values()):
                report.bad(f"{name} has {os.fstat(file.fileno()).st_nlink} names")


while True:
    act = random.choice([make_atomically, make_atomically, change, change, remove, remove, link, symlink, folder, append])
    if act in (change, remove, link):
        act(random.choice(sorted(files)))
    elif act is not folder or len(folders) < 5:
        act()
    if len(files) > 30:
        remove(random.choice(sorted(files)))
    if len(links) > 10:
        os.unlink(f"{top}/{next(iter(links))}")
        del links[next(iter(links))]
    look()
    report.ready()
    report.good()
    time.sleep(0.002)
