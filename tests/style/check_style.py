#!/usr/bin/env python3
"""Checks how the sources are written.

    check_style.py format             clang-format finds nothing to change
    check_style.py tidy BUILD_DIR     clang-tidy finds nothing in the sources that BUILD_DIR compiles
    check_style.py shell              shellcheck finds nothing in the scripts
    check_style.py python             the programs and modules in Python can be read
    check_style.py length             reports files that are longer than a file with one idea usually is

Each prints what it finds and exits with 1 when there is any (`length` only reports). What clang-tidy accepted is
remembered by the content it depends on, under ${HOLDFAST_CACHE:-~/.cache/holdfast}/tidy, so that a second run is quick.
"""
import ast
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = {".cc", ".h", ".c"}
PYTHON = b"python3"
CLANG_VERSION = "16"  # other versions format differently
LINES_USUAL = 400
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', re.MULTILINE)


def files(root):
    """The files of the tree: what git tracks or would track; everything outside build folders when there is no git."""
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-coz", "--exclude-standard"], capture_output=True, check=False
    )
    if listing.returncode == 0:
        names = [name for name in listing.stdout.decode().split("\0") if name]
        found = [root / name for name in sorted(set(names))]
    else:
        found = [path for path in sorted(root.rglob("*")) if not {"build", ".git"} & set(path.relative_to(root).parts)]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def sources(root):
    return [path for path in files(root) if path.suffix in SOURCES]


def programs(root, interpreter):
    """Those whose first line names it; of Python, modules too."""
    found = []
    for path in files(root):
        with open(path, "rb") as file:
            first = file.readline(100)
        if re.match(rb"#!.*\b" + interpreter + rb"\b", first) or (interpreter == PYTHON and path.suffix == ".py"):
            found.append(path)
    return found


def scripts(root):
    return programs(root, b"(ba)?sh")


def tool(name):
    """The tool of the version that the sources are written for, else the distribution's; None when there is none."""
    return shutil.which(f"{name}-{CLANG_VERSION}") or shutil.which(name)


def version(path):
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def in_chunks(items, size):
    return [items[start : start + size] for start in range(0, len(items), size)]


def workers():
    return len(os.sched_getaffinity(0))


def check_format(root):
    formatter = tool("clang-format")
    problems = []
    for chunk in in_chunks([str(path) for path in sources(root)], 50):
        result = subprocess.run(
            [formatter, "--dry-run", "--Werror", "--ferror-limit=1", *chunk], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            names = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", result.stderr, re.MULTILINE)))
            problems += [f"{name}: not formatted; {formatter} -i does it" for name in names] or [result.stderr]
    return problems


def check_shell(root):
    paths = [str(path) for path in scripts(root)]
    result = subprocess.run(["shellcheck", "-x", "-e", "SC2016", *paths], capture_output=True, text=True, cwd=root, check=False)
    return [] if result.returncode == 0 else [result.stdout + result.stderr]


def check_python(root):
    problems = []
    for path in programs(root, PYTHON):
        try:
            ast.parse(path.read_bytes(), str(path.relative_to(root)))
        except (SyntaxError, ValueError) as error:
            problems.append(f"{path.relative_to(root)}: {error}")
    return problems


def include_folders(entry):
    arguments = entry.get("arguments") or shlex.split(entry["command"])
    folders = []
    for index, argument in enumerate(arguments):
        if argument in ("-I", "-isystem") and index + 1 < len(arguments):
            folders.append(arguments[index + 1])
        elif argument.startswith("-I"):
            folders.append(argument[2:])
    return [pathlib.Path(entry["directory"], folder) for folder in folders]


def content_hash(entry, settings, root, build):
    """What the verdict on one source depends on: it, every header of ours under it, how it is compiled, the tool.

    Not on where the tree and the build folder are: what was found fine in one clone is so in the next.
    """
    places = [(str(pathlib.Path(build).resolve()), "BUILD"), (str(pathlib.Path(build).parent / "source"), "ROOT")]
    places += [(str(build), "BUILD"), (str(root), "ROOT")]

    def placeless(text):
        for place, name in places:
            text = text.replace(place, name)
        return text.encode()

    digest = hashlib.sha256(settings.encode())
    digest.update(placeless(json.dumps([entry.get("command"), entry.get("arguments")])))
    folders = include_folders(entry)
    seen = set()
    pending = [pathlib.Path(entry["directory"], entry["file"]).resolve()]
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        text = path.read_bytes()
        digest.update(placeless(str(path)) + b"\0" + hashlib.sha256(text).digest())
        for match in INCLUDE.finditer(text):
            name = os.fsdecode(match[1])
            for folder in [path.parent, *folders]:
                candidate = (folder / name).resolve()
                if candidate.is_file() and not str(candidate).startswith("/usr/"):
                    pending.append(candidate)
                    break
    return digest.hexdigest()


def cache_folder():
    cache = os.environ.get("HOLDFAST_CACHE")
    if not cache:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "holdfast")
    folder = pathlib.Path(cache, "tidy")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def drop_old(folder, days=30):
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > days * 86400:
            path.unlink(missing_ok=True)


