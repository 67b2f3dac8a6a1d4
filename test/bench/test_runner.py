#!/usr/bin/python3 -B
"""scripts/bench at works whose programs are echo, false and the like: what it measures, how often, and what it says of
those that give no figure."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def load(name):
    """A script as a module of its own."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Runner(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.bench = load("bench")
        self.bench.WORKS = self.folder / "works"
        self.bench.RESULTS = self.folder / "results"
        self.bench.WORKS.mkdir()
        # Where it does not matter, one round will do.
        self.full = self.bench.FULL
        self.bench.FULL = self.full._replace(least=1, most=1, unpinned=1, warm_up=False)
        self.bench.VERSIONS = {"nobody": (["no-such-program-anywhere"], "x"), "cat": (["echo", "v1_2"], r"v(\w+)")}
        os.environ.pop("BENCH", None)

    def script(self, name, text):
        """Put a program into the build folder. It is called as $programs/NAME."""
        file = self.folder / "bench" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def measure(self, lines, *works, family="family"):
        """Run the works of some lines. Returns what the file has of each of them, what was printed, and the status."""
        (self.bench.WORKS / f"{family}.txt").write_text("# a comment\n\n" + "\n".join(lines) + "\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                status = self.bench.main([str(self.folder), *works])
            except SystemExit as end:
                return {}, printed.getvalue(), end.code
        results = json.loads((self.bench.RESULTS / "results.json").read_text())
        return {result["work"]: result for result in results}, printed.getvalue(), status

    def count_up(self, name):
        """A program that prints 1, 2, 3, 6, 7, 8... in its first, second... run."""
        self.script(name, f'echo >>"{self.folder}/{name}.runs"; n=$(wc -l <"{self.folder}/{name}.runs")\n'
                          "[ $n -gt 3 ] && n=$((n + 2)); echo $n")

    def runs_of(self, name):
        file = self.folder / f"{name}.runs"
        return len(file.read_text()) if file.exists() else 0

    def test_the_median_and_the_spread_are_of_the_rounds_after_the_warm_up(self):
        self.count_up("program")
        self.bench.FULL = self.full
        results, _, status = self.measure(["work us lower mproc $programs/program"])
        self.assertEqual(self.runs_of("program"), 1 + 7)
        self.assertEqual(results["work"]["values"], {"mproc": 7})  # 2 3 6 7 8 9 10
        self.assertEqual((results["work"]["least"]["mproc"], results["work"]["most"]["mproc"]), (2, 10))
        self.assertEqual(results["work"]["rounds"], 7)
        self.assertEqual(status, 0)

    def test_the_programs_of_a_work_take_turns(self):
        self.bench.FULL = self.full._replace(most=3)
        for name in "ab":
            self.script(name, f'echo {name} >>"{self.folder}/order"; echo 1')
        self.measure(["work us lower mproc $programs/a", "work us lower peer $programs/b"])
        self.assertEqual((self.folder / "order").read_text().split(), ["a", "b"] * 4)

    def test_a_ratio_says_how_many_times_as_good_mproc_is(self):
        results, printed, _ = self.measure(["fast x/s higher mproc echo 30", "fast x/s higher peer echo 10",
                                            "slow us lower mproc echo 30", "slow us lower peer echo 10"])
        self.assertEqual(results["fast"]["ratios"], {"peer": 3})
        self.assertEqual(results["slow"]["ratios"], {"peer": 0.333})
        self.assertIn("mproc: 3.00 x", printed)

    def test_a_peer_without_a_figure_is_named_with_the_reason(self):
        self.script("dies", "echo 5; echo it broke >&2; exit 3")
        results, printed, status = self.measure([
            "work us lower mproc echo 1", "work us lower fails false", "work us lower dies $programs/dies",
            "work us lower unbuilt $peers/nothing", "work us lower script $python bench/peers/nothing.py",
            "work us lower uninstalled no-such-program-anywhere 1", "work us lower talks echo a lot"])
        self.assertEqual(results["work"]["values"], {"mproc": 1})
        self.assertEqual(results["work"]["missing"], ["fails", "dies", "unbuilt", "script", "uninstalled", "talks"])
        for reason in ("exit code 3: it broke", f"no {self.folder}/bench/peers/nothing", "no bench/peers/nothing.py",
                       "no no-such-program-anywhere", "which is no number"):
            self.assertIn(reason, printed)
        self.assertEqual(status, 0)

    def test_a_program_of_ours_without_a_figure_is_a_failure(self):
        self.assertEqual(self.measure(["work us lower mproc false"])[2], 1)
        self.assertEqual(self.measure(["work us lower mproc echo 1", "work us lower mproc_other false"])[2], 1)

    def test_a_figure_of_which_one_run_failed_does_not_count(self):
        runs = f'"{self.folder}/weak.runs"'
        self.script("weak", f"echo >>{runs}; [ $(wc -l <{runs}) -lt 3 ] && echo 1")
        self.bench.FULL = self.full
        results, _, _ = self.measure(["work us lower mproc echo 1", "work us lower peer $programs/weak"])
        self.assertEqual((results["work"]["missing"], self.runs_of("weak")), (["peer"], 3))

    def test_a_program_that_does_not_end_is_ended_with_all_it_started(self):
        self.script("stuck", f'echo $$ >"{self.folder}/pid"; sleep 1000 & sleep 1000')
        self.bench.RUN_SECONDS = 0.2
        while not (self.folder / "pid").exists():  # it may need longer to begin
            self.bench.RUN_SECONDS *= 2
            results, _, _ = self.measure(["work us lower mproc true", "work us lower peer $programs/stuck"])
        self.assertIn("no end", results["work"]["why"]["peer"])
        with self.assertRaises(ProcessLookupError):
            while True:  # until init has taken them; the test's own time is the limit
                os.killpg(int((self.folder / "pid").read_text()), 0)

    def test_a_slow_work_has_fewer_rounds_but_never_less_than_the_least(self):
        self.script("slow", "sleep 0.05; echo 1")
        lines = ["slow us lower mproc $programs/slow", "swift us lower mproc echo 1"]
        self.bench.FULL = self.full._replace(seconds=0)
        self.assertEqual(self.measure(lines)[0]["slow"]["rounds"], 3)
        self.bench.FULL = self.full._replace(seconds=1000)
        self.assertEqual(self.measure(lines)[0]["slow"]["rounds"], 7)

    def test_works_that_are_named_have_all_rounds(self):
        self.script("slow", "sleep 0.05; echo 1")
        self.bench.FULL = self.full._replace(seconds=0)
        results, _, _ = self.measure(["slow us lower mproc $programs/slow", "other us lower mproc echo 1"], "slow")
        self.assertEqual({name: result["rounds"] for name, result in results.items()}, {"slow": 7})

    def test_a_quick_run_needs_no_warm_up_and_does_half_of_the_counts_of_another(self):
        os.environ["BENCH"] = "quick"
        self.bench.QUICK = self.bench.QUICK._replace(seconds=0)
        results, _, _ = self.measure(["work us lower mproc echo ~1000", "few us lower mproc echo ~1"])
        self.assertEqual((results["work"]["rounds"], results["work"]["values"]["mproc"]), (1, 250))
        self.assertEqual(results["few"]["values"]["mproc"], 1)
        del os.environ["BENCH"]
        self.assertEqual(self.measure(["work us lower mproc echo ~1000"])[0]["work"]["values"]["mproc"], 500)

    def test_what_takes_long_has_one_round_and_in_a_quick_run_none(self):
        self.bench.FULL = self.full._replace(seconds=1000)
        self.count_up("long")
        lines = ["work us lower mproc echo 1", "work us lower peer once $programs/long"]
        results, _, status = self.measure(lines)
        self.assertEqual((results["work"]["rounds"], results["work"]["values"]["peer"], status), (7, 1, False))
        os.environ["BENCH"] = "quick"
        results, printed, status = self.measure(lines)
        self.assertEqual((results["work"]["missing"], status), (["peer"], False))
        self.assertIn("takes too long for a quick run", printed)
        del os.environ["BENCH"]
        self.assertEqual(self.measure(lines, "work")[0]["work"]["values"]["peer"], 2)
        self.script("pins", '[ "$BENCH_PIN" = 0 ] && echo 5 || echo 1')
        results, _, _ = self.measure(["work us lower mproc once $programs/pins"])
        self.assertEqual((results["work"]["values"], results["work"]["unpinned"]), ({"mproc": 1}, {}))

    def test_works_are_found_by_name_family_and_pattern(self):
        lines = [f"{name} us lower mproc echo 1" for name in ("queue_a", "queue_b", "lock")]
        for wanted, found in ((["lock"], ["lock"]), (["family"], ["queue_a", "queue_b", "lock"]),
                              (["queue_*", "queue_a"], ["queue_a", "queue_b"])):
            self.assertEqual(list(self.measure(lines, *wanted)[0]), found)
        self.assertEqual(self.measure(lines, "nothing")[1:], ("no such work: nothing\n", 2))

    def test_programs_that_pin_themselves_are_measured_unpinned_too(self):
        self.script("pins", '[ "$BENCH_PIN" = 0 ] && echo 5 || echo 1')
        results, printed, _ = self.measure(["work us lower mproc $programs/pins", "work us lower peer echo 1"])
        self.assertEqual((results["work"]["values"]["mproc"], results["work"]["unpinned"]), (1, {"mproc": 5}))
        self.assertIn("5.00 unpinned", printed)

    def test_a_line_that_does_not_fit_is_refused(self):
        self.assertIn("does not fit", self.measure(["work us lower mproc echo 1", "work ns lower peer echo 1"])[2])
        self.assertIn("does not fit", self.measure(["work us lower mproc"])[2])
        self.assertIn("does not fit", self.measure(["work us smaller mproc echo 1"])[2])

    def test_what_others_use_is_what_the_machine_used_and_the_programs_did_not(self):
        before, after = self.bench.Times(), self.bench.Times()
        before.clock, before.machine, before.here = 100, 50, 10
        after.clock, after.machine, after.here = 102, 54, 13
        self.assertEqual(after.used_by_others_since(before), 50)
        self.bench.NOISE = -1
        self.assertIn("not quiet", self.measure(["work us lower mproc echo 1"])[1])
        self.bench.NOISE = 1000000
        self.assertNotIn("not quiet", self.measure(["work us lower mproc echo 1"])[1])

    def test_the_machine_and_the_peers_versions_are_told(self):
        _, printed, _ = self.measure(["work us lower mproc echo 1"])
        machine = json.loads((self.bench.RESULTS / "machine.json").read_text())
        self.assertIn(f"{machine['cpu']}, {machine['cores']} cores", printed)
        self.assertIn("nobody missing, cat 1.2", printed)
        self.assertEqual(machine["peers"], {"nobody": None, "cat": "1.2"})


if __name__ == "__main__":
    unittest.main()
