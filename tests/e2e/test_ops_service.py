"""As a service: systemd's sockets, its unit files, and a user without rights."""

import ctypes
import os
import platform
import pwd
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import textwrap
import urllib.request

from harness import (LIMIT, SANITIZED, Skip, all_right, answer, ask, bulk, client, equal, load_backend, need,
                     open_session, read_text, wait_until)
import hello

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


# ---- socket activation ----

LAUNCH = """
import os, sys
binary, config, names, *fds = sys.argv[1:]
for number, fd in enumerate(fds):
    os.dup2(int(fd), 1000 + number)
for number in range(len(fds)):
    os.dup2(1000 + number, 3 + number, inheritable=True)
os.closerange(3 + len(fds), 1100)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(binary, [binary, "-c", config])
"""


class Activated:
    """penstock as systemd starts it with sockets that stay systemd's."""

    def __init__(self, t, config, names, socks):
        number = len(t.processes)
        self.path = t.path(f"activated{number}.err")
        with open(t.path(f"activated{number}.ini"), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(config))
        fds = [sock.fileno() for sock in socks]
        with open(self.path, "wb") as err:
            self.popen = subprocess.Popen([sys.executable, "-c", LAUNCH, t.binary, t.path(f"activated{number}.ini"), ":".join(names),
                                           *map(str, fds)], stdin=subprocess.DEVNULL, stderr=err, pass_fds=fds)
        t.processes.append(self)
        wait_until(lambda: f"ready: {self.err()}", lambda: "penstock: ready" in self.err() or self.popen.poll() is not None)
        assert self.popen.poll() is None, self.err()

    def err(self):
        return read_text(self.path)

    def end(self, number):
        self.popen.send_signal(number)
        equal(self.popen.wait(20), 0, self.err())

    def kill(self):
        self.popen.kill()
        self.popen.wait()


def sockets(count):
    socks = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(count)]
    return socks, [sock.getsockname()[1] for sock in socks]


ACTIVATED = """
    [global]
    workers = 3
    error_log = stderr info
    [listener front]
    listen = fd:https
    ssl_preread = off
    proxy_pass = 127.0.0.1:{app}
    [listener refuses]
    listen = fd:other
    [route none]
    listener = refuses
    mode = reject
    """


def test_a_socket_of_systemd_serves_with_all_workers(t):
    socks, ports = sockets(3)
    p = Activated(t, ACTIVATED.format(app=t.backend("app").port), ["https", "other", "https"], socks)
    for _ in range(10):
        equal(ask(ports[0], hello.hello()), "app")
        equal(ask(ports[2], hello.hello()), "app")
        equal(ask(ports[1], hello.hello()), "alert 112")
    p.end(signal.SIGTERM)


def test_a_drain_leaves_systemd_s_socket_to_the_successor(t):
    socks, ports = sockets(2)
    config, names = ACTIVATED.format(app=t.backend("app").port), ["https", "other"]
    p = Activated(t, config, names, socks)
    with open_session(ports[0], tag="app"):
        p.popen.send_signal(signal.SIGQUIT)
        wait_until("it drains", lambda: "penstock: draining" in p.err())
    equal(p.popen.wait(20), 0, p.err())
    # Nobody accepts now, but a connection waits instead of being refused.
    with client(ports[0]) as waiting:
        waiting.sendall(hello.hello())
        successor = Activated(t, config, names, socks)
        equal(answer(waiting, hello.hello()), "app")
    successor.end(signal.SIGTERM)


def test_without_the_socket_it_ends_with_a_line(t):
    code, _, err = t.run("-t", "-c", "{conf}", config="[listener a]\nlisten = fd:https\nproxy_pass = 127.0.0.1:1\n")
    equal(code, 0, err)
    code, _, err = t.run("-c", "{conf}", config="[listener a]\nlisten = fd:https\nproxy_pass = 127.0.0.1:1\n")
    equal(code, 1, err)
    assert err.endswith("check.ini:2: [listener a] listen = fd:https: systemd has passed no socket of that name (LISTEN_FDNAMES)\n"), err


def test_a_socket_that_does_not_listen_is_refused_with_a_line(t):
    with socket.socket() as sock, open(t.path("plain.err"), "wb") as err:
        with open(t.path("plain.ini"), "w", encoding="utf-8") as file:
            file.write("[listener a]\nlisten = fd:https\nproxy_pass = 127.0.0.1:1\n")
        done = subprocess.run([sys.executable, "-c", LAUNCH, t.binary, t.path("plain.ini"), "https", str(sock.fileno())],
                              stdin=subprocess.DEVNULL, stderr=err, pass_fds=[sock.fileno()], timeout=20, check=False)
    equal(done.returncode, 1)
    said = read_text(t.path("plain.err"))
    assert said.endswith("listen = fd:https: is not a stream socket that listens\n"), said


# ---- user ----

