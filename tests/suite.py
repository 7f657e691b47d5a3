"""Builds the program in several ways and runs its tests; called by tests/run.

    tests/run                      everything
    tests/run unit                 one part: build, style, unit, fuzz, sim or e2e
    tests/run unit hello           of that part the tests whose name holds "hello"
    tests/run asan e2e relay       with one build only: release, asan or tsan
    tests/run sim --seeds 1000000  the simulation takes options of its own

A test program prints `ok NAME`, `FAIL NAME` or `skip NAME: reason` lines. What it prints before a FAIL is
shown. One that crashes, hangs, exits with an error or prints no result is a failure, too. The last line is
`N passed, N failed, N skipped`; exit 1 if any failed or nothing ran.
"""

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CPUS = max(1, len(os.sched_getaffinity(0)))
RESULT = re.compile(r"(ok|FAIL|skip) (.+)")
PARTS = ["style", "build", "unit", "fuzz", "sim", "e2e"]

BUILDS = {
    "release": ("build", {"CC": "gcc"}, ["-Dwerror=true"]),
    "clang": ("build/clang", {"CC": "clang"}, ["-Dwerror=true"]),
    "asan": ("build/asan", {"CC": "gcc"},
             ["-Db_sanitize=address,undefined", "-Doptimization=1", "-Dwerror=true"]),
    "tsan": ("build/tsan", {"CC": "gcc"}, ["-Db_sanitize=thread", "-Doptimization=1"]),
}
VARIANTS = ["release", "asan", "tsan"]

SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:exitcode=66",
}

# (seconds, what a program of a part may take; the sanitizers slow it down)
LIMITS = {"style": 120, "unit": 120, "fuzz": 300, "sim": 900, "e2e": 1800}
SIM_SEEDS = {"release": {"sim": 100_000, "sim_secure": 15_000}, "asan": {"sim": 5_000, "sim_secure": 2_000}}


running = set()  # test programs, see give_up


class Tally:
    """Counts results; the one place that prints."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, title, results, seconds):
        """*results*: (kind, name, output) of one program."""
        counts = {kind: sum(1 for r in results if r[0] == kind) for kind in ("ok", "FAIL", "skip")}
        with self.lock:
            self.passed += counts["ok"]
            self.failed += counts["FAIL"]
            self.skipped += counts["skip"]
            for kind, name, output in results:
                if kind == "FAIL":
                    self.failures.append(f"{title}: {name}")
                    print(f"FAIL {title}: {name}")
                    print("".join(f"    {line}\n" for line in output), end="")
                elif kind == "skip":
                    print(f"skip {title}: {name}")
            extra = "".join(f", {counts[k]} {word}" for k, word in (("FAIL", "failed"), ("skip", "skipped"))
                            if counts[k])
            print(f"{title}: {counts['ok']} passed{extra} ({seconds:.1f} s)", flush=True)

    def finish(self):
        if self.failures:
            print("failed:\n" + "".join(f"    {name}\n" for name in self.failures), end="")
        elif not self.passed:
            print("no test ran")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 0 if self.passed and not self.failed else 1


def parent_and_start(pid):
    """The parent of a process and when it began: a number alone could be another's by now."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[19]


def descendants(ancestor):
    """(pid, start) of every process that *ancestor* started, and they in turn."""
    processes = {int(name): parent_and_start(name) for name in os.listdir("/proc") if name.isdigit()}
    found, parents = [], {ancestor}
    while parents:
        level = [(pid, seen[1]) for pid, seen in processes.items() if seen and seen[0] in parents]
        found += level
        parents = {pid for pid, _ in level}
    return found


def stop(process):
    """Ends a program that takes too long and what it started; it gets a moment to do so itself."""
    started = descendants(process.pid)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid, start in started:
        seen = parent_and_start(pid)
        if seen and seen[1] == start:
            os.kill(pid, signal.SIGKILL)


def read_results(text):
    """Splits a program's output into results, each with the lines printed before it; a FAIL's indented
    lines may follow it, too."""
    results, before = [], []
    for line in text.splitlines():
        match = RESULT.fullmatch(line)
        if match:
            results.append((match[1], match[2], before[-200:] if match[1] == "FAIL" else []))
            before = []
        elif line.startswith("    ") and results and results[-1][0] == "FAIL" and not before:
            results[-1][2].append(line)
        else:
            before.append(line)
    return results, before[-60:]


def describe_end(code, timed_out, limit):
    if timed_out:
        return f"still running after {limit} s"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit {code}"


def run_program(command, limit, env=None):
    """Runs a test program to its end or limit; its results, what did not go by itself added as failures."""
    timed_out = False
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   env={**os.environ, **SANITIZERS, **(env or {})})
        running.add(process)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out = True
            stop(process)
        finally:
            running.discard(process)
        try: # what a crashed one left behind
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    results, rest = read_results(text)
    any_failed = any(kind == "FAIL" for kind, _, _ in results)
    if timed_out or (process.returncode and not (any_failed and process.returncode == 1)):
        results.append(("FAIL", describe_end(process.returncode, timed_out, limit), rest))
    elif not results:
        results.append(("FAIL", "printed no result", rest))
    return results


