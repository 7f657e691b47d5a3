#!/usr/bin/env python3
"""End-to-end tests: run.py BINARY [NAME...]

Finds test_*.py beside itself and runs every function test_* in a process and a temporary folder of its own,
two at a time but the heavy ones. A NAME is a module (hello), a test (hello.x) or a part of one's name.
Prints `ok NAME`, `skip NAME: reason` or `FAIL NAME` with what the test and penstock said; exit 1 if any failed.
PENSTOCK_SANITIZED=asan|tsan scales the loads down; PENSTOCK_LOAD is the path of the helper built from load.c.
"""

import concurrent.futures
import faulthandler
import glob
import importlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import harness  # noqa: E402  (needs the path above)

SECONDS = 30
AT_ONCE = 2


def discover():
    """(name, module, function, heavy, seconds) in file order."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        module = os.path.basename(path)[:-3]
        for function, test in vars(importlib.import_module(module)).items():
            if function.startswith("test_") and callable(test):
                found.append((f"{module[5:]}.{function[5:]}", module, function, getattr(test, "heavy", False),
                              getattr(test, "seconds", SECONDS) * harness.SLOWER))
    return found


def run_child(module, function, binary, folder):
    """In the test's own process: exit 0 ok, 1 failed, 77 skipped (last line: why)."""
    faulthandler.enable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped: time limit"))
    harness.raise_nofile()
    test, failed = harness.Test(binary, folder), False
    try:
        getattr(importlib.import_module(module), function)(test)
    except harness.Skip as reason:
        test.finish(True)
        print(f"\n{reason}", flush=True)
        os._exit(77)
    except BaseException:  # the time limit too: what it says is wanted
        failed = True
        traceback.print_exc(file=sys.stdout)
    problems = test.finish(failed)
    for problem in problems:
        print(problem)
    if failed or problems:
        for process in test.processes:
            if isinstance(process, harness.Penstock):
                print(f"--- {process.name}: configuration\n{harness.read_text(process.config)[:3000]}"
                      f"--- {process.name}: error log\n{process.err()[-3000:]}"
                      f"--- {process.name}: access log\n{harness.read_text(process.access_path)[-2000:]}")
    sys.stdout.flush()
    os._exit(1 if failed or problems else 0)  # threads of backends may still wait


def kill_group(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_test(test, binary, slot):
    name, module, function, _, seconds = test
    folder = tempfile.mkdtemp(prefix="e2e-")
    environment = dict(os.environ, E2E_SLOT=str(slot), PYTHONDONTWRITEBYTECODE="1")
    begun = time.monotonic()
    child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--child", module, function, binary, folder],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True, env=environment)
    try:
        output = child.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        child.terminate()
        try:
            output = child.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            kill_group(child)
            output = child.communicate()[0]
        output += f"\ntime limit of {seconds} s".encode()
    kill_group(child)
    shutil.rmtree(folder, ignore_errors=True)
    return name, child.returncode, output.decode("utf-8", "replace"), time.monotonic() - begun


def report(result, counts):
    name, code, output, took = result
    if code == 0:
        counts["ok"] += 1
        print(f"ok {name}" + (f" ({took:.1f} s)" if os.environ.get("E2E_TIMES") else ""))
    elif code == 77:
        counts["skip"] += 1
        print(f"skip {name}: {output.strip().splitlines()[-1]}")
    else:
        counts["FAIL"] += 1
        print(f"FAIL {name}")
        print("\n".join("    " + line for line in output.splitlines()))
    sys.stdout.flush()


def run_all(tests, binary):
    counts, slots = {"ok": 0, "FAIL": 0, "skip": 0}, queue.Queue()
    for slot in range(AT_ONCE):
        slots.put(slot)

    def one(test):
        slot = slots.get()
        try:
            return run_test(test, binary, slot)
        finally:
            slots.put(slot)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = [pool.submit(one, test) for test in tests if not test[3]]
        for future in concurrent.futures.as_completed(waiting):
            report(future.result(), counts)
    for test in (test for test in tests if test[3]):
        report(one(test), counts)
    return counts


def is_meant(word, name, found):
    if any(word == test[0].split(".")[0] for test in found):
        return word == name.split(".")[0]
    return word in name


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        run_child(*sys.argv[2:6])
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    binary, names = os.path.abspath(sys.argv[1]), sys.argv[2:]
    found = discover()
    tests = [test for test in found if not names or any(is_meant(name, test[0], found) for name in names)]
    if not tests:
        sys.exit(f"no test is called {' or '.join(names)}")
    counts = run_all(tests, binary)
    sys.exit(1 if counts["FAIL"] else 0)


if __name__ == "__main__":
    main()
