"""Logs as an operator keeps them: templates, samples, syslog, rotation; and none of them stops traffic."""

import contextlib
import ctypes
import os
import re
import shutil
import socket
import subprocess
import threading

from harness import Skip, ask, equal, heavy, limit, need, open_session, read_text, wait_until
import hello

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FRONT = """
    [global]
    error_log = {error_log}
    [defaults]
    access_log = main
    [listener front]
    listen = 127.0.0.1:{front}
    [sni front]
    app.example = app
    [upstream app]
    server = 127.0.0.1:{app}
    [log main]
    path = {path}
    {more}
    """


def front(t, path, more="", error_log="stderr info", **how):
    return t.penstock(FRONT, path=path, more=more, error_log=error_log, app=t.backend("app").port, **how)


def hit(p, name="app.example"):
    equal(ask(p.port(), hello.hello(name)), "app" if name == "app.example" else "alert 112", name)


def wait_lines(path, count):
    wait_until(lambda: f"{count} lines:\n{read_text(path)}", lambda: read_text(path).count("\n") >= count)
    return read_text(path).split("\n")[:-1]


def test_a_template_is_what_a_line_looks_like(t):
    p = front(t, t.path("log"), 'format = template\ntemplate = {{{listener}}} "{sni|no name}" {route|} {reason}/{alert|0}')
    hit(p)
    hit(p, "other\" name=x.example")
    equal(ask(p.port(), hello.hello(None)), "alert 112")
    equal(sorted(wait_lines(t.path("log"), 3)),
          sorted(['{front} "app.example" app.example ok/0', '{front} "other\\x22\\x20name\\x3dx.example"  no_match/112',
                  '{front} "no name"  no_sni/112']))


def test_a_log_of_errors_is_silent_about_what_went_well(t):
    p = front(t, t.path("log"), "when = errors")
    for _ in range(3):
        hit(p)
    hit(p, "other.example")
    p.wait_empty()  # a session that a stop cuts short did not go well
    p.stop()
    lines = wait_lines(t.path("log"), 1)
    equal(len(lines), 1)
    assert " reason=no_match " in lines[0], lines


def test_a_sample_has_every_nth_connection(t):
    p = front(t, t.path("log"), "when = sample=1/5")
    for _ in range(20):
        hit(p, "other.example")
    p.stop()
    equal(len(wait_lines(t.path("log"), 4)), 4)


# ---- syslog ----

def udp(port=0):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    sock.settimeout(10)
    return sock


def test_syslog_by_udp_takes_access_and_error_lines(t):
    with udp() as server:
        where = f"syslog:127.0.0.1:{server.getsockname()[1]}"
        p = front(t, where, "format = json", error_log=f"{where} info", ready=False)
        wait_until("penstock listens", lambda: is_listening(p.port()))
        hit(p)
        got = []
        time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        for wanted in (rf"<29>1 {time} \S+ penstock {p.pid} error - penstock: ready",
                       rf'<30>1 {time} \S+ penstock {p.pid} access - \{{.*"sni":"app\.example".*\}}'):
            while not any(re.fullmatch(wanted, line) for line in got):
                got.append(server.recv(65536).decode())


def is_listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_a_dead_syslog_server_stops_no_traffic_and_no_exit(t):
    with udp() as server:
        port = server.getsockname()[1]
    p = front(t, f"syslog:127.0.0.1:{port}")
    held = open_session(p.port(), hello.hello("app.example"), tag="app")
    for _ in range(200):
        hit(p, "other.example")
    wait_until("it is said", lambda: f"cannot write log syslog:127.0.0.1:{port}: Connection refused" in p.err())
    with udp(port) as server:
        server.settimeout(0.1)

        def is_back():
            hit(p, "back.example")  # what comes while it is not known to be back may be lost
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                while "sni=back.example" not in server.recv(65536).decode():
                    pass
                return True
            return False
        wait_until("lines arrive again", is_back)
    held.close()
    p.stop()


def own_dev_log(t):
    """For *prepare*: a mount namespace whose /dev has nothing but a null device and what the test puts into {dir}/dev."""
    if os.geteuid() != 0:
        raise Skip("only root can make a mount namespace")
    os.makedirs(t.path("dev"), exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    target, source = b"/dev", t.path("dev").encode()

    def prepare():
        if libc.unshare(0x00020000) or libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None):
            os._exit(77)
        if libc.mount(source, target, None, 0x1000, None):
            os._exit(77)
    probe = subprocess.run(["true"], preexec_fn=prepare, check=False)
    if probe.returncode:
        raise Skip("no right to make a mount namespace")
    return prepare


def dev_log(t):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(t.path("dev/log"))
    sock.settimeout(10)
    return sock


def test_the_local_syslog_may_be_missing_come_go_and_come_back(t):
    p = front(t, "syslog", prepare=own_dev_log(t))
    wait_until("it is said", lambda: "cannot write log syslog: No such file or directory" in p.err())
    hit(p, "first.example")
    with dev_log(t) as daemon:
        line = daemon.recv(65536).decode()
        assert re.match(rf"<30>[A-Z][a-z][a-z] [ 0-9]\d \d\d:\d\d:\d\d penstock\[{p.pid}\]: time=\S+ id=", line), line
        assert " sni=first.example " in line, line
    os.unlink(t.path("dev/log"))
    hit(p, "second.example")
    with dev_log(t) as daemon:
        assert " sni=second.example " in daemon.recv(65536).decode()
    os.unlink(t.path("dev/log"))


