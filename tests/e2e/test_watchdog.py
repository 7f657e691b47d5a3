"""What systemd hears: READY=1, WATCHDOG=1 for as long as every worker's ring turns, STOPPING=1."""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import time

from harness import LIMIT, SLOWER, Skip, ask, echoes, equal, open_session, read_text, wait_until
import hello

INTERVAL_S = 0.4 * SLOWER  # what systemd would be patient for; half of it is between two words
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 0x4206, 0x4207, 0x40000000


class Manager:
    """The socket that systemd listens on, in the abstract name space or as a file."""

    def __init__(self, t):
        self.path = t.path("notify")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)

    def hear(self, seconds=LIMIT):
        """The next word; "" if none comes in time."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(4096).decode()
        except (TimeoutError, BlockingIOError):
            return ""

    def is_fed(self, times):
        for _ in range(times):
            equal(self.hear(), "WATCHDOG=1")

    def forget(self):
        self.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.sock.recv(4096):
                pass


def front(t, manager, pid=None, interval_s=INTERVAL_S):
    def become():
        os.environ.update(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=str(int(interval_s * 1e6)),
                          WATCHDOG_PID=str(pid or os.getpid()))
    return t.penstock("""
        [global]
        workers = 2
        drain_timeout = 30s
        admin_socket = {dir}/ctl
        [listener front]
        listen = 127.0.0.1:{front}
        [sni front]
        app1.example.com = app
        [upstream app]
        server = 127.0.0.1:{app}
        """, app=t.backend("app").port, prepare=become)


def thread_of(p, name):
    for task in os.listdir(f"/proc/{p.pid}/task"):
        if read_text(f"/proc/{p.pid}/task/{task}/comm").strip() == name:
            return int(task)
    raise AssertionError(f"no thread is called {name}: {p.thread_names()}")


@contextlib.contextmanager
def frozen(tid):
    """One thread stands still, the others do not know."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(PTRACE_SEIZE, tid, None, None) != 0:
        if ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
            raise Skip("no ptrace here")
        raise OSError(ctypes.get_errno(), "PTRACE_SEIZE")
    equal(libc.ptrace(PTRACE_INTERRUPT, tid, None, None), 0)
    equal(os.waitpid(tid, WALL)[0], tid)
    try:
        yield
    finally:
        equal(libc.ptrace(PTRACE_DETACH, tid, None, None), 0)


def test_ready_then_fed_also_when_idle(t):
    manager = Manager(t)
    begun = time.monotonic()
    p = front(t, manager)
    equal(manager.hear(), "READY=1")
    manager.is_fed(5)
    # Twice an interval, and not as fast as it can.
    assert time.monotonic() - begun > 4 * INTERVAL_S / 2 * 0.9, "it is fed too often"
    assert p.cpu_over(1) < 0.3, "it spins"


def test_a_busy_program_is_fed_too(t):
    manager = Manager(t)
    p = front(t, manager)
    end = time.monotonic() + 3 * INTERVAL_S
    while time.monotonic() < end:
        equal(ask(p.port(), hello.hello()), "app")
    equal(manager.hear(), "READY=1")
    manager.is_fed(2)


def freezing_one_silences_it(t, name):
    manager = Manager(t)
    p = front(t, manager)
    equal(manager.hear(), "READY=1")
    manager.is_fed(2)
    with frozen(thread_of(p, name)):
        # One answer may have been under way when it stopped.
        wait_until("silence", lambda: manager.hear(3 * INTERVAL_S) == "")
        equal(manager.hear(2 * INTERVAL_S), "", f"with {name} frozen")
    manager.is_fed(3)
    equal(ask(p.port(), hello.hello()), "app")
    p.stop()


def test_one_frozen_worker_silences_it_until_it_goes_on(t):
    freezing_one_silences_it(t, "worker-0")


def test_the_other_frozen_worker_silences_it_until_it_goes_on(t):
    freezing_one_silences_it(t, "worker-1")


def test_frozen_log_writer_is_no_reason_to_be_restarted(t):
    """A log on a dead disk costs lines, never the traffic: so it is not worth a restart, either."""
    manager = Manager(t)
    p = front(t, manager)
    equal(manager.hear(), "READY=1")
    with frozen(thread_of(p, "log")):
        manager.forget()
        manager.is_fed(4)
        equal(ask(p.port(), hello.hello()), "app")


def test_more_workers_are_asked_too_after_a_reload(t):
    manager = Manager(t)
    p = front(t, manager)
    equal(manager.hear(), "READY=1")
    with open(p.config, encoding="utf-8") as file:
        config = file.read()
    with open(p.config, "w", encoding="utf-8") as file:
        file.write(config.replace("workers = 2", "workers = 3"))
    code, _, err = t.run("ctl", "-s", t.path("ctl"), "reload")
    equal(code, 0, err)
    manager.forget()
    manager.is_fed(2)
    with frozen(thread_of(p, "worker-2")):
        wait_until("silence", lambda: manager.hear(3 * INTERVAL_S) == "")
    manager.is_fed(2)


def test_drain_is_announced_and_it_is_fed_until_its_end(t):
    manager = Manager(t)
    p = front(t, manager)
    equal(manager.hear(), "READY=1")
    with open_session(p.port(), tag="app") as sock:
        p.signal(signal.SIGQUIT)
        wait_until("it says so", lambda: manager.hear() == "STOPPING=1")
        manager.is_fed(4)
        echoes(sock)
    equal(p.wait(), 0)


def test_stop_is_announced(t):
    manager = Manager(t)
    p = front(t, manager)
    p.stop()
    heard = []
    while word := manager.hear(0.01):
        heard.append(word)
    equal((heard[0], heard[-1]), ("READY=1", "STOPPING=1"))


def test_another_s_watchdog_is_left_alone(t):
    manager = Manager(t)
    p = front(t, manager, pid=1)
    equal(manager.hear(), "READY=1")
    equal(manager.hear(2 * INTERVAL_S), "")
    code, out, err = t.run("ctl", "-s", t.path("ctl"), "status", "--json")
    equal((code, json.loads(out)["pid"]), (0, p.pid), err)
