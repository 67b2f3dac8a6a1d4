#!/usr/bin/python3 -B
"""scripts/bench-report at figures that nobody measured: what stands in the pictures and in the table."""

import importlib.machinery
import importlib.util
import json
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
MACHINE = {"cpu": "Abacus <9>", "cores": 2, "memory": "1 GiB", "kernel": "Linux 1.0", "compiler": "cc 1",
           "libc": "libc 1", "mproc": "0", "peers": {"tin": "1.2", "can": None}}


def load(name):
    """A script as a module of its own."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def figures(work, values, family="family", missing=(), others=0):
    return {"family": family, "work": work, "unit": "us", "better": "lower", "values": values, "missing": list(missing),
            "rounds": 3, "least": values, "most": {name: value * 1.2 for name, value in values.items()},
            "unpinned": {"mproc": 77}, "others": others,
            "ratios": {name: value / values["mproc"] for name, value in values.items() if name != "mproc"}}


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.report = load("bench-report")
        self.report.DOCS = self.report.WORKS = self.folder
        self.page = self.folder / "benchmarks.md"
        self.page.write_text("before\n{}\nold\n{}\nafter\n".format(*self.report.MARKERS))
        (self.folder / "family.txt").write_text("# a comment\nwork us lower mproc echo 1\n")

    def show(self, results, *options):
        (self.folder / "results.json").write_text(json.dumps(results))
        (self.folder / "machine.json").write_text(json.dumps(MACHINE))
        self.report.main([*options, str(self.folder)])

    def texts(self, family="family"):
        picture = xml.etree.ElementTree.parse(self.folder / f"{family}.svg")
        return [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]

    def widths(self):
        """Of the bars; the first shapes are those of the pattern and of the background."""
        picture = xml.etree.ElementTree.parse(self.folder / "family.svg")
        return [float(shape.get("width")) for shape in picture.iter("{http://www.w3.org/2000/svg}rect")][3:]

    def test_a_picture_has_all_names_values_and_the_machine(self):
        self.show([figures("work", {"mproc": 20, "peer": 50, "limit": 10}, missing=["gone"])])
        texts = self.texts()
        for text in ("work", "us, lower is better", "mproc", "peer", "gone", "missing", "limit", "20.0", "50.0", "10.0",
                     "2.50 x", "0.50 x", "Abacus <9>, 2 cores, 1 GiB, Linux 1.0."):
            self.assertIn(text, texts)
        self.assertEqual([text for text in texts if text in ("mproc", "peer", "gone", "limit")],
                         ["mproc", "peer", "gone", "limit"])

    def test_bars_are_as_long_as_their_values(self):
        self.show([figures("work", {"mproc": 20, "peer": 50})])
        ours, theirs = self.widths()
        self.assertAlmostEqual(theirs / ours, 2.5, places=2)

    def test_bars_are_logarithmic_where_the_range_is_large(self):
        self.show([figures("work", {"mproc": 20, "middle": 2000, "peer": 200000})])
        ours, middle, theirs = self.widths()
        self.assertAlmostEqual(middle - ours, theirs - middle, places=0)
        self.assertIn("us, lower is better, logarithmic", self.texts())
        self.assertIn("10,000", self.texts())

    def test_each_family_has_a_picture_whatever_the_order(self):
        self.show([figures(work, {"mproc": 1}, family) for work, family in (("a", "one"), ("b", "two"), ("c", "one"))])
        self.assertTrue({"a", "c"} <= set(self.texts("one")))
        self.assertIn("b", self.texts("two"))

    def test_works_without_any_figure_are_drawn(self):
        self.show([figures("work", {}, missing=["mproc", "peer"])])
        self.assertEqual(self.texts().count("missing"), 2)

    def test_the_table_goes_between_the_markers(self):
        self.show([figures("work", {"mproc": 2000000, "peer": 50000000, "limit": 1000000}, missing=["gone"])], "--docs")
        page = self.page.read_text()
        self.assertTrue(page.startswith("before\n") and page.endswith("\nafter\n"))
        self.assertNotIn("old", page)
        self.assertIn("| `work` | us, lower | 2.00 M (2.00 M to 2.40 M) | 77.0 | peer 50.0 M (25 x); gone missing"
                      " | 1.00 M (0.50 x) | 3 |", page)
        self.assertIn("tin 1.2, can missing", page)
        self.assertTrue((self.folder / "benchmarks/family.svg").exists())
        self.show([figures("work", {"mproc": 1}, others=55)], "--docs")
        words = " ".join(self.page.read_text().split())
        self.assertIn("Others used more than 10 % of a CPU during `work` (55 %).", words)

    def test_docs_are_left_alone_unless_all_is_measured(self):
        before = self.page.read_text()
        with self.assertRaisesRegex(SystemExit, "not measured yet.*: work$"):
            self.show([figures("other", {"mproc": 1})], "--docs")
        self.assertEqual(self.page.read_text(), before)

    def test_a_page_without_markers_is_refused(self):
        self.page.write_text("nothing")
        with self.assertRaisesRegex(SystemExit, "markers"):
            self.show([figures("work", {"mproc": 1})], "--docs")
        self.assertEqual(self.page.read_text(), "nothing")

    def test_values_have_three_digits(self):
        for value, text in ((0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12345, "12,300"),
                            (1234567, "1.23 M"), (52e6, "52.0 M")):
            self.assertEqual(self.report.short(value), text)


if __name__ == "__main__":
    unittest.main()
