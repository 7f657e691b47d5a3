"""Termination: what is measured, and the proxies, each with the same certificates, protocols, ciphers and curves."""

import dataclasses
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

import scenarios
from machine import SITE, SITE_WRK, stop
from proxies import PLAIN, Haproxy, HttpsBackend, Nginx, Penstock, Proxy, nginx_head
from scenarios import KIB, MIB, Scenario

NGINX, HAPROXY = "nginx", "haproxy"
NEWER = "-new"  # behind the name of a peer with the OpenSSL of --openssl
RSA, STORM, HTTP = "rsa", "storm", "http"
PORTS = (PLAIN, RSA, STORM, HTTP)
MLKEM = "X25519MLKEM768"
CIPHERS_13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CIPHERS_12 = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256")
GROUPS = ("X25519", "P-256")
STORM_LIMIT_US = 5000  # p99 during a storm may be this, or STORM_FACTOR times the quiet one
STORM_FACTOR = 3
IDLE_BAR = 8 * KIB


def bars(nginx, haproxy, newer_nginx=None, newer_haproxy=None):
    """The least that a peer's cost may be, ours being 1."""
    made = {NGINX: nginx, HAPROXY: haproxy, NGINX + NEWER: newer_nginx or nginx,
            HAPROXY + NEWER: newer_haproxy or haproxy}
    return {name: bar for name, bar in made.items() if bar}


def handshake(name, title, *arguments, bar=None, port=PLAIN, quick=True):
    return Scenario(name, title, "handshake", "handshake", 32, arguments, port, bars=bars(bar, bar), quick=quick)


def exchange(name, title, connections, size, accepted, quick=True):
    return Scenario(name, title, "exchange", "request", connections, ("--size", str(size)), bars=accepted, quick=quick)


def wrk(name, title, *arguments, quick=False):
    return Scenario(name, title, "wrk", "request", 32, arguments, HTTP, quick=quick)


def storm(name, title, kind, connections):
    return Scenario(name, title, "storm", "request", 16, (kind, str(connections)), cost="storm")


P256 = ("--groups", "P-256")
SCENARIOS = [
    handshake("handshake-13-ecdsa", "TLS 1.3, ECDSA, X25519", bar=1.25),
    handshake("handshake-13-resumed", "TLS 1.3, resumed", "--resume", bar=1.4),
    handshake("handshake-13-mlkem", "TLS 1.3, ECDSA, X25519MLKEM768", "--groups", MLKEM, bar=1.2),
    handshake("handshake-13-p256", "TLS 1.3, ECDSA, P-256", *P256, quick=False),
    handshake("handshake-13-rsa", "TLS 1.3, RSA-2048, X25519", port=RSA),
    handshake("handshake-12-ecdsa", "TLS 1.2, ECDSA, X25519", "--tls", "1.2", "--groups", "X25519:P-256", bar=1.25),
    handshake("handshake-12-resumed", "TLS 1.2, resumed", "--tls", "1.2", "--groups", "X25519:P-256", "--resume",
              bar=1.4),
    handshake("handshake-12-rsa", "TLS 1.2, RSA-2048, X25519", "--tls", "1.2", port=RSA, quick=False),
    Scenario("tls-perf-13", "tls-perf, TLS 1.3", "tls-perf", "handshake", 32, ("--tls", "1.3"), HTTP, quick=False),
    Scenario("tls-perf-12", "tls-perf, TLS 1.2, tickets", "tls-perf", "handshake", 32,
             ("--tls", "1.2", "--tickets", "on"), HTTP, quick=False),
    Scenario("flood", "hellos, server's flight, gone", "flood", "hello", 32),
    Scenario("open-1k", "new connections, 200 B / 1 KiB", "open", "connection", 32),
    Scenario("open-64k", "new connections, 200 B / 64 KiB", "open", "connection", 32, ("--size", str(64 * KIB)),
             quick=False),
    exchange("exchange-1k-1", "200 B / 1 KiB, 1 connection", 1, KIB, {}, quick=False),
    exchange("exchange-1k-16", "200 B / 1 KiB, 16 connections", 16, KIB, bars(1.03, 1.08)),
    exchange("exchange-1k-128", "200 B / 1 KiB, 128 connections", 128, KIB, bars(1.03, 1.08)),
    exchange("exchange-64k-16", "200 B / 64 KiB, 16 connections", 16, 64 * KIB, {}),
    exchange("exchange-1m-16", "200 B / 1 MiB, 16 connections", 16, MIB, bars(1.0, None, 0.80)),
    Scenario("bulk-16", "bulk down, 16 streams", "bulk", "GB", 16, cost="per_unit", bars=bars(1.0, None, 0.80)),
    Scenario("bulk-up-16", "bulk up, 16 streams", "bulk", "GB", 16, ("--up",), cost="per_unit"),
    wrk("wrk-1k", "wrk, 1 KiB, kept connections", "1k", quick=True),
    wrk("wrk-64k", "wrk, 64 KiB, kept connections", "64k"),
    wrk("wrk-1m", "wrk, 1 MiB, kept connections", "1m"),
    wrk("wrk-1k-new", "wrk, 1 KiB, new connections", "1k", "-H", "Connection: close"),
    storm("storm-full", "during full handshakes, 128 at a time", "handshake", 128),
    storm("storm-flood", "during a flood of hellos, 128 at a time", "flood", 128),
    Scenario("idle-2000", "2,000 idle sessions", "idle", "session", 2000, cost="memory"),
]


