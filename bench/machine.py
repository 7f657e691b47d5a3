"""The machine that a benchmark runs on: its own network namespace, two cores, limits, versions, memory in use."""

import contextlib
import ctypes
import fcntl
import os
import platform
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import time

SITE = "bench.example"
SITE_WRK = "localhost"  # wrk resolves the name that it sends
FIRST_PORT = 61000  # above what Linux gives to outgoing connections
NOFILE = 65536
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41

libc = ctypes.CDLL(None, use_errno=True)

# What holds one tunnel's kernel memory. Left out: TIME_WAIT and half-open sockets, which are of earlier runs,
# and the big shared ones (dentry, inodes), in which whatever else the machine does drowns 9,000 sockets.
SLAB_CACHES = re.compile(r"^(TCP|TCPv6|UNIX|sock_inode_cache|filp|lsm_file_cache|eventpoll_epi|eventpoll_pwq|"
                         r"ep_head|io_kiocb|tcp_bind_bucket|tcp_bind2_bucket|skbuff_\w+|"
                         r"kmalloc(-rnd-\d+|-cg)?-(8|16|32|64|96|128|192|256|512|1k|2k|4k))$")


class Failure(Exception):
    """A run cannot go on; the text is for the user."""


def private_network():
    """Puts this process and what it starts into a network of its own: (did it, text for the report)."""
    if os.geteuid() != 0:
        return False, "the machine's loopback (not root)"
    if libc.unshare(CLONE_NEWNET) != 0:
        return False, "the machine's loopback (no right to make a network namespace)"
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
    lacking = []
    for key, value in (("tcp_congestion_control", "reno"), ("ip_local_port_range", f"1100 {FIRST_PORT - 1}"),
                       ("tcp_fastopen", "3"), ("tcp_max_syn_backlog", "8192")):
        try:
            with open(f"/proc/sys/net/ipv4/{key}", "w", encoding="ascii") as file:
                file.write(value)
        except OSError:
            lacking.append(key)
    with contextlib.suppress(OSError), open("/proc/sys/net/core/somaxconn", "w", encoding="ascii") as file:
        file.write("8192")
    text = "a network namespace of its own, loopback, MTU 65536, TCP reno"
    return True, text + (f" (could not set {', '.join(lacking)})" if lacking else "")


class Buffers:
    """The kernel's limit for the buffers of a socket, changed for some runs in a network of our own."""
    KEYS = ("tcp_rmem", "tcp_wmem")

    def __init__(self, is_private):
        self.usual = {key: self.read(key) for key in self.KEYS} if is_private else {}

    @staticmethod
    def read(key):
        with open(f"/proc/sys/net/ipv4/{key}", encoding="ascii") as file:
            return file.read().split()

    def limit(self, most):
        """Bytes; 0 is the usual."""
        for key, (least, first, usual) in self.usual.items():
            with contextlib.suppress(OSError), open(f"/proc/sys/net/ipv4/{key}", "w", encoding="ascii") as file:
                file.write(f"{least} {first} {most or usual}")


def raise_nofile():
    """The limit of open files that we and our children get."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        if hard < NOFILE:
            resource.setrlimit(resource.RLIMIT_NOFILE, (NOFILE, NOFILE))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(hard, NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    return limit


def cores():
    """(of the proxy, of the load)"""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def free_ports(count):
    found = []
    for port in range(FIRST_PORT, 65536):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise Failure("no free ports")


def spawn(command, core, **more):
    """Starts a process on a core (None: on all of ours); it ends when we do."""
    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if core is not None:
            os.sched_setaffinity(0, {core})
    # pylint: disable-next=subprocess-popen-preexec-fn
    return subprocess.Popen(command, preexec_fn=prepare, **more)


def stop(process):
    """Ends a process that spawn started, by its id."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port, process, log):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as file:
        raise Failure(f"{process.args[0]} does not come up:\n{file.read()[-2000:]}")


def cpu_seconds(pid):
    """CPU time of a process, all its threads and those that ended included."""
    clock = (~pid << 3) | 2  # what clock_getcpuclockid makes of a pid: the scheduler's own sum
    return time.clock_gettime(clock)


def pss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.M)[1]) * 1024


def slab_bytes():
    """(bytes of kernel objects, how they were counted)"""
    try:
        with open("/proc/slabinfo", encoding="ascii") as file:
            rows = [line.split() for line in file.read().splitlines()[2:]]
        return (sum(int(row[1]) * int(row[3]) for row in rows if SLAB_CACHES.match(row[0])),
                "slabinfo, the caches of sockets, files and polls")
    except OSError:
        with open("/proc/meminfo", encoding="ascii") as file:
            return int(re.search(r"^Slab:\s+(\d+)", file.read(), re.M)[1]) * 1024, "meminfo Slab"


def make_hello():
    """A ClientHello as OpenSSL sends it."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=SITE)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10,
                              check=False)
        return (done.stdout.splitlines() or ["?"])[0].strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


def describe():
    """Lines about the machine."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*:\s*(.*)", file.read(), re.M)
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"^MemTotal:\s+(\d+)", file.read(), re.M)[1]) / 1024 / 1024
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "?")
    except OSError:
        system = "?"
    return {"CPU": f"{model[1] if model else platform.machine()}, {len(os.sched_getaffinity(0))} usable",
            "memory": f"{memory:.1f} GiB", "kernel": platform.release(), "system": system}
