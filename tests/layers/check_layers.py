#!/usr/bin/env python3
"""Finds includes in src/ that go upwards or sideways.

    check_layers.py [SOURCE_DIR]

A layer may include itself and every layer below it. Prints one line for each include that it may not have and exits
with 1 when there is any.
"""
import pathlib
import re
import sys

# Bottom up. Layers in one row are neighbours and do not know each other.
ROWS = [
    ["base"],
    ["linux"],
    ["store", "lease"],
    ["criu", "memory", "device", "files"],
    ["oci"],
    ["engine", "policy"],
    ["job"],
    ["pod"],
    ["cli", "runtime", "agent"],
]
# Under another licence, and loaded into another program: it stands alone. Those who talk with it may include it.
ALONE = ["criu_plugin"]
TALK_WITH_ALONE = ["criu", "memory", "oci", "engine"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include(?:_next)?[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
SOURCES = {".cc", ".h", ".c", ".cpp", ".hpp", ".inc"}


def height(layer):
    for index, row in enumerate(ROWS):
        if layer in row:
            return index
    return None


def included_layer(source_root, including_file, quote, name):
    """The folder under src/ that an include leads to; None for the system's and other libraries' headers."""
    layers = [layer for row in ROWS for layer in row] + ALONE
    if quote == '"':
        beside = (including_file.parent / name).resolve()
        if beside.is_file() and source_root in beside.parents:
            return beside.relative_to(source_root).parts[0]
    if ".." in pathlib.PurePosixPath(name).parts:
        outside = (including_file.parent / name).resolve()
        if source_root in outside.parents:
            return outside.relative_to(source_root).parts[0]
    first = name.split("/", 1)[0]
    # <linux/...> is the kernel's; ours is written with quotation marks.
    if "/" in name and first in layers and (quote == '"' or (source_root / name).is_file()):
        return first
    return None


def problems_in(source_root):
    source_root = pathlib.Path(source_root).resolve()
    problems = []
    for path in sorted(source_root.rglob("*")):
        if path.suffix not in SOURCES or not path.is_file():
            continue
        relative = path.relative_to(source_root)
        if len(relative.parts) < 2:
            problems.append(f"src/{relative}: belongs to no layer; put it into one of the folders")
            continue
        layer = relative.parts[0]
        if layer not in ALONE and height(layer) is None:
            problems.append(f"src/{relative}: the folder {layer} is no layer; tests/layers/check_layers.py lists them")
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for match in INCLUDE.finditer(text):
            target = included_layer(source_root, path, match[1], match[2])
            if target is None or target == layer:
                continue
            line = text.count("\n", 0, match.start()) + 1
            where = f"src/{relative}:{line}"
            if layer in ALONE:
                problems.append(f"{where}: {layer} stands alone and may not include {match[2]}")
            elif target in ALONE:
                if layer not in TALK_WITH_ALONE:
                    problems.append(f"{where}: {layer} may not include {match[2]}: it has nothing to do with {target}")
            elif height(target) is None:
                problems.append(f"{where}: {match[2]} leads to {target}, which is no layer")
            elif height(target) > height(layer):
                problems.append(f"{where}: {layer} may not include {match[2]}: {target} is above it")
            elif height(target) == height(layer):
                problems.append(f"{where}: {layer} may not include {match[2]}: {target} is beside it")
    return problems


def main():
    default = pathlib.Path(__file__).resolve().parents[2] / "src"
    problems = problems_in(sys.argv[1] if len(sys.argv) > 1 else default)
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
