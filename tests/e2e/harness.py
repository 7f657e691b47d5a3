"""What a test stands on: penstock started on an inline configuration, backends, clients, and waiting.

Nothing here sleeps and hopes: every wait names what it waits for and has a limit. A test is a function
test_x(t) where *t* is a Test; what it starts through *t* ends with it.
"""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time

import hello

SANITIZED = os.environ.get("PENSTOCK_SANITIZED", "")
SLOWER = 4 if SANITIZED else 1
LIMIT = 10 * SLOWER
TICK = 0.003
NONE = 0xFFFFFFFF
COPY_STRATEGIES = ("copy", "splice", "uring_splice", "auto")
SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "MemorySanitizer")

threading.stack_size(256 * 1024)


class Skip(Exception):
    pass


def heavy(test):
    """Runs alone: it loads the machine or measures."""
    test.heavy = True
    return test


def limit(seconds):
    def mark(test):
        test.seconds = seconds
        return test
    return mark


def wait_until(what, condition, seconds=LIMIT):
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for: {what if isinstance(what, str) else what()}")
        time.sleep(TICK)


def equal(got, wanted, what=""):
    assert got == wanted, f"{what or 'value'}: got {got!r}, wanted {wanted!r}"


# ---- processes ----

class Process:
    """One child whose output goes to files in the test's folder."""

    def __init__(self, test, argv, name, stdin=subprocess.DEVNULL, stdout=None, stderr=None, env=None, prepare=None):
        self.test, self.name, self.argv = test, name, argv
        self.out_path, self.err_path = test.path(f"{name}.out"), test.path(f"{name}.err")
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen(argv, stdin=stdin, stdout=out if stdout is None else stdout,
                                          stderr=err if stderr is None else stderr, env=env, cwd=test.dir,
                                          preexec_fn=prepare)
        self.pid = self.popen.pid
        test.processes.append(self)

    def out(self):
        return read_text(self.out_path)

    def err(self):
        return read_text(self.err_path)

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=LIMIT):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds} s") from None

    def kill(self):
        if self.alive():
            self.popen.kill()
        self.popen.wait()

    def fds(self):
        found = {}
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found[int(number)] = os.readlink(f"/proc/{self.pid}/fd/{number}")
        return found

    def stat(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()

    def threads(self):
        return int(self.stat()[17])

    def thread_names(self):
        names = []
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                names.append(read_text(f"/proc/{self.pid}/task/{task}/comm").strip())
        return sorted(names)

    def rss(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))

    def cpu_seconds(self):
        fields = self.stat()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_over(self, seconds):
        """CPU seconds burnt while *seconds* pass."""
        before = self.cpu_seconds()
        time.sleep(seconds)
        return self.cpu_seconds() - before


def read_text(path):
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def complete(config, access_log):
    """Adds what nearly every test wants and few want to write: two workers, a readable error log, access lines."""
    wanted = {"global": {"workers": "2", "error_log": "stderr info"}, "defaults": {"access_log": "access"},
              "log access": {"path": access_log, "format": "json"}}
    have, section = {}, None
    for line in config.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]")
            have.setdefault(section, set())
        elif "=" in line and section and not line.startswith(("#", ";")):
            have[section].add(line.split("=")[0].strip())
    added = ""
    for section, keys in wanted.items():
        missing = "".join(f"{key} = {value}\n" for key, value in keys.items() if key not in have.get(section, ()))
        if not missing:
            continue
        if section in have:
            config = re.sub(rf"(?m)^\s*\[{section}\]\s*$", lambda match, more=missing: match.group(0) + "\n" + more,
                            config, count=1)
        else:
            added += f"[{section}]\n{missing}"
    return config + "\n" + added


class Ports(dict):
    """{name} in a configuration that the test did not give: a free port of that name."""

    def __init__(self, test, given):
        super().__init__(given)
        self.test = test

    def __missing__(self, name):
        self[name] = self.test.port()
        return self[name]


