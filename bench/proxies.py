"""The proxies under test: each with the same routes, one worker, no access log, on ports of its own."""

import os
import re
import shutil
import subprocess
import time
import urllib.request

from machine import Failure, SITE, SITE_WRK, first_line, spawn, stop, wait_for_port

PLAIN, FASTOPEN = "plain", "fastopen"


class Direct:
    """No proxy: what the load costs by itself."""
    name, label = "direct", "direct"
    note = None
    tells_shares = False

    def __init__(self, setup):
        self.setup = setup
        self.ports = {PLAIN: setup.backend_port, FASTOPEN: setup.backend_port}
        self.https_port = setup.https_port

    def start(self):
        pass

    def stop(self):
        pass

    def pids(self):
        return []

    def version(self):
        return None


class Proxy:
    """One server program. `note` says why it cannot take part, if it cannot. `shares` are the connections of each
    worker, those that say so."""
    tells_shares = False

    def __init__(self, setup, binary, kinds=(PLAIN, FASTOPEN)):
        self.setup = setup
        self.binary = binary
        self.note = None if binary else f"{self.label}: no such program"
        self.process = None
        self.folder = os.path.join(setup.folder, self.name)
        self.log = os.path.join(self.folder, "log")
        self.ports = dict(zip(kinds, setup.take_ports(len(kinds))))
        self.https_port = self.ports[PLAIN]
        os.makedirs(self.folder, exist_ok=True)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def start(self):
        core = self.setup.proxy_core if self.setup.workers == 1 else None
        with open(self.log, "wb") as log:
            self.process = spawn(self.command(), core, stdout=log, stderr=subprocess.STDOUT)
        wait_for_port(self.ports[PLAIN], self.process, self.log)

    def stop(self):
        if self.process:
            stop(self.process)
            self.process = None

    def pids(self):
        return [self.process.pid]

    def command(self):
        raise NotImplementedError

    def version(self):
        raise NotImplementedError


