"""Drains and stops while there is load: who is served to the end, who is refused, and that every line is written.

test_signals.py has the quiet cases.
"""

import collections
import contextlib
import datetime
import json
import re
import signal
import threading
import time

from harness import (LIMIT, SLOWER, Load, all_right, ask, bulk, client, echoes, equal, fill, heavy, is_open, load_backend,
                     open_session, read_exactly, wait_until)
import hello

MIB = 1 << 20
CONFIG = """
    [global]
    drain_timeout = {drain}
    admin_socket = {dir}/ctl
    [listener front]
    listen = 127.0.0.1:{front}
    {more}
    [sni front]
    app1.example.com = bulk
    app2.example.com = app
    [upstream bulk]
    server = 127.0.0.1:{bulk}
    [upstream app]
    server = 127.0.0.1:{app}
    """


def front(t, drain="60s", backend=None, more="", **given):
    return t.penstock(CONFIG, drain=drain, more=more, bulk=load_backend(t).port,
                      app=(backend or t.backend("app")).port, **given)


def by_signal(t, p):
    del t
    p.signal(signal.SIGQUIT)


def by_ctl(t, p):
    del p
    code, out, err = t.run("ctl", "-s", t.path("ctl"), "drain")
    equal((code, err), (0, ""))
    assert out.startswith("draining, "), out


def status(t):
    code, out, err = t.run("ctl", "-s", t.path("ctl"), "status", "--json")
    equal(code, 0, err)
    return json.loads(out)


def last_status(p):
    """The gauges that it logs when all has ended."""
    words = p.err().rpartition("penstock: status ")[2].split("\n")[0].split()
    return {name: int(value) for name, _, value in (word.partition("=") for word in words)}


def everything_is_told(p, in_a_storm=False):
    """After its end: who was accepted has ended, and each has its line. In a storm the log writer may be given too
    little of the machine; then each line that was dropped is counted. Returns how many were."""
    last, lines = last_status(p), len(p.lines())
    equal((last["ended"], last["sessions"]), (last["accepted"], 0), "accepted, ended")
    dropped = sum(int(count) for count in re.findall(r"(\d+) log lines were dropped", p.err()))
    assert in_a_storm or not dropped, p.err()[-2000:]
    assert lines <= last["ended"] <= lines + dropped, f"{lines} lines and {dropped} dropped of {last['ended']}"
    return dropped


class Callers:
    """Clients that come without end, each with one request; what became of them is counted."""

    def __init__(self, port):
        self.port, self.counts, self.is_over = port, collections.Counter(), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        first = hello.hello("app2.example.com")
        while not self.is_over:
            try:
                outcome = ask(self.port, first)
            except ConnectionRefusedError:
                outcome = "refused"
                time.sleep(0.01)
            except (ConnectionResetError, BrokenPipeError):
                outcome = "reset"
            self.counts[outcome] += 1

    def wait_for(self, outcome, more):
        wanted = self.counts[outcome] + more
        wait_until(lambda: f"{more} more {outcome}: {self.counts}", lambda: self.counts[outcome] >= wanted)

    def end(self):
        self.is_over = True
        self.thread.join(LIMIT)


def drains_under_load(t, order):
    # Small, lest the kernel's buffers take all that is sent down before anybody reads it, and the sessions end.
    p = front(t, more="sndbuf = 64k")
    held = open_session(p.port(), hello.hello("app2.example.com"), "app")
    running = bulk(t, p.port(), connections=24, down=3 * MIB, up=MIB, stall=True)
    running.said("stalled")
    callers = [Callers(p.port()) for _ in range(3)]
    wait_until("all of them", lambda: status(t)["sessions"] >= 25)
    for caller in callers:
        caller.wait_for("app", 20)
    order(t, p)
    running.go()
    for caller in callers:
        caller.wait_for("refused", 5)
    # After the first refusal all are refused, and the port is a successor's to take.
    before = [dict(caller.counts, refused=0) for caller in callers]
    for caller in callers:
        caller.wait_for("refused", 5)
        caller.end()
    equal([dict(caller.counts, refused=0) for caller in callers], before)
    served = sum(caller.counts["app"] for caller in callers)
    successor = t.penstock(CONFIG.replace("/ctl", "/ctl2"), drain="60s", more="", bulk=1, app=p.ports["app"], front=p.port())
    equal(ask(successor.port(), hello.hello("app2.example.com")), "app")
    assert status(t)["phase"] == "draining"
    all_right(running.result(), 24)
    echoes(held)
    assert p.alive()
    held.close()
    equal(p.wait(), 0)
    p.check_sanitizers()
    everything_is_told(p)
    reasons = collections.Counter(line["reason"] for line in p.lines())
    assert reasons["ok"] >= 25 + served and "drained" not in reasons, reasons
    successor.stop()