@dataclass
class Setup(scenarios.Setup):
    """And the backend of those that only make a storm."""
    storm_port: int = 0

    def path(self, name):
        return os.path.join(self.folder, name)


class HttpBackend(HttpsBackend):
    """The same without TLS."""
    tls = "backlog=4096;"
    sizes = {"1k": KIB, "64k": 64 * KIB, "1m": MIB}


def make_pair(setup, name, *algorithm):
    """NAME.crt, NAME.key and both in NAME.pem."""
    key, crt, pem = (setup.path(f"{name}.{suffix}") for suffix in ("key", "crt", "pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", *algorithm, "-nodes", "-days", "2", "-subj", f"/CN={SITE}",
                    "-addext", f"subjectAltName=DNS:{SITE},DNS:{SITE_WRK}", "-keyout", key, "-out", crt],
                   check=True, capture_output=True, timeout=60)
    with open(pem, "w", encoding="ascii") as out:
        for path in (crt, key):
            with open(path, encoding="ascii") as file:
                out.write(file.read())


class Terminating(Proxy):
    """Listens once for each of PORTS. `groups` is what its TLS library has."""
    groups = GROUPS

    def __init__(self, setup, binary):
        Proxy.__init__(self, setup, binary, PORTS)
        self.https_port = self.ports[HTTP]
        if self.note is None:
            self.adapt()

    def start(self):
        Proxy.start(self)

    def targets(self):
        """(kind, port, its certificate, the port of its backend)"""
        setup = self.setup
        backends = {PLAIN: setup.backend_port, RSA: setup.backend_port, STORM: setup.storm_port,
                    HTTP: setup.https_port}
        return [(kind, port, setup.path("rsa" if kind == RSA else "ecdsa"), backends[kind])
                for kind, port in self.ports.items()]

    def checks(self, *command):
        """What the program says about its configuration; None when it takes it."""
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20,
                              check=False)
        return done.stdout.strip()[-500:] if done.returncode else None

    def adapt(self):
        """Takes the groups that the library has; `note` is why the program cannot take part."""
        for groups in ((MLKEM, *GROUPS), GROUPS):
            self.groups = groups
            self.note = self.check()
            if not self.note:
                return
        self.note = f"{self.name}: {self.note}"

    def check(self):
        raise NotImplementedError


class TerminatingPeer(Terminating):
    """Its label tells the library."""

    def __init__(self, setup, binary, name):
        self.name = self.label = name
        super().__init__(setup, binary)
        self.label = name if self.note else f"{name}, {self.version().partition(' with ')[2]}"