class Penstock(Process):
    def __init__(self, test, config, ready=True, raw=False, args=(), **how):
        number = sum(isinstance(process, Penstock) for process in test.processes)
        given = how.pop("given", {})
        # A given value may be several lines, indented as the test pleases: none of them continues another.
        flat = {name: re.sub(r"\n\s+", "\n", value) for name, value in given.items() if isinstance(value, str)}
        self.ports = Ports(test, {"dir": test.dir, **given, **flat})
        self.access_path = test.path(f"access{number}.log")
        config = textwrap.dedent(config).format_map(self.ports)
        text = config if raw else complete(config, self.access_path)
        self.config = test.path(f"penstock{number}.ini")
        self.taken = 0
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)
        super().__init__(test, [test.binary, *args, "-c", self.config], f"penstock{number}", **how)
        if ready:
            wait_until(lambda: f"penstock is ready; exit code {self.popen.poll()}, it said:\n{self.err()}",
                       lambda: "penstock: ready" in self.err() or not self.alive())
            need_tls(self.err())
            assert self.alive(), f"penstock ended at start with {self.popen.poll()}:\n{self.err()}"

    def port(self, name="front"):
        return self.ports[name]

    # The access log, JSON.

    def lines(self):
        return [json.loads(line) for line in read_text(self.access_path).split("\n")[:-1]]

    def take(self, count=1, seconds=LIMIT):
        """The next *count* lines that were not taken yet; with one, the line itself."""
        wait_until(lambda: f"{count} more access lines; so far {self.lines()[self.taken:]}",
                   lambda: len(self.lines()) >= self.taken + count, seconds)
        found = self.lines()[self.taken:self.taken + count]
        self.taken += count
        return found[0] if count == 1 else found

    def status(self):
        """Its gauges, as USR1 has them told."""
        before = self.err().count("penstock: status ")
        self.signal(signal.SIGUSR1)
        wait_until("a status line", lambda: self.err().count("penstock: status ") > before)
        wait_until("the whole status line", lambda: self.err().rpartition("penstock: status ")[2].count("\n"))
        words = self.err().rpartition("penstock: status ")[2].split("\n")[0].split()
        return {name: int(value) for name, _, value in (word.partition("=") for word in words) if value.isdigit()}

    def wait_status(self, seconds=LIMIT, **wanted):
        last = {}

        def reached():
            last.update(self.status())
            return all(last[name] == value for name, value in wanted.items())
        wait_until(lambda: f"status {wanted}, last {last}", reached, seconds)

    def wait_empty(self, seconds=LIMIT):
        self.wait_status(seconds, sessions=0, pipes=0, leases=0, hellos_pending=0)

    def sockets(self):
        return sum(1 for name in self.fds().values() if name.startswith("socket:"))

    def wait_sockets(self, count, seconds=LIMIT):
        """A session's sockets are closed a moment after the log and the gauges have told of its end."""
        wait_until(lambda: f"{count} sockets, there are {self.sockets()}", lambda: self.sockets() == count, seconds)

    def stop(self, number=signal.SIGTERM, seconds=None):
        """Ends it and checks that it ended well."""
        if self.alive():
            self.signal(number)
        code = self.wait(seconds or 2 * SLOWER + 1)
        self.check_sanitizers()
        equal(code, 0, f"exit code; the error log ends:\n{self.err()[-2000:]}\n")

    def check_sanitizers(self):
        for mark in SANITIZER_MARKS:
            assert mark not in self.err(), f"{mark}:\n{self.err()[-6000:]}"


# ---- sockets ----