def tidy_one(tidy, build, path, mark):
    result = subprocess.run(
        [tidy, "-p", str(build), "--quiet", "--warnings-as-errors=*", "--extra-arg=-Wno-unknown-warning-option",
         "--extra-arg=-Wno-sign-conversion", path],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        mark.touch()
        return None
    noise = re.compile(r"^\d+ warnings? (generated|treated as errors?)\.?$|^\s*$")
    return "\n".join(line for line in (result.stdout + result.stderr).splitlines() if not noise.match(line))


def check_tidy(root, build, report=lambda text: None):
    tidy = tool("clang-tidy")
    entries = {}
    for entry in json.loads(pathlib.Path(build, "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        # The product's sources: most of what it says of tests is about GoogleTest's macros.
        if root / "src" in path.parents and pathlib.Path(build).resolve() not in path.parents:
            entries[str(path)] = entry
    if not entries:
        return [f"{build}/compile_commands.json compiles nothing of {root}"]
    settings = version(tidy) + (root / ".clang-tidy").read_text()
    folder = cache_folder()
    drop_old(folder)
    todo = {}
    for path, entry in entries.items():
        mark = folder / content_hash(entry, settings, root, build)
        if mark.exists():
            mark.touch()
        else:
            todo[path] = mark
    report(f"clang-tidy: {len(todo)} of {len(entries)} files to check, the others are known to be fine")
    problems = []
    with concurrent.futures.ThreadPoolExecutor(workers()) as pool:
        futures = {pool.submit(tidy_one, tidy, build, path, mark): path for path, mark in todo.items()}
        for count, future in enumerate(concurrent.futures.as_completed(futures), 1):
            problem = future.result()
            if problem:
                problems.append(problem)
            if count % 10 == 0 or count == len(todo):
                report(f"clang-tidy: {count}/{len(todo)} checked, {len(problems)} with findings")
    return problems


def long_files(root):
    lengths = [(len(path.read_bytes().splitlines()), path.relative_to(root)) for path in sources(root)]
    return sorted((length, path) for length, path in lengths if length > LINES_USUAL)[::-1]


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "format":
        problems = check_format(ROOT)
    elif what == "tidy" and len(sys.argv) == 3:
        problems = check_tidy(ROOT, sys.argv[2], lambda text: print(text, file=sys.stderr, flush=True))
    elif what == "shell":
        problems = check_shell(ROOT)
    elif what == "python":
        problems = check_python(ROOT)
    elif what == "length":
        for length, path in long_files(ROOT):
            print(f"{path}: {length} lines (usually at most {LINES_USUAL})")
        return 0
    else:
        print(__doc__, file=sys.stderr)
        return 64
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
