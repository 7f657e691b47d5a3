"""Real PostgreSQL servers and psql, with a certificate of their own; nothing of a cluster of the host's is touched."""

import glob
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile

from harness import Process, Skip, read_text, wait_until

SSL_REQUEST, GSSENC_REQUEST = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)
STARTUP = struct.pack("!II", 23, 0x30000) + b"user\0postgres\0\0"


def cancel_request(process, secret):
    return struct.pack("!IIII", 16, 80877102, process, secret)


def error_fields(data):
    """The fields of the one ErrorResponse that *data* is."""
    assert data[:1] == b"E" and struct.unpack("!I", data[1:5])[0] == len(data) - 1 and data[-2:] == b"\0\0", data
    return {field[:1].decode(): field[1:].decode() for field in data[5:-2].split(b"\0")}


def binary(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")) or [shutil.which(name)]
    if not found[-1]:
        raise Skip(f"PostgreSQL's {name} is not installed")
    return found[-1]


class Owner:
    """PostgreSQL refuses to run as root."""

    def __init__(self):
        self.ids = None
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                raise Skip("there is no user postgres to run PostgreSQL as") from None
            self.ids = (user.pw_uid, user.pw_gid)

    def take_over(self):
        if self.ids:
            os.setgroups([])
            os.setgid(self.ids[1])
            os.setuid(self.ids[0])

    def own(self, *paths):
        for path in paths:
            if self.ids:
                os.chown(path, *self.ids)


class Server(Process):
    """One that takes TLS only, and anybody who speaks it. *name* is what its certificate is for, and its one table's."""

    def __init__(self, test, name, ssl=True):
        owner = Owner()
        self.host, self.number = name, test.port()
        self.folder = tempfile.mkdtemp(prefix="penstock-pg-", dir="/tmp")
        owner.own(self.folder)
        data = os.path.join(self.folder, "data")
        subprocess.run([binary("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8",
                        "--locale", "C"], check=True, capture_output=True, timeout=60, cwd="/",
                       preexec_fn=owner.take_over)
        self.certificate, key = test.certificate(name)
        for source, target in ((self.certificate, "server.crt"), (key, "server.key")):
            path = shutil.copy(source, os.path.join(data, target))
            os.chmod(path, 0o600)
            owner.own(path)
        with open(os.path.join(data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write(f"local all all trust\n{'hostssl' if ssl else 'hostnossl'} all all 127.0.0.1/32 trust\n")
        super().__init__(test, [binary("postgres"), "-D", data, "-p", str(self.number), "-c", "fsync=off", "-c",
                                "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}", "-c",
                                f"ssl={'on' if ssl else 'off'}", "-c", f"cluster_name={name}", "-c",
                                "shared_buffers=1MB", "-c", "max_connections=20", "-c", "autovacuum=off"],
                         f"postgres-{name}", prepare=owner.take_over)
        wait_until(lambda: f"PostgreSQL runs; it said:\n{self.err()}",
                   lambda: "ready to accept connections" in self.err() or not self.alive())
        assert self.alive(), self.err()

    def kill(self):
        if self.alive():
            self.popen.terminate()  # fast: its children go, too
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                pass
        super().kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def arguments(host, port, query, **more):
    """psql's, for *host* as the name and 127.0.0.1 as the address."""
    options = {"host": host, "hostaddr": "127.0.0.1", "port": port, "user": "postgres", "dbname": "postgres",
               "connect_timeout": 20, **more}
    return [binary("psql"), "-XAtq", "-d", " ".join(f"{key}={value}" for key, value in options.items()), "-c", query]


def psql(host, port, query, **more):
    """(exit code, stdout, stderr)"""
    done = subprocess.run(arguments(host, port, query, **more), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=40, check=False, text=True, env={"HOME": "/nonexistent", "LC_ALL": "C"})
    return done.returncode, done.stdout.strip(), done.stderr.strip()