class TerminatingPenstock(Terminating, Penstock):
    def __init__(self, setup, binary, name, keys):  # pylint: disable=super-init-not-called
        self.name = self.label = name
        self.keys = [key.partition(".") for key in keys]
        Terminating.__init__(self, setup, binary)

    def config(self, _with_fastopen=False):
        text = self.section("global", "global", [f"workers = {self.setup.workers}", "error_log = stderr warn"])
        for kind, port, pair, backend in self.targets():
            text += self.section("tls", f"tls {kind}", [
                f"ssl_certificate = {pair}.crt", f"ssl_certificate_key = {pair}.key",
                "ssl_protocols = TLSv1.2 TLSv1.3", f"ssl_ciphersuites = {':'.join(CIPHERS_13)}",
                f"ssl_ciphers = {':'.join(CIPHERS_12)}", f"ssl_ecdh_curve = {' '.join(self.groups)}"])
            text += self.section("listener", f"listener {kind}", [
                f"listen = 127.0.0.1:{port}", "mode = terminate", f"tls = {kind}", f"proxy_pass = {kind}"])
            text += self.section("upstream", f"upstream {kind}", [f"server = 127.0.0.1:{backend}"])
        return text

    def check(self):
        return self.checks(self.binary, "-t", "-c", self.write("ini", self.config()))

    def command(self):
        return [self.binary, "-c", self.write("ini", self.config())]


class TerminatingNginx(TerminatingPeer, Nginx):
    def config(self):
        reuse = " reuseport" if self.setup.workers > 1 else ""
        servers = "".join(f"""
	server {{
		listen 127.0.0.1:{port} ssl backlog=4096{reuse};
		ssl_certificate {pair}.crt;
		ssl_certificate_key {pair}.key;
		proxy_pass 127.0.0.1:{backend};
	}}""" for _, port, pair, backend in self.targets())
        return f"""{self.load_stream()}{nginx_head(self.folder, self.setup.workers, 40000)}
stream {{
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_ciphers {":".join(CIPHERS_12)};
	ssl_conf_command Ciphersuites {":".join(CIPHERS_13)};
	ssl_ecdh_curve {":".join(self.groups)};
	ssl_prefer_server_ciphers on;{servers}
}}
"""

    def check(self):
        return self.checks(*self.command(), "-t")

    def version(self):
        done = subprocess.run([self.binary, "-V"], capture_output=True, text=True, timeout=10, check=False)
        library = re.findall(r"OpenSSL [\d.]+", done.stderr)
        return f"{done.stderr.splitlines()[0].partition(': ')[2]} with {library[-1] if library else '?'}"


class TerminatingHaproxy(TerminatingPeer, Haproxy):
    def config(self):
        tunnels = self.setup.nofile // 2 - 200
        text = f"""global
	nbthread {self.setup.workers}
	maxconn {tunnels}
	ssl-default-bind-options ssl-min-ver TLSv1.2
	ssl-default-bind-ciphers {":".join(CIPHERS_12)}
	ssl-default-bind-ciphersuites {":".join(CIPHERS_13)}
	ssl-default-bind-curves {":".join(self.groups)}
defaults
	mode tcp
	backlog 4096
	timeout connect 5s
	timeout client 10m
	timeout server 10m
"""
        for kind, port, pair, backend in self.targets():
            text += f"""frontend front_{kind}
	bind 127.0.0.1:{port} ssl crt {pair}.pem
	maxconn {tunnels}
	use_backend {kind}
backend {kind}
	server s 127.0.0.1:{backend}
"""
        return text

    def check(self):
        return self.checks(*self.command(), "-c")

    def version(self):
        done = subprocess.run([self.binary, "-vv"], capture_output=True, text=True, timeout=10, check=False)
        library = re.search(r"Running on SSL library version : (\S+ [\d.]+)", done.stdout)
        name = re.match(r"HAProxy version (\S+)", done.stdout)
        return f"HAProxy {name[1] if name else '?'} with {library[1] if library else '?'}"


