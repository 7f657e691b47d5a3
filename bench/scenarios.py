"""What is measured, and how one run of it is made. A run gives a dict of numbers, see FIELDS."""

import contextlib
import json
import os
import re
import resource
import subprocess
import time
from dataclasses import dataclass, field

from machine import Failure, SITE_WRK, cpu_seconds, pss_bytes, slab_bytes, spawn, stop
from proxies import FASTOPEN, PLAIN

FIELDS = ("seconds", "units", "bytes", "errors", "load_cpu", "proxy_cpu", "foreign", "p50_us", "p99_us", "p999_us",
          "user_bytes", "kernel_bytes", "spread", "quiet_p99_us", "storm_rate")
KIB, MIB = 1024, 1024 * 1024
NGINX, SPLICE, COPY = "nginx", "haproxy-splice", "haproxy-copy"


@dataclass(frozen=True)
class Scenario:
    """`cost` is what is compared: "per_unit" the proxy's CPU per GB, request or connection, "px_lg" that CPU over
    the load's of the same run, which takes the machine's speed of the moment out where the load's work per unit is
    fixed. `bars` are the highest ratios of it to a peer that the project accepts."""
    name: str
    title: str
    mode: str
    unit: str
    connections: int
    arguments: tuple = ()
    port: str = PLAIN
    cost: str = "px_lg"
    bars: dict = field(default_factory=dict)
    quick: bool = True
    # Of a proxy that is started for it; 0 is as the others have.
    workers: int = 0
    # Most bytes in a buffer of a socket; 0 is the kernel's own limit. Many streams would fill gigabytes with it, and
    # the run would measure how fast the machine finds fresh memory.
    buffers: int = 0


def bulk(name, title, connections, bars, *arguments, buffers=0):
    return Scenario(name, title, "bulk", "GB", connections, arguments, cost="per_unit", bars=bars, buffers=buffers)


def exchange(name, title, connections, size, bars):
    return Scenario(name, title, "exchange", "request", connections, ("--size", str(size)), bars=bars)


def spread(connections, workers):
    return Scenario(f"spread-{connections}-{workers}", f"{connections:,} connections, {workers} workers", "spread",
                    "connection", connections, cost="spread", workers=workers, quick=False)


