"""No include in src/ goes upwards or sideways; and the check that says so sees each kind of it."""
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import check_layers  # noqa: E402


class Tree(unittest.TestCase):
    def test_no_include_goes_upwards_or_sideways(self):
        self.assertEqual(check_layers.problems_in(HERE.parents[1] / "src"), [])

    def test_there_are_sources_to_check(self):
        self.assertGreater(len(list((HERE.parents[1] / "src").rglob("*.cc"))), 3)


class CheckItself(unittest.TestCase):
    def problems(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_layers.problems_in(folder)

    def assert_one_problem(self, files, words):
        problems = self.problems(files)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(words, problems[0])

    def test_downwards_itself_and_foreign_headers_are_fine(self):
        self.assertEqual(
            self.problems(
                {
                    "base/a.h": "",
                    "linux/proc.h": '#include "base/a.h"\n#include <linux/limits.h>\n#include <vector>\n',
                    "engine/e.cc": '#include "engine/e.h"\n#include "base/a.h"\n#include "store/s.h"\n#include "CLI/x.h"\n',
                    "criu_plugin/plugin.cc": '#include "criu_plugin/x.h"\n#include <linux/types.h>\n',
                }
            ),
            [],
        )

    def test_upwards(self):
        self.assert_one_problem({"store/s.cc": '// x\n#include "engine/e.h"\n'}, "src/store/s.cc:2: store may not")

    def test_upwards_by_one(self):
        self.assert_one_problem({"base/a.cc": '#include "linux/proc.h"\n'}, "linux is above it")

    def test_sideways(self):
        self.assert_one_problem({"memory/m.cc": '#include "files/files.h"\n'}, "files is beside it")

    def test_odd_spelling(self):
        self.assert_one_problem({"base/a.cc": ' #  include  "cli/c.h"\n'}, "cli is above it")

    def test_angle_brackets(self):
        self.assert_one_problem({"base/a.cc": "#include <cli/c.h>\n", "cli/c.h": ""}, "cli is above it")

    def test_dots(self):
        self.assert_one_problem({"base/a.cc": '#include "../cli/c.h"\n', "cli/c.h": ""}, "cli is above it")

    def test_the_plugin_stands_alone(self):
        self.assert_one_problem({"criu_plugin/p.cc": '#include "base/fd.h"\n'}, "stands alone")

    def test_the_plugin_is_included_only_by_those_who_talk_with_it(self):
        self.assertEqual(self.problems({"criu/c.cc": '#include "criu_plugin/p.h"\n'}), [])
        self.assert_one_problem({"job/j.cc": '#include "criu_plugin/p.h"\n'}, "has nothing to do with criu_plugin")

    def test_unknown_layer(self):
        self.assert_one_problem({"misc/m.cc": ""}, "misc is no layer")

    def test_no_layer(self):
        self.assert_one_problem({"main.cc": ""}, "belongs to no layer")


if __name__ == "__main__":
    unittest.main()