def with_library(setup, binary, name, library):
    """A script that runs the program with other libraries."""
    path = setup.path(name)
    with open(path, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nLD_LIBRARY_PATH={library} exec {binary} "$@"\n')
    os.chmod(path, 0o755)
    return path


def make_proxies(setup, ours, nginx, haproxy, newer):
    """`ours` are (name, binary, keys); `newer` is a folder of libraries or None."""
    os.chmod(setup.folder, 0o755)
    make_pair(setup, "ecdsa", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    make_pair(setup, "rsa", "rsa:2048")
    setup.https = HttpBackend(setup, nginx)
    made = [TerminatingPenstock(setup, binary, name, keys) for name, binary, keys in ours]
    made += [TerminatingNginx(setup, nginx, NGINX), TerminatingHaproxy(setup, haproxy, HAPROXY)]
    if newer:
        setup.lg = with_library(setup, setup.lg, "load", newer)
        made += [TerminatingNginx(setup, nginx and with_library(setup, nginx, "newer-nginx", newer), NGINX + NEWER),
                 TerminatingHaproxy(setup, haproxy and with_library(setup, haproxy, "newer-haproxy", newer),
                                    HAPROXY + NEWER)]
    return made


def find_tls_perf():
    return shutil.which(os.environ.get("TLS_PERF", "tls-perf"))


def reason_to_skip(scenario, setup, proxy):
    """None when the proxy can take part."""
    if not proxy.note and MLKEM in scenario.arguments and MLKEM not in proxy.groups:
        return f"{proxy.name}: its library has no {MLKEM}"
    if scenario.mode == "tls-perf" and not (setup.https.note or find_tls_perf()):
        return "tls-perf is not installed"
    return scenarios.reason_to_skip(scenario, setup, proxy) or (scenario.port == HTTP and setup.https.note) or None


def run_tls_perf(scenario, setup, proxy):
    """Its handshakes are not followed by anything: the backend only sees connections come and go."""
    seconds = max(3, round((setup.warm_ms + setup.time_ms) / 1000))  # it wants more than two of its own measurements
    command = [find_tls_perf(), "-q", "-t", "1", "-l", str(scenario.connections), "-T", str(seconds), "--sni", SITE,
               *scenario.arguments, "127.0.0.1", str(proxy.ports[HTTP])]
    _, found, row = scenarios.run_client(scenario, setup, proxy, command, seconds, r"HANDSHAKES ([1-9]\d*)")
    return scenarios.derive({**row, "units": int(found[1])})


def run_storm(scenario, setup, proxy):
    """Paced exchanges, alone and then during a storm. On the load's core the exchanges go before the storm's clients
    (as root, by real-time priority), so that what is seen is the proxy's delay and not the load's."""
    kind, connections = scenario.arguments
    paced = dataclasses.replace(scenario, mode="exchange", arguments=("--pace-us", "10000"))
    eager = dataclasses.replace(setup, lg=setup.path("eager"))
    with open(eager.lg, "w", encoding="ascii") as file:
        file.write(f'#!/bin/sh\nexec {"chrt -f 10 " if os.geteuid() == 0 else ""}{setup.lg} "$@"\n')
    os.chmod(eager.lg, 0o755)
    quiet = scenarios.run_measured(paced, eager, proxy)
    stormy = dataclasses.replace(scenario, mode=kind, port=STORM, connections=int(connections), arguments=())
    longer = dataclasses.replace(setup, backend_port=setup.storm_port, time_ms=2 * setup.warm_ms + setup.time_ms)
    process = scenarios.start_load(stormy, longer, proxy)
    try:
        time.sleep(setup.warm_ms / 1000)
        row = scenarios.run_measured(paced, eager, proxy)
        storm_row = scenarios.finish_load(process, stormy, longer, proxy)
    finally:
        stop(process)
    return {**row, "quiet_p99_us": quiet["p99_us"], "storm_rate": storm_row["units"] / storm_row["seconds"],
            "errors": row["errors"] + storm_row["errors"]}


def run(scenario, setup, proxy):
    """One run, as a row of figures."""
    if scenario.mode == "storm":
        return run_storm(scenario, setup, proxy)
    if scenario.mode == "tls-perf":
        return run_tls_perf(scenario, setup, proxy)
    return scenarios.run(scenario, setup, proxy)
