"""bench/run makes a report of what runs have left, without measuring anything."""

import csv
import json
import os
import subprocess
import sys

from harness import equal, read_text

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "run")
FIELDS = ("seconds units bytes errors load_cpu proxy_cpu foreign p50_us p99_us p999_us user_bytes kernel_bytes spread "
          "quiet_p99_us storm_rate rate per_unit load_per_unit px_lg proxy_busy load_busy").split()


def bench(*args):
    done = subprocess.run([sys.executable, BENCH, *args], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stderr)
    return done.stdout


def leave_results(folder, kind, proxies):
    """Five rounds of every scenario, all with the same figures."""
    os.mkdir(folder)
    names = [line.split()[0] for line in bench(kind, "--list").splitlines()]
    with open(os.path.join(folder, "results.csv"), "w", encoding="ascii", newline="") as file:
        out = csv.writer(file)
        out.writerow(("scenario", "proxy", "round", "unit", *FIELDS))
        for name in names:
            for proxy in proxies:
                for number in range(5):
                    out.writerow((name, proxy, number, "unit", *[1.0] * len(FIELDS)))
    with open(os.path.join(folder, "facts.json"), "w", encoding="utf-8") as file:
        json.dump({"CPU": "one", "versions": "some", "method": "none", "disturbance": "none"}, file)
    return names


def reports(t, kind, proxies):
    runs, out = t.path(kind), t.path(f"{kind}-report")
    names = leave_results(runs, kind, proxies)
    bench(kind, "--join", runs, "--out", out)
    text = read_text(os.path.join(out, "report.md"))
    assert "1.00 [1.00-1.00] (" in text, f"no ratio beside a bar:\n{text[:3000]}"
    equal(read_text(os.path.join(out, "picture.svg"))[:4], "<svg")
    rows = read_text(os.path.join(out, "results.csv")).splitlines()
    equal(len(rows), 1 + 5 * len(names) * len(proxies), "rows of the CSV")


def test_a_report_on_passthrough_is_made_of_what_runs_left(t):
    reports(t, "passthrough", ("direct", "penstock", "nginx", "haproxy-splice", "haproxy-copy"))


def test_a_report_on_termination_is_made_of_what_runs_left(t):
    reports(t, "terminate", ("penstock", "nginx", "haproxy"))