class Penstock(Proxy):
    """`keys` are lines of a variant, `section.key = value`; the keys of a kind of section go into all of that kind, and
    what is none of those is a section of its own, `log access`."""
    tells_shares = True
    SECTIONS = ("global", "listener", "sni", "upstream")

    def __init__(self, setup, binary, name="penstock", keys=()):
        self.name = self.label = name
        self.keys = [key.partition(".") for key in keys]
        self.metrics_port, = setup.take_ports(1)
        super().__init__(setup, binary)
        if self.note is None:
            self.note = self.refused(self.config(with_fastopen=False))
        self.fastopen_note = self.note or self.refused(self.config(with_fastopen=True))
        if self.fastopen_note:
            del self.ports[FASTOPEN]

    def refused(self, text):
        path = self.write("check.ini", text)
        done = subprocess.run([self.binary, "-t", "-c", path], capture_output=True, text=True, timeout=10, check=False)
        errors = [line.partition(f"{path}:")[2] for line in done.stderr.splitlines() if "warning" not in line]
        return f"{self.name}: {errors[0].strip()}" if done.returncode else None

    def section(self, kind, title, lines):
        more = [f"{key} = {value}" for where, _, rest in self.keys if where == kind
                for key, _, value in [rest.partition("=")]]
        return "\n".join([f"[{title}]", *lines, *more, "", ""])

    def config(self, with_fastopen):
        setup = self.setup
        text = self.section("global", "global", [f"workers = {setup.workers}", "error_log = stderr warn",
                                                 f"metrics_listen = 127.0.0.1:{self.metrics_port}"])
        for kind in (PLAIN, FASTOPEN)[:2 if with_fastopen else 1]:
            option = " fastopen" if kind == FASTOPEN else ""
            text += self.section("listener", f"listener {kind}", [f"listen = 127.0.0.1:{self.ports[kind]}"])
            text += self.section("sni", f"sni {kind}", [f"{SITE} = {kind}", f"{SITE_WRK} = https"])
            text += self.section("upstream", f"upstream {kind}",
                                 [f"server = 127.0.0.1:{setup.backend_port}{option}"])
        text += self.section("upstream", "upstream https", [f"server = 127.0.0.1:{setup.https_port}"])
        others = dict.fromkeys(where for where, _, _ in self.keys if where not in self.SECTIONS)
        return text + "".join(self.section(where, where, []) for where in others)

    def start(self):
        super().start()
        wait_for_port(self.metrics_port, self.process, self.log)

    def shares(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            text = answer.read().decode("ascii")
        return [int(count) for count in re.findall(r"^penstock_worker_sessions\{.*\} (\d+)$", text, re.M)]

    def command(self):
        return [self.binary, "-c", self.write("ini", self.config(with_fastopen=FASTOPEN in self.ports))]

    def version(self):
        return first_line(self.binary, "-V")


class Nginx(Proxy):
    name, label = "nginx", "nginx stream"
    tells_shares = True

    def config(self):
        setup = self.setup
        servers = "".join(f"""
	server {{
		listen 127.0.0.1:{port} backlog=4096{" reuseport" if setup.workers > 1 else ""};
		ssl_preread on;
		proxy_pass $upstream;
	}}""" for port in self.ports.values())
        return f"""{self.load_stream()}{nginx_head(self.folder, setup.workers, 40000)}
stream {{
	map $ssl_preread_server_name $upstream {{
		{SITE} bench;
		{SITE_WRK} https;
	}}
	upstream bench {{
		server 127.0.0.1:{setup.backend_port};
	}}
	upstream https {{
		server 127.0.0.1:{setup.https_port};
	}}{servers}
}}
"""

    def load_stream(self):
        """Debian's nginx has stream as a module."""
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        is_debian = os.path.realpath(self.binary).startswith("/usr/sbin/")
        return f"load_module {module};\n" if is_debian and os.path.exists(module) else ""

    def command(self):
        return [self.binary, "-p", self.folder, "-c", self.write("conf", self.config())]

    def pids(self):
        return nginx_workers(self.process)

    def shares(self):
        return [len(os.listdir(f"/proc/{pid}/fd")) // 2 for pid in self.pids()]

    def version(self):
        return first_line(self.binary, "-v")


class Haproxy(Proxy):
    def __init__(self, setup, binary, splices):
        self.splices = splices
        self.name = "haproxy-splice" if splices else "haproxy-copy"
        self.label = "HAProxy splice" if splices else "HAProxy copy"
        super().__init__(setup, binary)

    def config(self):
        setup = self.setup
        pipes = 600
        tunnels = (setup.nofile - 2 * pipes - 200) // 2
        text = f"""global
	nbthread {setup.workers}
	maxconn {tunnels}
	maxpipes {pipes}
defaults
	mode tcp
	{"option splice-auto" if self.splices else "# no splice"}
	backlog 4096
	timeout connect 5s
	timeout client 10m
	timeout server 10m
"""
        for kind, port in self.ports.items():
            text += f"""frontend front_{kind}
	bind 127.0.0.1:{port}
	maxconn {tunnels}
	tcp-request inspect-delay 5s
	tcp-request content accept if {{ req.ssl_hello_type 1 }}
	use_backend {kind} if {{ req.ssl_sni -i {SITE} }}
	use_backend https if {{ req.ssl_sni -i {SITE_WRK} }}
backend {kind}
	server s 127.0.0.1:{setup.backend_port}{" tfo" if kind == FASTOPEN else ""}
	{"retry-on conn-failure" if kind == FASTOPEN else ""}
"""
        return text + f"backend https\n\tserver s 127.0.0.1:{setup.https_port}\n"

    def command(self):
        return [self.binary, "-db", "-f", self.write("cfg", self.config())]

    def version(self):
        return first_line(self.binary, "-v")


def nginx_head(folder, workers, connections):
    return f"""daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes {workers};
pid {folder}/pid;
error_log stderr crit;
events {{
	worker_connections {connections};
}}"""


def nginx_workers(master):
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with open(f"/proc/{master.pid}/task/{master.pid}/children", encoding="ascii") as file:
            pids = [int(pid) for pid in file.read().split()]
        if pids:
            return pids
        time.sleep(0.02)
    raise Failure("nginx has no workers")


class HttpsBackend:
    """An nginx that answers wrk over HTTPS, on the load's core. `note` says why there is none."""
    tls = """ssl backlog=4096;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;"""
    sizes = {"1k": 1024}

    def __init__(self, setup, binary):
        self.setup = setup
        self.binary = binary
        self.process = None
        self.folder = os.path.join(setup.folder, "https")
        os.makedirs(self.folder, exist_ok=True)
        self.note = None
        if not shutil.which("wrk"):
            self.note = "wrk is not installed"
        elif not binary:
            self.note = "no nginx to serve HTTPS"
        elif not self.make_certificate():
            self.note = "no openssl to make a certificate"

    def make_certificate(self):
        try:
            done = subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                 "2", "-subj", f"/CN={SITE_WRK}", "-keyout", f"{self.folder}/key.pem", "-out",
                 f"{self.folder}/cert.pem"], capture_output=True, timeout=30, check=False)
            return done.returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def start(self):
        os.makedirs(f"{self.folder}/www", exist_ok=True)
        for kind in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            os.makedirs(f"{self.folder}/{kind}", exist_ok=True)
        for name, size in self.sizes.items():
            with open(f"{self.folder}/www/{name}", "w", encoding="ascii") as file:
                file.write("x" * size)
        os.chmod(self.setup.folder, 0o755)
        path = f"{self.folder}/conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""{nginx_head(self.folder, 1, 4096)}
http {{
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {{
		listen 127.0.0.1:{self.setup.https_port} {self.tls}
		root www;
	}}
}}
""")
        log = f"{self.folder}/log"
        with open(log, "wb") as out:
            self.process = spawn([self.binary, "-p", self.folder, "-c", path], self.setup.load_core, stdout=out,
                                 stderr=subprocess.STDOUT)
        wait_for_port(self.setup.https_port, self.process, log)

    def stop(self):
        if self.process:
            stop(self.process)
            self.process = None

    def pids(self):
        return nginx_workers(self.process)