class Suite:
    def __init__(self, wanted, variants):
        self.wanted = wanted  # part -> names, none = all of it
        self.variants = variants
        self.tally = Tally()
        self.built = {}
        # The sanitizers of older compilers cannot live with much address space randomisation.
        probe = subprocess.run(["setarch", "-R", "true"], capture_output=True)
        self.plain_addresses = ["setarch", "-R"] if probe.returncode == 0 else []

    def run(self):
        for part in PARTS:
            if part in self.wanted:
                getattr(self, "part_" + part)(self.wanted[part])
        return self.tally.finish()

    # -- building ---------------------------------------------------------------------------------

    def build(self, name, counted=False):
        """Builds once; the folder, or None if that failed."""
        if name not in self.built:
            folder, env, options = BUILDS[name]
            started = time.monotonic()
            done = subprocess.run([".ci/build", folder, *options], cwd=ROOT, env={**os.environ, **env},
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
            self.built[name] = folder if done.returncode == 0 else None
            if counted or done.returncode:
                lines = [line for line in (done.stdout + done.stderr).splitlines()
                         if not re.match(r"\[\d+/\d+\] |ninja: |\S*(cc|clang) +-", line)]
                first = next((i for i, line in enumerate(lines) if re.match(r"FAILED|.*error", line, re.I)), 0)
                kind = "FAIL" if done.returncode else "ok"
                self.tally.add(f"build {name}", [(kind, "builds without a warning", lines[first:][:60])],
                               time.monotonic() - started)
        return self.built[name]

    def part_build(self, _names):
        for name in BUILDS:
            if name == "clang" or name in self.variants:
                self.build(name, counted=True)

    # -- the parts --------------------------------------------------------------------------------

    def run_all(self, jobs):
        """Runs (title, command, limit, env) jobs, as many at a time as there are CPUs."""
        def run_one(job):
            title, command, limit, env = job
            started = time.monotonic()
            results = run_program(command, limit, env)
            self.tally.add(title, results, time.monotonic() - started)

        with concurrent.futures.ThreadPoolExecutor(CPUS) as pool:
            for future in [pool.submit(run_one, job) for job in jobs]:
                future.result()

    def programs(self, part, variant, prefix, names):
        """The test programs of a build that exist and were asked for: (title, path)."""
        folder = self.build(variant)
        if folder is None:
            return []
        base = os.path.join(ROOT, folder, "tests")
        found = sorted(name for name in os.listdir(base)
                       if name.startswith(prefix) and os.access(os.path.join(base, name), os.X_OK)
                       and os.path.isfile(os.path.join(base, name)))
        return [(f"{part} {variant} {name.removeprefix(prefix)}".strip(), os.path.join(base, name)) for name in found
                if not names or any(wanted in name for wanted in names)]

    def wrap(self, variant, command):
        return command if variant == "release" else self.plain_addresses + command

    def part_style(self, _names):
        self.run_all([("style", [sys.executable, "tests/style/check.py"], LIMITS["style"], None)])

    def part_unit(self, names):
        for variant in self.variants:
            self.run_all([(title, self.wrap(variant, [path]), LIMITS["unit"], None)
                          for title, path in self.programs("unit", variant, "test_", names)])

    def part_fuzz(self, names):
        for variant in self.variants:
            if variant != "tsan":
                self.run_all([(title, self.wrap(variant, [path, f"tests/fuzz/corpus/{title.split()[-1]}"]),
                               LIMITS["fuzz"], None)
                              for title, path in self.programs("fuzz", variant, "replay_", names)])

    def part_sim(self, options):
        for variant, seeds in SIM_SEEDS.items():
            if variant in self.variants:
                self.run_all([(title, self.wrap(variant, [path, "--seeds", str(seeds[os.path.basename(path)]), *options]),
                               LIMITS["sim"], None)
                              for title, path in self.programs("sim", variant, "sim", [])])

    def part_e2e(self, names):
        for variant in self.variants:
            folder = self.build(variant)
            helpers = self.build("release") # the load is not under test
            if folder is not None and helpers is not None:
                env = {"PENSTOCK_LOAD": os.path.join(ROOT, helpers, "tests", "e2e_load")}
                if variant != "release":
                    env["PENSTOCK_SANITIZED"] = variant
                command = [sys.executable, "tests/e2e/run.py", os.path.join(folder, "penstock"), *names]
                self.run_all([(f"e2e {variant}", self.wrap(variant, command), LIMITS["e2e"], env)])


def parse(arguments):
    wanted, variants, part = {}, [], None
    for argument in arguments:
        if argument in VARIANTS:
            variants.append(argument)
        elif argument in PARTS:
            part = argument
            wanted[part] = []
        elif part:
            wanted[part].append(argument)
        else:
            sys.exit(f"no part is called {argument}; parts: {' '.join(PARTS)}; builds: {' '.join(VARIANTS)}")
    return wanted or {part: [] for part in PARTS}, variants or VARIANTS


def give_up(number, _frame):
    """Ctrl-C, or whoever called us lost patience: the threads would wait for their programs."""
    for process in list(running):
        stop(process)
    os._exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, give_up)
    signal.signal(signal.SIGTERM, give_up)
    sys.exit(Suite(*parse(sys.argv[1:])).run())