DROPPED = """
    [global]
    user = nobody
    pid_file = {dir}/pid
    error_log = {dir}/logs/error.log info
    [defaults]
    access_log = main
    [listener front]
    listen = 127.0.0.1:{front}
    listen = 127.0.0.1:{low}
    [sni front]
    app.example = app
    [upstream app]
    server = 127.0.0.1:{app}
    [log main]
    path = {dir}/logs/access.log
    """


def ids_of(pid):
    found = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        status = read_text(f"/proc/{pid}/task/{task}/status")
        found.add(tuple(re.search(rf"(?m)^{key}:\t(.*)$", status).group(1) for key in ("Uid", "Gid", "CapEff", "NoNewPrivs")))
    return found


def low_port():
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise Skip("no low port is free")


def test_root_is_given_up_and_logs_can_still_be_reopened(t):
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    nobody = pwd.getpwnam("nobody")
    os.chmod(t.dir, 0o755)
    os.mkdir(t.path("logs"), 0o755)
    low = low_port()
    p = t.penstock(DROPPED, low=low, app=t.backend("app").port, ready=False)
    wait_until(lambda: f"ready: {p.err()}{read_text(t.path('logs/error.log'))}",
               lambda: "penstock: ready" in read_text(t.path("logs/error.log")) or not p.alive())
    uid, gid = nobody.pw_uid, nobody.pw_gid
    equal(ids_of(p.pid), {(f"{uid}\t{uid}\t{uid}\t{uid}", f"{gid}\t{gid}\t{gid}\t{gid}", "0" * 16, "1")})
    equal(ask(p.port(), hello.hello("app.example")), "app")
    equal(ask(low, hello.hello("app.example")), "app")
    for name in ("access.log", "error.log"):
        status = os.stat(t.path(f"logs/{name}"))
        equal((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), (uid, gid, 0o640), name)
    # A rotation as logrotate's `create` does it.
    os.rename(t.path("logs/access.log"), t.path("logs/access.log.1"))
    with open(t.path("logs/access.log"), "w", encoding="ascii"):
        os.chown(t.path("logs/access.log"), uid, gid)
    p.signal(signal.SIGUSR1)
    wait_until("the status line", lambda: "penstock: status" in read_text(t.path("logs/error.log")))
    equal(ask(p.port(), hello.hello("other.example")), "alert 112")
    wait_until("the line in the new file", lambda: "sni=other.example" in read_text(t.path("logs/access.log")))
    assert "kept" not in read_text(t.path("logs/error.log"))
    p.stop()


def test_a_log_that_is_a_link_is_not_given_away(t):
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    os.chmod(t.dir, 0o755)
    os.mkdir(t.path("logs"), 0o755)
    with open(t.path("precious"), "w", encoding="ascii"):
        pass
    os.symlink(t.path("precious"), t.path("logs/access.log"))
    os.link(t.path("precious"), t.path("logs/error.log"))
    p = t.penstock(DROPPED, low=low_port(), app=t.backend("app").port, ready=False)
    wait_until("ready", lambda: "penstock: ready" in read_text(t.path("logs/error.log")) or not p.alive())
    equal(os.stat(t.path("precious")).st_uid, 0)
    p.stop()


def test_an_unknown_user_is_an_error_of_the_file(t):
    config = "[global]\nuser = no-such-user\n[listener a]\nlisten = 127.0.0.1:1\nproxy_pass = 127.0.0.1:1\n"
    for args in (("-t", "-c", "{conf}"), ("-c", "{conf}")):
        code, _, err = t.run(*args, config=config)
        equal(code, 1, err)
        assert re.search(r"check\.ini:2: \[global\] user = no-such-user: there is no such user", err), err


def test_who_is_not_root_is_told_at_start(t):
    if os.geteuid() != 0:
        raise Skip("needs another user beside nobody")
    t.let_anyone_run()
    config = "[global]\nuser = daemon\n[listener a]\nlisten = 127.0.0.1:{front}\nproxy_pass = 127.0.0.1:1\n"

    def be_nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    p = t.penstock(config, ready=False, prepare=be_nobody)
    equal(p.wait(), 1)
    assert "cannot become user daemon: Operation not permitted" in p.err(), p.err()


# ---- systemd's files ----

def test_the_unit_files_pass_systemd_analyze(t):
    need("systemd-analyze")
    paths = []
    for name in ("penstock.service", "penstock.socket"):
        with open(os.path.join(ROOT, "config/systemd", name), encoding="utf-8") as file:
            text = file.read().replace("/usr/local/bin/penstock", t.binary)
        paths.append(t.path(name))
        with open(paths[-1], "w", encoding="utf-8") as file:
            file.write(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, timeout=30, check=False)
    ours = [line for line in done.stderr.splitlines() if "penstock" in line]
    equal((done.returncode, ours), (0, []), done.stderr)


def unit():
    return read_text(os.path.join(ROOT, "config/systemd/penstock.service"))