def client(port, host="127.0.0.1", source=None, seconds=LIMIT, rcvbuf=0):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.settimeout(seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source:
        sock.bind((source, 0))
    sock.connect((host, port))
    return sock


def unix_client(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(LIMIT)
    sock.connect(path)
    return sock


def set_reset(sock):
    """close() will send RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_exactly(sock, count):
    out = bytearray()
    while len(out) < count:
        more = sock.recv(min(count - len(out), 1 << 20))
        if not more:
            raise EOFError(f"end of stream after {len(out)} of {count} bytes: {bytes(out[:200])!r}")
        out += more
    return bytes(out)


def read_all(sock):
    """Until the peer's end; a reset raises."""
    out = bytearray()
    while more := sock.recv(1 << 20):
        out += more
    return bytes(out)


def read_line(sock):
    out = b""
    while not out.endswith(b"\n"):
        more = sock.recv(1)
        if not more:
            raise EOFError(f"end of stream after {out!r}")
        out += more
    return out[:-1]


def alert_in(data):
    """The code of the fatal alert that *data* is, nothing before and nothing after it."""
    assert len(data) == 7 and data[0] == 0x15 and data[1] == 3 and data[3:6] == b"\0\2\2", f"no fatal alert: {data!r}"
    return data[6]


def answer(sock, sent):
    """Who answers to *sent* (backends of tag_echo): its tag after checking the echo, "alert N", or "end"."""
    first = sock.recv(1)
    if not first:
        return "end"
    if first == b"\x15":
        return f"alert {alert_in(first + read_all(sock))}"
    tag = first + read_line(sock)
    if sent:
        got = read_exactly(sock, len(sent))
        assert got == sent, f"the backend got other bytes than were sent: {got!r} for {sent!r}"
    return tag.decode()


def ask(port, first, host="127.0.0.1", source=None):
    with client(port, host, source) as sock:
        sock.sendall(first)
        return answer(sock, first)


def has_input(sock):
    sock.setblocking(False)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(LIMIT)


def open_session(port, first=None, tag=None, **how):
    """A client whose hello was answered, still open."""
    first = hello.hello() if first is None else first
    sock = client(port, **how)
    sock.sendall(first)
    got = answer(sock, first)
    assert tag is None or got == tag, f"answered by {got}, wanted {tag}"
    assert tag or not got.startswith(("alert", "end")), got
    return sock


def echoes(sock, data=b"still there?"):
    sock.sendall(data)
    equal(read_exactly(sock, len(data)), data, "echo")


def reads_reset(sock):
    """What arrives before ECONNRESET; a clean end fails."""
    out = bytearray()
    while True:
        try:
            more = sock.recv(1 << 20)
        except ConnectionResetError:
            return bytes(out)
        assert more, f"a clean end after {len(out)} bytes where a reset was due"
        out += more


def unread(local, remote):
    """Bytes that the owner of the TCP socket *local* connected to *remote* has not read yet; None without such.

    From the kernel's sock_diag (inet_diag_req_v2 of linux/inet_diag.h): /proc/net/tcp walks all sockets there are.
    """
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    ends = struct.pack("!HH", local[1], remote[1]) + b"".join(
        socket.inet_pton(family, end[0]).ljust(16, b"\0") for end in (local, remote))
    request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, NONE) + ends + struct.pack("=III", 0, NONE, NONE)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as diag:
        diag.send(struct.pack("=IHHII", 16 + len(request), 20, 1, 0, 0) + request)
        reply = diag.recv(8192)
    kind = struct.unpack_from("=IH", reply)[1]
    if kind == 2:
        error = -struct.unpack_from("=i", reply, 16)[0]
        if error == errno.ENOENT:
            return None
        raise Skip(f"no sock_diag here: {os.strerror(error)}")
    return struct.unpack_from("=I", reply, 16 + 4 + 48 + 4)[0]


def wait_read(socks):
    """Until penstock has taken everything that these clients have sent."""
    ends = [(sock.getpeername()[:2], sock.getsockname()[:2]) for sock in socks]
    wait_until("penstock has read what was sent", lambda: not any(unread(*end) for end in ends))


def unsent(sock):
    """Bytes in the send queue that the peer has not acknowledged (SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(sock, 0x5411, b"\0\0\0\0"))[0]


def stream(count, offset=0):
    """Bytes that tell where they stand, unless one moves by a multiple of 251."""
    turns = bytes(range(251))
    return (turns * ((offset % 251 + count) // 251 + 1))[offset % 251:offset % 251 + count]


def fill(sock, quiet=0.3):
    """Sends a stream until nothing has been taken for *quiet* seconds; how many bytes went in."""
    sock.setblocking(False)
    sent, last = 0, time.monotonic()
    while time.monotonic() - last < quiet:
        try:
            sent += sock.send(stream(65536, sent))
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(TICK)
    sock.settimeout(LIMIT)
    return sent


# ---- backends ----

class Conn:
    def __init__(self, sock):
        self.sock, self.received, self.error, self.done = sock, bytearray(), None, False

    def recv(self, count=1 << 16):
        data = self.sock.recv(count)
        self.received += data
        return data


class Backend:
    """A listening socket with a thread per connection, each running serve(conn)."""

    def __init__(self, test, serve, address=None, backlog=4096, beside=False):
        """*beside*: the address is also one of a running penstock that listens on all of this port's."""
        self.test, self.serve, self.conns = test, serve, []
        # Not an ephemeral port: what a test's dead server leaves behind must not become another test's server.
        self.address = address or ("127.0.0.1", test.port())
        is_unix = isinstance(self.address, str)
        family = socket.AF_UNIX if is_unix else socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if beside:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.listener.bind(self.address)
        self.listener.listen(backlog)
        self.port = None if is_unix else self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()
        test.backends.append(self)

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            conn = Conn(sock)
            self.conns.append(conn)
            threading.Thread(target=self.one, args=(conn,), daemon=True).start()

    def one(self, conn):
        try:
            self.serve(conn)
        except (OSError, EOFError) as error:
            conn.error = error
        conn.done = True

    def wait(self, count=1, seconds=LIMIT):
        """The connection that makes *count* of them."""
        wait_until(f"{count} connections at the backend", lambda: len(self.conns) >= count, seconds)
        return self.conns[count - 1]

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for conn in self.conns:
            conn.sock.close()


def tag_echo(tag):
    """Says its tag once the client has spoken, then echoes everything until the client's end."""
    def serve(conn):
        data = conn.recv()
        if data:
            conn.sock.sendall(tag.encode() + b"\n")
        while data:
            conn.sock.sendall(data)
            data = conn.recv()
        conn.sock.close()
    return serve


def silent(conn):
    """Neither reads nor writes; the test does, through conn.sock."""
    del conn


def collect(conn):
    """Reads until the end, then closes."""
    while conn.recv():
        pass
    conn.sock.close()


# ---- the C helper ----

def load_path(test):
    for path in (os.environ.get("PENSTOCK_LOAD"), os.path.join(os.path.dirname(test.binary), "e2e_load"),
                 os.path.join(os.path.dirname(test.binary), "tests", "e2e_load")):
        if path and os.access(path, os.X_OK):
            return path
    raise Skip("the helper e2e_load is not built")


class Load(Process):
    """load.c: bulk, storms, tricklers."""
    numbers = itertools.count()

    def __init__(self, test, command, *args, first=None, **options):
        argv = [load_path(test), command, *map(str, args)]
        if first is not None:
            path = test.path(f"hello{next(Load.numbers)}")
            with open(path, "wb") as file:
                file.write(first)
            argv += ["--hello", path]
        for name, value in options.items():
            argv += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        super().__init__(test, argv, f"load{next(Load.numbers)}", stdin=subprocess.PIPE)

    def said(self, word, seconds=LIMIT):
        wait_until(lambda: f"load says {word}: {self.out()} {self.err()}",
                   lambda: word in self.out() or not self.alive(), seconds)
        assert word in self.out(), self.out() + self.err()

    def go(self):
        self.popen.stdin.close()

    def result(self, seconds=60 * SLOWER):
        equal(self.wait(seconds), 0, f"load's exit: {self.err()}")
        return json.loads(self.out().splitlines()[-1])


def load_backend(test, **options):
    backend = Load(test, "backend", **options)
    backend.said("port ")
    wait_until("the whole line", lambda: "\n" in backend.out())
    backend.port = int(backend.out().split()[1])
    return backend


def bulk(test, port, first=None, **options):
    return Load(test, "bulk", port, first=hello.hello() if first is None else first, **options)


def all_right(result, connections):
    assert result["ok"] == connections and not result["wrong"] and not result["cut"] and not result["reset"], result


# ---- the test itself ----

def enter_own_network():
    """From now on this process is alone in a network namespace with only a loopback: no port of it was ever used,
    no counter of its kernel counts for another. False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(0x40000000) != 0:  # CLONE_NEWNET
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
    return True


class Test:
    def __init__(self, binary, folder):
        self.binary, self.dir = os.path.abspath(binary), folder
        self.processes, self.backends = [], []
        self.has_own_network = enter_own_network()
        self.slot = int(os.environ.get("E2E_SLOT", "0"))
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            low = int(file.read().split()[0])
        # Below the ephemeral range, where no client's own port can take it; another slot's ports are not ours.
        self.candidates = (port for port in itertools.cycle(range(10000, max(low, 12000)))
                           if port % 4 == self.slot % 4)
        for _ in range(int.from_bytes(os.urandom(2), "big") % 4000):
            next(self.candidates)

    def path(self, name):
        return os.path.join(self.dir, name)

    def port(self):
        for port in self.candidates:
            try:
                with socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("", port))
                return port
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EAFNOSUPPORT):
                    raise
        raise AssertionError("no free port")

    def scale(self, count):
        """Fewer under a sanitizer."""
        return max(count // 8, 1) if SANITIZED else count

    def penstock(self, config, **given):
        own = ("ready", "raw", "args", "stdin", "stdout", "stderr", "env", "prepare")
        own = {name: given.pop(name) for name in own if name in given}
        return Penstock(self, config, given=given, **own)

    def run(self, *args, config=None, seconds=LIMIT, env=None):
        """Runs penstock to its end: (exit code, stdout, stderr). {conf} in *args* is the written configuration."""
        if config is not None:
            with open(self.path("check.ini"), "w", encoding="utf-8") as file:
                file.write(textwrap.dedent(config))
        done = subprocess.run([self.binary, *(arg.format(conf=self.path("check.ini")) for arg in args)], cwd=self.dir,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, env=env)
        out, err = (data.decode("utf-8", "backslashreplace") for data in (done.stdout, done.stderr))
        for mark in SANITIZER_MARKS:
            assert mark not in err, err
        need_tls(err)
        return done.returncode, out, err

    def backend(self, serve, address=None, backlog=4096, beside=False):
        return Backend(self, serve if callable(serve) else tag_echo(serve), address, backlog, beside)

    def command(self, *argv, **how):
        need(argv[0])
        return Process(self, list(argv), f"{os.path.basename(argv[0])}{len(self.processes)}", **how)

    def let_anyone_run(self):
        """Other users may run the binary and write here, wherever the checkout lies."""
        self.binary = shutil.copy(self.binary, self.path("penstock"))
        os.chmod(self.binary, 0o755)
        os.chmod(self.dir, 0o777)

    def need_own_network(self):
        if not self.has_own_network:
            raise Skip("no right to make a network namespace")

    def certificate(self, *names):
        """Key and self-signed certificate for *names*, in one folder: (certificate path, key path)."""
        need("openssl")
        cert, key = self.path(f"{names[0]}.pem"), self.path(f"{names[0]}.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "30", "-subj", f"/CN={names[0]}", "-addext",
                        "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)],
                       check=True, capture_output=True, timeout=30)
        return cert, key

    def https(self, name, text):
        """A real HTTPS server: nginx answering *text*; its port."""
        need("nginx")
        cert, key = self.certificate(name)
        port = self.port()
        with open(self.path(f"nginx-{name}.conf"), "w", encoding="utf-8") as file:
            file.write(f"""
daemon off; master_process off; worker_processes 1; pid {self.path(f'nginx-{name}.pid')};
error_log {self.path(f'nginx-{name}.err')};
events {{ worker_connections 512; }}
http {{
	access_log off;
	client_body_temp_path {self.path('nginx-body')}; proxy_temp_path {self.path('nginx-proxy')};
	fastcgi_temp_path {self.path('nginx-fastcgi')}; uwsgi_temp_path {self.path('nginx-uwsgi')};
	scgi_temp_path {self.path('nginx-scgi')};
	server {{
		listen 127.0.0.1:{port} ssl;
		server_name {name};
		ssl_certificate {cert}; ssl_certificate_key {key};
		root {self.dir};
		location = /text {{ default_type text/plain; return 200 "{text}\\n"; }}
	}}
}}
""")
        server = self.command("nginx", "-e", self.path(f"nginx-{name}.err"), "-c", self.path(f"nginx-{name}.conf"))
        wait_until(lambda: f"nginx listens: {server.err()}", lambda: is_open(port))
        return port

    def finish(self, failed):
        """Ends everything. A penstock that a test did not stop must still end well."""
        problems = []
        for process in reversed(self.processes):
            if isinstance(process, Penstock) and process.popen.returncode is None and not failed:
                try:
                    process.stop()
                except AssertionError as error:
                    problems.append(str(error))
            process.kill()
            if isinstance(process, Penstock):
                try:
                    process.check_sanitizers()
                except AssertionError as error:
                    problems.append(str(error))
        for backend in self.backends:
            backend.close()
        return problems


def need(tool):
    if not shutil.which(tool):
        raise Skip(f"{tool} is not installed")


def need_tls(said):
    """*said*: on stderr, by a penstock whose file wants TLS to end here, or to begin."""
    if "this build has no TLS library" in said:
        raise Skip("this build has no TLS library")


def is_open(port, host="127.0.0.1"):
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def set_nofile(count):
    """For *prepare*: soft and hard limit of open files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def raise_nofile():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def note(text):
    """Shown only when the test fails."""
    print(text, file=sys.stdout, flush=True)


def need_localhost():
    """A host without /etc/hosts does not know its own name."""
    try:
        socket.getaddrinfo("localhost", 1)
    except OSError:
        raise Skip("localhost does not resolve here") from None
