"""The scripts that judge, measure and draw do so rightly."""
import importlib.util
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from importlib.machinery import SourceFileLoader

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(path):
    loader = SourceFileLoader(pathlib.Path(path).stem.replace("-", "_"), str(ROOT / path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Summary(unittest.TestCase):
    def summarize(self, *documents):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, document in enumerate(documents):
                paths.append(os.path.join(folder, f"suite{number}.xml"))
                if document is not None:
                    pathlib.Path(paths[-1]).write_text(document)
            result = subprocess.run(
                [sys.executable, ROOT / "scripts/summarize-tests", *paths], capture_output=True, text=True, check=False
            )
        return result.returncode, result.stdout.splitlines()

    CTEST = """<testsuite name="x" tests="3" failures="0" skipped="1">
        <testcase name="a.B.C" classname="a.B.C" time="0.1" status="run"><system-out/></testcase>
        <testcase name="a.B.D" classname="a.B.D" time="0.1" status="run"/>
        <testcase name="a.B.E" classname="a.B.E" status="notrun">
          <skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
          <system-out>[ RUN      ] B.E\n/x/y_test.cc:7: Skipped\nneeds root\n\n[  SKIPPED ] B.E (0 ms)\n</system-out>
        </testcase></testsuite>"""
    PYTEST = """<testsuites><testsuite name="pytest">
        <testcase classname="t.T" name="ok"/>
        <testcase classname="t.T" name="bad"><failure message="AssertionError: 1 != 2">trace</failure></testcase>
        <testcase classname="t.T" name="error"><error message="fixture">trace</error></testcase>
        <testcase classname="t.T" name="skip"><skipped type="pytest.skip" message="no yosys"/></testcase>
        </testsuite></testsuites>"""

    def test_all_passed(self):
        status, lines = self.summarize(self.CTEST)
        self.assertEqual(status, 0)
        self.assertEqual(lines[-1], "2 passed, 0 failed, 1 skipped")
        self.assertIn("  suite0: a.B.E: needs root", lines)

    def test_one_failed(self):
        status, lines = self.summarize(self.CTEST, self.PYTEST)
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "3 passed, 2 failed, 2 skipped")
        self.assertIn("  suite1: t.T.bad: AssertionError: 1 != 2", lines)
        self.assertIn("  suite1: t.T.skip: no yosys", lines)

    def test_results_that_were_never_written_are_a_failure(self):
        for document in (None, "", "<testsuite"):
            status, lines = self.summarize(self.CTEST, document)
            self.assertEqual((status, lines[-1]), (1, "2 passed, 1 failed, 1 skipped"))

    def test_no_test_at_all_is_a_failure(self):
        status, lines = self.summarize("<testsuite/>")
        self.assertEqual((status, lines[-1]), (1, "0 passed, 0 failed, 0 skipped"))

    def test_ctest_failure(self):
        status, lines = self.summarize(
            '<testsuite><testcase name="a" classname="a" status="fail"><failure message=""/></testcase></testsuite>'
        )
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))


class CriuStatistics(unittest.TestCase):
    stats = load("bench/criu_stats.py")

    def image(self, message, magic=0x57093306):
        return struct.pack("<III", 0x55105940, magic, len(message)) + message

    def test_dump(self):
        # stats_entry.dump { freezing_time: 101, frozen_time: 1114535, pages_written: 3 }
        inner = bytes([1 << 3, 101, 2 << 3, 0xA7, 0x83, 0x44, 7 << 3, 3])
        decoded = self.stats.decode(self.image(bytes([0x0A, len(inner)]) + inner))
        self.assertEqual(decoded, {"freezing_ms": 0.101, "frozen_ms": 1114.535, "pages_written": 3})

    def test_what_is_no_statistics_is_refused(self):
        good = self.image(b"\x0a\x02\x08\x05")
        self.assertEqual(self.stats.decode(good), {"freezing_ms": 0.005})
        for bad in (b"", good[:-1], good + b"x", self.image(b"", magic=1), self.image(b"\x0a\x7f"), self.image(b"\x08\xff")):
            with self.assertRaises(ValueError):
                self.stats.decode(bad)


class TerminalPicture(unittest.TestCase):
    picture = load("scripts/terminal-svg")

    def text(self, capture, columns=40):
        return ["".join(character for character, _ in line) for line in self.picture.screen_lines(capture, columns)]

    def test_only_what_stands_there_in_the_end_is_drawn(self):
        self.assertEqual(self.text("10%\r50%\r100%\ndone\r\n"), ["100%", "done"])
        self.assertEqual(self.text("long line\r\x1b[Kshort\n"), ["short"])
        self.assertEqual(self.text("one\ntwo\n\x1b[1A\x1b[2KTWO\n"), ["one", "TWO"])
        self.assertEqual(self.text("a\tb\x1b]0;title\x07\n\n"), ["a       b"])
        self.assertEqual(self.text("x" * 45), ["x" * 40, "x" * 5])

    def test_colours_and_special_characters_make_valid_xml(self):
        lines = self.picture.screen_lines("\x1b[1;32mok\x1b[0m <&> \x1b[31mbad\x1b[39m plain", 40)
        document = xml.fromstring(self.picture.svg(lines, 40, 'a "title" & more'))
        drawn = {element.text: element.attrib for element in document.iter("{http://www.w3.org/2000/svg}text")}
        self.assertEqual(drawn["ok"]["font-weight"], "bold")
        self.assertEqual(drawn["ok"]["fill"], self.picture.COLOURS[32])
        self.assertEqual(drawn["bad"]["fill"], self.picture.COLOURS[31])
        self.assertNotIn("fill", drawn[" plain"])
        self.assertIn(" <&> ", drawn)


class Training(unittest.TestCase):
    def test_two_runs_print_the_same_bits(self):
        command = ["/usr/bin/python3", str(ROOT / "examples/training/train.py"), "--layers=1", "--steps=6"]
        command += ["--steps-per-epoch=4", "--batch=1"]
        try:
            subprocess.run(["/usr/bin/python3", "-c", "import torch"], check=True, capture_output=True)
        except subprocess.CalledProcessError:
            self.skipTest("/usr/bin/python3 has no torch")
        first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
        self.assertEqual(first, second)
        lines = first.splitlines()
        self.assertEqual(len([line for line in lines if line.startswith("epoch ")]), 6)
        self.assertRegex(lines[5], r"^epoch 2 step 5 loss \d+\.\d{4} 0x1\.[0-9a-f]+p[+-]\d+$")
        self.assertRegex(lines[-1], r"^done: weights [0-9a-f]{16}$")


if __name__ == "__main__":
    unittest.main()