def expanded(word):
    """The system calls of one of systemd's sets, or the one that *word* names."""
    if not word.startswith("@"):
        return {word}
    done = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", word], capture_output=True, text=True, timeout=30, check=True)
    words = [line.strip() for line in done.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*map(expanded, words))


def allowed_by_the_unit():
    """Its SystemCallFilter= lines, one after the other as systemd reads them; @default is always there."""
    allowed = expanded("@default")
    lines = re.findall(r"(?m)^SystemCallFilter=(.*)$", unit())
    assert len(lines) >= 2, lines
    for line in lines:
        for word in line.lstrip("~").split():
            allowed = allowed - expanded(word) if line.startswith("~") else allowed | expanded(word)
    return allowed


def forbid_all_but(names, header):
    """For *prepare*: whatever else is called ends the process, where the unit would answer EPERM."""
    numbers = [int(number) for name, number in re.findall(r"(?m)^#define __NR_(\w+)\s+(\d+)", header) if name in names]
    assert len(numbers) > 200, numbers
    load, jump, give, allow, kill = 0x20, 0x15, 0x06, 0x7FFF0000, 0x80000000
    code = struct.pack("=HBBI", load, 0, 0, 0) + b"".join(
        struct.pack("=HBBI", jump, 0, 1, number) + struct.pack("=HBBI", give, 0, 0, allow) for number in numbers)
    code += struct.pack("=HBBI", give, 0, 0, kill)
    libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))

    def prepare(_keep=buffer):
        set_no_new_privs, set_seccomp, with_filter = 38, 22, 2
        if libc.prctl(set_no_new_privs, 1, 0, 0, 0) != 0 or libc.prctl(set_seccomp, with_filter, program, 0, 0) != 0:
            os._exit(99)
    return prepare


def test_the_unit_allows_every_system_call_that_is_made(t):
    """From start to drain: sessions by splice, a reload with more workers, logs reopened, penstock ctl, the metrics."""
    need("systemd-analyze")
    header = read_text("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if platform.machine() != "x86_64" or not header:
        raise Skip("no list of this machine's system calls")
    if SANITIZED:
        raise Skip("a sanitizer's own calls are not the program's")
    p = t.penstock("""
        [global]
        workers = 1
        admin_socket = {dir}/ctl
        metrics_listen = 127.0.0.1:{metrics}
        pid_file = {dir}/pid
        zero_copy = splice
        [listener front]
        listen = 127.0.0.1:{front}
        listen = unix:{dir}/front
        on_no_match = reject
        [sni front]
        app1.example.com = app
        [upstream app]
        server = localhost:{app}
        """, app=load_backend(t).port, prepare=forbid_all_but(allowed_by_the_unit(), header))
    all_right(bulk(t, p.port(), connections=4, up=4 << 20, down=4 << 20).result(), 4)
    config = read_text(p.config)
    with open(p.config, "w", encoding="utf-8") as file:
        file.write(config.replace("workers = 1", "workers = 3"))
    for words in (("reload",), ("status",), ("sessions",), ("explain", "app1.example.com")):
        code, _, err = t.run("ctl", "-s", t.path("ctl"), *words)
        equal((code, err), (0, ""), f"{words}; {p.popen.poll()} {p.err()}")
    with urllib.request.urlopen(f"http://127.0.0.1:{p.port('metrics')}/metrics", timeout=LIMIT) as page:
        assert b"penstock_config_generation 2" in page.read()
    os.rename(p.access_path, p.access_path + ".1")
    p.status()
    all_right(bulk(t, p.port(), connections=4, up=1 << 20, down=1 << 20).result(), 4)
    p.signal(signal.SIGQUIT)
    equal(p.wait(), 0, p.err())


def test_reload_and_socket_of_the_unit_are_those_of_the_shipped_file(t):
    """systemctl reload runs penstock ctl, which looks into the file for a socket that is where the unit makes a folder."""
    command = re.search(r"(?m)^ExecReload=(\S+) (.*)$", unit())
    folder = re.search(r"(?m)^RuntimeDirectory=(.*)$", unit()).group(1)
    equal(command.group(1), "/usr/local/bin/penstock")
    shipped = read_text(os.path.join(ROOT, "config/penstock.ini"))
    assert f"\nadmin_socket = /run/{folder}/" in shipped, shipped
    # The same two, at home in the test's folder.
    config = shipped.replace(f"/run/{folder}/", t.dir + "/").replace("listen = 443 ", "listen = 127.0.0.1:{front} ")
    p = t.penstock(config, raw=True)
    words = command.group(2).replace("/etc/penstock/penstock.ini", p.config).split()
    code, out, err = t.run(*words)
    equal((code, out), (0, "reloaded, generation 2\n"), err)
    with open(p.config, "a", encoding="utf-8") as file:
        file.write("[nonsense\n")
    code, out, err = t.run(*words)
    equal((code, out), (1, ""))
    assert "the configuration stays as it is" in err, err
