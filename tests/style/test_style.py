"""The sources are formatted, clang-tidy and shellcheck find nothing; and each of the checks finds what is broken."""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import check_style  # noqa: E402

FORMAT = shutil.which(f"clang-format-{check_style.CLANG_VERSION}")
TIDY = check_style.tool("clang-tidy")
BUILD = os.environ.get("HOLDFAST_BUILD", "")

needs_format = unittest.skipUnless(FORMAT, f"clang-format-{check_style.CLANG_VERSION} is not installed")
needs_tidy = unittest.skipUnless(TIDY, "clang-tidy is not installed")
needs_shellcheck = unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not installed")


def say(text):
    print(text, file=sys.stderr, flush=True)


class Tree(unittest.TestCase):
    @needs_format
    def test_sources_are_formatted(self):
        problems = check_style.check_format(check_style.ROOT)
        self.assertEqual(problems, [], "\n".join(problems))

    @needs_tidy
    @unittest.skipUnless(BUILD, "HOLDFAST_BUILD names no configured build folder (test.sh sets it)")
    @unittest.skipUnless(os.environ.get("HOLDFAST_TIDY"), "the newest sources have not been cleaned for clang-tidy yet")
    def test_clang_tidy_finds_nothing(self):
        problems = check_style.check_tidy(check_style.ROOT, BUILD, say)
        self.assertEqual(problems, [], "\n".join(problems))

    @needs_shellcheck
    def test_shellcheck_finds_nothing(self):
        problems = check_style.check_shell(check_style.ROOT)
        self.assertEqual(problems, [], "\n".join(problems))

    def test_python_programs_can_be_read(self):
        problems = check_style.check_python(check_style.ROOT)
        self.assertEqual(problems, [], "\n".join(problems))

    def test_report_long_files(self):
        for length, path in check_style.long_files(check_style.ROOT):
            say(f"long file: {path} has {length} lines (usually at most {check_style.LINES_USUAL})")


class CheckItself(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        shutil.copy(check_style.ROOT / ".clang-format", self.root)
        shutil.copy(check_style.ROOT / ".clang-tidy", self.root)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @needs_format
    def test_format(self):
        self.write("src/good.cc", "int Good() {\n  return 1;\n}\n")
        self.assertEqual(check_style.check_format(self.root), [])
        self.write("src/bad.cc", "int Bad( ) {return 1 ;}\n")
        problems = check_style.check_format(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn("src/bad.cc", problems[0])

    @needs_shellcheck
    def test_shell(self):
        self.write("good", '#!/bin/sh\necho "$1"\n')
        self.assertEqual(check_style.check_shell(self.root), [])
        self.write("bad", "#!/usr/bin/env bash\nrm -rf $1/*\n")
        problems = check_style.check_shell(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn("SC2086", problems[0])

    def test_python(self):
        self.write("good", "#!/usr/bin/env python3\nprint('a')\n")
        self.assertEqual(check_style.check_python(self.root), [])
        self.write("bad", "#!/usr/bin/env python3\nprint(f'a' b')\n")
        problems = check_style.check_python(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn("bad", problems[0])

    @needs_tidy
    def test_tidy_and_what_it_remembers(self):
        header = self.write("src/a.h", "inline int Twice(int n) { return 2 * n; }\n")
        source = self.write("src/a.cc", '#include "a.h"\nint Four() { return Twice(2); }\n')
        build = self.root / "build"
        build.mkdir()
        entry = {"directory": str(build), "file": str(source), "command": f"c++ -I{self.root}/src -c {source}"}
        (build / "compile_commands.json").write_text(json.dumps([entry]))
        said = []

        def problems():
            said.clear()
            return check_style.check_tidy(self.root, build, said.append)

        with mock.patch.dict(os.environ, HOLDFAST_CACHE=str(self.root / "cache")):
            self.assertEqual(problems(), [])
            self.assertIn("1 of 1 files", said[0])
            self.assertEqual(problems(), [])
            self.assertIn("0 of 1 files", said[0])
            # Another clone of the same content needs no second look.
            clone = self.root.parent / (self.root.name + "-clone")
            shutil.copytree(self.root, clone)
            self.addCleanup(shutil.rmtree, clone)
            commands = clone / "build/compile_commands.json"
            commands.write_text(commands.read_text().replace(str(self.root), str(clone)))
            said.clear()
            self.assertEqual(check_style.check_tidy(clone, clone / "build", said.append), [])
            self.assertIn("0 of 1 files", said[0])
            # A fault in a header is found although the source is as it was, and as often as one asks.
            header.write_text("struct thing_of_a_name { thing_of_a_name(int n); int* p = 0; };\ninline int Twice(int n) { return n; }\n")
            for _ in range(2):
                found = problems()
                self.assertEqual(len(found), 1, found)
                self.assertIn("readability-identifier-naming", found[0])
                self.assertIn("modernize-use-nullptr", found[0])
            # A build folder that compiles nothing is no success.
            (build / "compile_commands.json").write_text("[]")
            self.assertEqual(len(problems()), 1)

    def test_length(self):
        self.write("src/long.cc", "// line\n" * (check_style.LINES_USUAL + 1))
        self.write("src/short.cc", "// line\n" * check_style.LINES_USUAL)
        self.assertEqual([str(path) for _, path in check_style.long_files(self.root)], ["src/long.cc"])


if __name__ == "__main__":
    unittest.main()