SCENARIOS = [
    bulk("bulk-1", "bulk down, 1 stream", 1, {NGINX: 0.35, SPLICE: 0.80}),
    bulk("bulk-16", "bulk down, 16 streams", 16, {NGINX: 0.33, SPLICE: 1.0}),
    bulk("bulk-256", "bulk down, 256 streams", 256, {NGINX: 0.33, SPLICE: 0.60}, buffers=MIB // 2),
    bulk("bulk-up-16", "bulk up, 16 streams", 16, {NGINX: 0.33, SPLICE: 1.0}, "--up"),
    bulk("bulk-sendfile", "bulk down, 4 streams, sendfile", 4, {NGINX: 0.45, SPLICE: 0.70}, "--sendfile"),
    exchange("exchange-1k-1", "200 B / 1 KiB, 1 connection", 1, KIB, {}),
    exchange("exchange-1k-16", "200 B / 1 KiB, 16 connections", 16, KIB, {NGINX: 0.97, SPLICE: 0.92, COPY: 0.92}),
    exchange("exchange-1k-128", "200 B / 1 KiB, 128 connections", 128, KIB, {NGINX: 0.97, SPLICE: 0.92, COPY: 0.92}),
    exchange("exchange-64k-16", "200 B / 64 KiB, 16 connections", 16, 64 * KIB, {NGINX: 0.80, SPLICE: 1.0}),
    exchange("exchange-1m-16", "200 B / 1 MiB, 16 connections", 16, MIB, {NGINX: 0.40, SPLICE: 0.80}),
    Scenario("open-16", "new connections, 16 at a time", "open", "connection", 16,
             bars={NGINX: 0.92, SPLICE: 0.88, COPY: 0.88}),
    Scenario("open-128", "new connections, 128 at a time", "open", "connection", 128,
             bars={NGINX: 0.92, SPLICE: 0.88, COPY: 0.88}),
    Scenario("open-fastopen", "new connections, 16, fast open to the backend", "open", "connection", 16,
             ("--fastopen", "1024"), FASTOPEN, bars={NGINX: 0.85}),
    Scenario("https-wrk", "HTTPS by wrk, 1 KiB, 32 connections", "wrk", "request", 32),
    Scenario("idle-4800", "4,800 idle tunnels", "idle", "tunnel", 4800, cost="memory"),
    Scenario("idle-9000", "9,000 idle tunnels", "idle", "tunnel", 9000, cost="memory", quick=False),
    *(spread(connections, workers) for workers in (2, 4) for connections in (16, 128, 1000)),
]
WARMING = Scenario("warming", "", "open", "connection", 64)
IDLE_USER_BAR, IDLE_KERNEL_BAR, SPREAD_BAR = 1024, 1.20, 0.25


@dataclass
class Setup:
    """What all runs share."""
    folder: str
    lg: str
    hello: str
    backend_port: int
    https_port: int
    ports: list
    proxy_core: int
    load_core: int
    workers: int
    nofile: int
    warm_ms: int
    time_ms: int
    buffers: object
    https: object = None

    def take_ports(self, count):
        taken, self.ports = self.ports[:count], self.ports[count:]
        return taken


def reason_to_skip(scenario, setup, proxy):
    """None when the proxy can take part."""
    if proxy.note:
        return proxy.note
    if scenario.port not in proxy.ports:
        return f"{proxy.name} without fast open: {getattr(proxy, 'fastopen_note', 'not supported')}"
    if scenario.mode == "wrk" and setup.https.note:
        return setup.https.note
    if scenario.mode == "idle" and setup.nofile < 2 * scenario.connections + 1000:
        return f"the limit of open files is {setup.nofile}"
    return None


def warm_ms(scenario, setup):
    """Many streams take longer until their buffers are filled."""
    return setup.warm_ms * (4 if scenario.buffers else 1)


def lg_command(scenario, setup, proxy):
    pids = [word for pid in proxy.pids() for word in ("--pid", str(pid))]
    mode = "idle" if scenario.mode == "spread" else scenario.mode
    return [setup.lg, mode, "--target", str(proxy.ports[scenario.port]), "--backend", str(setup.backend_port),
            "--hello", setup.hello, "--connections", str(scenario.connections), "--warm", str(warm_ms(scenario, setup)),
            "--time", str(setup.time_ms), *pids, *scenario.arguments]


def start_load(scenario, setup, proxy):
    return spawn(lg_command(scenario, setup, proxy), setup.load_core, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                 text=True)


def finish_load(process, scenario, setup, proxy):
    """What it printed."""
    try:
        out, errors = process.communicate(timeout=(warm_ms(scenario, setup) + setup.time_ms) / 1000 + 40)
    finally:
        stop(process)
    if process.returncode:
        what = errors.strip() or f"lg ended with {process.returncode}"
        raise Failure(f"{scenario.name} through {proxy.name}: {what}")
    return json.loads(out)


def run_measured(scenario, setup, proxy):
    return finish_load(start_load(scenario, setup, proxy), scenario, setup, proxy)


def read_line(process, wanted, what):
    line = process.stdout.readline().strip()  # bounded by lg's own alarm
    if line != wanted:
        raise Failure(f"{what}: {process.stderr.read().strip() or line or 'lg ended'}")


@contextlib.contextmanager
def idle_tunnels(scenario, setup, proxy):
    """Yields a dict and a function that opens all tunnels; lg's result is in the dict when they have ended."""
    result = {}
    what = f"{scenario.name} through {proxy.name}"
    process = spawn(lg_command(scenario, setup, proxy), setup.load_core, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def open_all():
        process.stdin.write("go\n")
        process.stdin.flush()
        read_line(process, "ready", what)

    try:
        read_line(process, "listening", what)
        yield result, open_all
        out, _ = process.communicate(timeout=30)
        result.update(json.loads(out))
    finally:
        stop(process)
    if result["errors"]:
        raise Failure(f"{what}: {result['errors']} tunnels broke while idle")


def run_idle(scenario, setup, proxy):
    """A proxy started afresh and warmed by short connections, so that its memory is what these tunnels made it take and
    not what it takes once in its life."""
    proxy.stop()
    proxy.start()
    run_measured(WARMING, setup, proxy)
    try:
        with idle_tunnels(scenario, setup, proxy) as (result, open_all):
            time.sleep(0.3)
            user, kernel = sum(map(pss_bytes, proxy.pids())), slab_bytes()[0]
            open_all()
            time.sleep(0.7)
            user, kernel = sum(map(pss_bytes, proxy.pids())) - user, slab_bytes()[0] - kernel
    finally:
        proxy.stop()
        proxy.start()
    return {"units": result["units"], "errors": 0, "user_bytes": user / scenario.connections,
            "kernel_bytes": kernel / scenario.connections}


def run_spread(scenario, setup, proxy):
    """How far the worker that is furthest from its fair share of the connections is from it, as a part of that."""
    usual = setup.workers
    try:
        setup.workers = scenario.workers
        proxy.stop()
        proxy.start()
        with idle_tunnels(scenario, setup, proxy) as (result, open_all):
            before = proxy.shares()
            open_all()
            shares = [now - then for now, then in zip(proxy.shares(), before)]
    finally:
        setup.workers = usual
        proxy.stop()
        proxy.start()
    fair = sum(shares) / scenario.workers
    if len(shares) != scenario.workers or not fair:
        raise Failure(f"{scenario.name} through {proxy.name}: the workers have {shares}")
    return {"units": result["units"], "errors": 0, "spread": max(abs(share - fair) for share in shares) / fair}


def wrk_microseconds(text, share):
    match = re.search(rf"^\s*{share}%\s+([\d.]+)(us|ms|s)$", text, re.M)
    return float(match[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[match[2]] if match else None


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_client(scenario, setup, proxy, command, seconds, pattern, backend=()):
    """A foreign program that makes the load and ends by itself: (what it printed, what `pattern` finds in it, what of
    a row follows from the clocks). `backend` are processes that count as load, too."""
    pids = proxy.pids()
    begun, before = time.monotonic(), sum(map(cpu_seconds, pids))
    load = sum(map(cpu_seconds, backend)) + children_cpu()
    process = spawn(command, setup.load_core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        out, _ = process.communicate(timeout=seconds + 30)
    finally:
        stop(process)
    found = re.search(pattern, out)
    if process.returncode or not found:
        raise Failure(f"{scenario.name} through {proxy.name}: {out.strip()[-500:]}")
    return out, found, {"seconds": time.monotonic() - begun, "bytes": 0, "errors": 0,
                        "proxy_cpu": sum(map(cpu_seconds, pids)) - before,
                        "load_cpu": sum(map(cpu_seconds, backend)) + children_cpu() - load}


def run_wrk(scenario, setup, proxy):
    seconds = max(1, round((setup.warm_ms + setup.time_ms) / 1000))
    path, *more = scenario.arguments or ("1k",)
    command = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}", "--latency", *more,
               f"https://{SITE_WRK}:{proxy.https_port}/{path}"]
    out, found, row = run_client(scenario, setup, proxy, command, seconds, r"(\d+) requests in ([\d.]+)s",
                                 setup.https.pids())
    if "Non-2xx" in out:
        raise Failure(f"{scenario.name} through {proxy.name}: {out.strip()[-500:]}")
    return {**row, "seconds": float(found[2]), "units": int(found[1]), "p50_us": wrk_microseconds(out, 50),
            "p99_us": wrk_microseconds(out, 99)}


def derive(row):
    """Adds what follows from the figures."""
    row["rate"] = row["units"] / row["seconds"]
    row["per_unit"] = row["proxy_cpu"] / row["units"]
    row["load_per_unit"] = row["load_cpu"] / row["units"]
    row["px_lg"] = row["proxy_cpu"] / row["load_cpu"] if row["load_cpu"] else 0
    row["proxy_busy"], row["load_busy"] = row["proxy_cpu"] / row["seconds"], row["load_cpu"] / row["seconds"]
    return row


def run(scenario, setup, proxy):
    """One run, as a row of figures."""
    setup.buffers.limit(scenario.buffers)
    runners = {"idle": run_idle, "spread": run_spread, "wrk": run_wrk}
    row = runners.get(scenario.mode, run_measured)(scenario, setup, proxy)
    if scenario.mode == "bulk":
        row["units"] = row["bytes"] / 1e9
    if not row["units"]:
        raise Failure(f"{scenario.name} through {proxy.name}: nothing came through")
    return row if scenario.mode in ("idle", "spread") else derive(row)


def build_programs(root, load):
    """Builds what is measured when there is a build folder of ours: (the load generator, our program)."""
    build = os.environ.get("BUILD", os.path.join(root, "build"))
    path = os.path.join(build, "bench", load)
    if os.path.exists(os.path.join(build, "build.ninja")) and os.access(build, os.W_OK):
        targets = [f"bench/{load}"] + ([] if os.environ.get("PENSTOCK") else ["penstock"])
        done = subprocess.run(["ninja", "-C", build, *targets], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise Failure(f"the build failed:\n{done.stdout[-2000:]}")
    if not os.path.exists(path):
        raise Failure(f"{path} is missing; build first: .ci/setup && meson setup build && meson compile -C build")
    return path, os.path.join(build, "penstock")