@heavy
def test_quit_under_load_completes_what_runs_and_refuses_who_comes(t):
    drains_under_load(t, by_signal)


@heavy
def test_ctl_drain_under_load_completes_what_runs_and_refuses_who_comes(t):
    drains_under_load(t, by_ctl)


def ended_at(line):
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


@heavy
def test_idle_sessions_end_spread_over_the_second_half_and_the_rest_at_the_end(t):
    """A session with bytes that its client has not taken is not idle."""
    stuck, idle, seconds = 3, 80, 6
    backend = t.backend(lambda conn: conn.sock.sendall(b"app\n"))
    p = front(t, f"{seconds}s", backend)
    socks = []
    with contextlib.ExitStack() as stack:
        for number in range(stuck + idle):
            sock = stack.enter_context(client(p.port(), rcvbuf=65536))
            sock.sendall(hello.hello("app2.example.com"))
            equal(read_exactly(sock, 4), b"app\n")
            if number < stuck:
                fill(backend.wait(number + 1).sock)
            socks.append(sock)
        wait_until("all are quiet", lambda: status(t)["sessions"] == stuck + idle)
        time.sleep(1.1)  # what is called idle: a second without a byte
        begun = time.time()
        by_signal(t, p)
        wait_until("it drains", lambda: status(t)["phase"] == "draining")
        first = status(t)
        equal(first["drain_began_with"], stuck + idle)
        assert 0 < first["drain_left_ms"] <= seconds * 1000, first
        wait_until("some are gone, some are not", lambda: stuck < status(t)["sessions"] < stuck + idle)
        later = status(t)
        assert later["drain_left_ms"] <= seconds * 1000 / 2 < first["drain_left_ms"], (first, later)
        equal(p.wait(2 * LIMIT), 0)
    everything_is_told(p)
    lines = p.lines()
    equal({line["reason"] for line in lines}, {"drained"})
    after = sorted(ended_at(line) - begun for line in lines)
    assert after[0] >= seconds / 2 - 0.01, f"the first went after {after[0]:.2f} s"
    went = [moment for moment in after if moment < seconds - 0.05]
    # Not all at once: every third of that half has some.
    for third in range(3):
        low, high = (seconds / 2 + seconds / 6 * part for part in (third, third + 1))
        assert SLOWER > 1 or sum(low - 0.01 <= moment < high for moment in went) >= idle / 10, (low, high, after)
    assert after[idle - 1] - after[0] > seconds / 4, after
    for moment in after[-stuck:]:
        assert moment >= seconds - 0.05, f"busy ones went after {after[-stuck:]} s"
    told = [int(count) for count in re.findall(r"draining, (\d+) sessions? left", p.err())]
    equal(told[0], stuck + idle)
    assert len(told) >= 2 and stuck <= told[1] < stuck + idle, told


@heavy
def test_term_under_load_ends_within_a_second_with_everything_logged(t):
    p = front(t)
    for _ in range(30):
        open_session(p.port(), hello.hello("app2.example.com"), "app")
    bulk(t, p.port(), connections=24, down=64 * MIB, up=64 * MIB, rate=4 * MIB)
    Load(t, "trickle", p.port(), connections=50, first=hello.hello())
    Load(t, "storm", p.port(), first=hello.hello(), count=1000000, parallel=32)
    callers = Callers(p.port())
    wait_until("load", lambda: status(t)["sessions"] >= 100)
    callers.wait_for("app", 20)
    begun = time.monotonic()
    p.signal(signal.SIGTERM)
    equal(p.wait(), 0)
    took = time.monotonic() - begun
    callers.end()
    assert took < 1 * SLOWER + 0.3, f"it took {took:.2f} s to stop"
    p.check_sanitizers()
    dropped = everything_is_told(p, in_a_storm=True)
    assert sum(line["reason"] == "drained" for line in p.lines()) + dropped >= 60, "sessions that were open"


def test_a_second_quit_stops_now(t):
    p = front(t)
    with open_session(p.port(), hello.hello("app2.example.com"), "app") as sock:
        p.signal(signal.SIGQUIT)
        wait_until("the port is closed", lambda: not is_open(p.port()))
        echoes(sock)
        p.signal(signal.SIGQUIT)
        equal(p.wait(2 * SLOWER + 1), 0)
        equal(sock.recv(1), b"")
    assert "drained" in {line["reason"] for line in p.lines()}
    everything_is_told(p)