@heavy
@limit(60)
def test_a_stuck_local_syslog_costs_lines_but_no_connection(t):
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)):
        prepare = own_dev_log(t)
        with dev_log(t) as daemon:
            p = front(t, "syslog", prepare=prepare)
            count = t.scale(1200)
            for _ in range(count):
                hit(p, "other.example")
            got, daemon_end = 0, threading.Event()

            def read():
                nonlocal got
                while not daemon_end.is_set():
                    with contextlib.suppress(TimeoutError, BlockingIOError):
                        daemon.recv(65536)
                        got += 1
            daemon.settimeout(0.05)
            reader = threading.Thread(target=read)
            reader.start()

            def dropped():
                return sum(map(int, re.findall(r"(\d+) log lines were dropped: syslog was not ready", p.err())))
            try:
                wait_until(lambda: f"{got} lines and {dropped()} dropped are {count}", lambda: got + dropped() == count)
            finally:
                daemon_end.set()
                reader.join()


# ---- files ----

def test_a_full_disk_stops_no_traffic(t):
    p = front(t, "/dev/full")
    for _ in range(50):
        hit(p)
    wait_until("it is said", lambda: "cannot write log /dev/full: No space left on device" in p.err())
    p.stop()


def test_a_stdout_that_nobody_reads_stops_no_traffic(t):
    reader, writer = os.pipe()
    p = front(t, "stdout", stdout=writer)
    for _ in range(600):
        hit(p, "x" * 60 + ".example")
    p.stop()
    os.close(reader)
    os.close(writer)


class Clients:
    """Threads that connect until told to stop; how many were refused as they should."""

    def __init__(self, port, count):
        self.port, self.ended, self.done, self.error = port, threading.Event(), 0, None
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        try:
            while not self.ended.is_set():
                equal(ask(self.port, hello.hello("other.example")), "alert 112")
                with self.lock:
                    self.done += 1
        except (AssertionError, OSError) as error:
            self.error = error

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        assert self.error is None, self.error
        return self.done


@heavy
@limit(90)
def test_logrotate_under_load_loses_no_line(t):
    need("logrotate")
    os.mkdir(t.path("logs"))
    p = front(t, t.path("logs/access.log"))
    with open(os.path.join(ROOT, "config/logrotate/penstock"), encoding="utf-8") as file:
        text = file.read()
    # The same rules, for this folder, this process and whoever we are.
    text = text.replace("/var/log/penstock/*.log", t.path("logs/*.log"))
    text = re.sub(r"\tif \[ -d.*?\tfi\n", f"\tkill -USR1 {p.pid}\n", text, flags=re.S)
    text = re.sub(r"\t(create 0640|su) penstock penstock\n", lambda m: "\tcreate 0640 root root\n" if "create" in m[1] else "\tsu root root\n", text)
    with open(t.path("rules"), "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(t.path("rules"), 0o644)
    os.chmod(t.path("logs"), 0o755)
    clients = Clients(p.port(), 4)
    try:
        for turn in range(4):
            before = clients.done
            wait_until("some lines", lambda wanted=before + 50: clients.done >= wanted or clients.error, 30)
            done = subprocess.run(["logrotate", "-f", "-s", t.path("state"), t.path("rules")], capture_output=True, text=True,
                                  timeout=30, check=False)
            equal(done.returncode, 0, done.stdout + done.stderr)
            # It has renamed and told us; the old file is compressed at the next turn.
            wait_until(lambda number=turn: f"lines in the new file, turn {number}", lambda: read_text(t.path("logs/access.log")), 30)
    finally:
        count = clients.stop()
    p.stop()
    for name in os.listdir(t.path("logs")):
        if name.endswith(".gz"):
            subprocess.run(["gzip", "-d", t.path(f"logs/{name}")], check=True)
    names = sorted(os.listdir(t.path("logs")))
    equal(names, ["access.log", "access.log.1", "access.log.2", "access.log.3", "access.log.4"])
    ids = [line.split(" id=")[1].split()[0] for name in names for line in read_text(t.path(f"logs/{name}")).splitlines()]
    equal((len(ids), len(set(ids))), (count, count), "lines and connections")


def test_logrotate_understands_the_snippet(t):
    need("logrotate")
    shutil.copy(os.path.join(ROOT, "config/logrotate/penstock"), t.path("rules"))
    os.chmod(t.path("rules"), 0o644)
    text = read_text(t.path("rules")).replace("penstock penstock", "root root")  # a user that every host has
    with open(t.path("rules"), "w", encoding="utf-8") as file:
        file.write(text)
    done = subprocess.run(["logrotate", "-d", "-s", t.path("state"), t.path("rules")], capture_output=True, text=True,
                          timeout=30, check=False)
    equal(done.returncode, 0, done.stderr)
    assert "error" not in done.stderr.lower(), done.stderr
