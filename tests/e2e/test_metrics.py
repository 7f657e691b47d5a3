"""metrics_listen: what is counted is what the access log says, and nobody who asks can get in the way."""

import collections
import json
import os
import re
import signal
import socket
import subprocess
import time

from harness import (LIMIT, COPY_STRATEGIES, ask, bulk, client, echoes, equal, heavy, limit, load_backend, need,
                     open_session, read_all, set_reset, silent, wait_until)
import hello
from postgresql import SSL_REQUEST

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

FRONT = """
    [global]
    metrics_listen = 127.0.0.1:{metrics}
    {more}
    [listener front]
    listen = 127.0.0.1:{front}
    [sni front]
    app1.example.com = app
    [upstream app]
    server = 127.0.0.1:{app}
    """

MIB = 1 << 20


def front(t, app=None, more=""):
    return t.penstock(FRONT, app=app or t.backend("app").port, more=more)


# ---- asking ----

def request(p, text):
    """(status, headers, body) of what came back for the bytes *text*."""
    with client(p.port("metrics")) as sock:
        sock.sendall(text)
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert re.fullmatch(r"HTTP/1\.1 \d{3} [\w ]+", lines[0]), lines[0]
    return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), body.decode()


def get(p, path="/metrics"):
    status, headers, body = request(p, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    equal(headers["content-length"], str(len(body.encode())))
    return status, body


SERIES = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\d+(?:\.\d+)?)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """{(name, labels as sorted pairs): value}; anything that is not of the format fails."""
    found, types = {}, {}
    assert text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if line.startswith("#"):
            word, name, rest = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line).groups()
            if word == "TYPE":
                assert name not in types and rest in ("counter", "gauge", "histogram"), line
                types[name] = rest
            continue
        match = SERIES.fullmatch(line)
        assert match, line
        name = match[1]
        family = name if name in types else re.sub("_(bucket|sum|count)$", "", name)
        assert family in types, f"no TYPE before {line}"
        equal(name.endswith("_total"), types[family] == "counter", name)
        key = (name, tuple(sorted(LABEL.findall(match[2] or "")))) if 'le="' not in line else (line.split(" ")[0], ())
        assert key not in found, f"twice: {line}"
        found[key] = float(match[3])
    return found


class Scrape:
    def __init__(self, p):
        status, self.text = get(p)
        equal(status, 200)
        self.all = parse(self.text)

    def value(self, name, **labels):
        return self.all[("penstock_" + name, tuple(sorted(labels.items())))]

    def total(self, name, **labels):
        """Sum over the series of the family that have these labels."""
        return sum(value for (found, pairs), value in self.all.items()
                   if found == "penstock_" + name and set(labels.items()) <= set(pairs))

    def ends(self):
        """Counter of (listener, reason)."""
        return collections.Counter({(dict(pairs)["listener"], dict(pairs)["reason"]): int(value)
                                    for (name, pairs), value in self.all.items()
                                    if name == "penstock_ended_total" and value})

    def listeners(self):
        return [dict(pairs)["listener"] for name, pairs in self.all if name == "penstock_connections_total"]


def agrees(p):
    """When all is quiet the counters are what the access log adds up to. Returns the scrape."""
    p.wait_empty()
    wait_until("no refusal lingers", lambda: not p.status()["lingering"])
    scrape, lines = Scrape(p), p.lines()
    wait_until(lambda: f"a line for each of {scrape.total('connections_total')} connections",
               lambda: len(p.lines()) >= scrape.total("connections_total"))
    lines = p.lines()
    equal(scrape.ends(), collections.Counter((line["listener"], line["reason"]) for line in lines), "ends")
    for listener in scrape.listeners():
        own = [line for line in lines if line["listener"] == listener]
        equal(scrape.value("connections_total", listener=listener), len(own), listener)
        equal(scrape.value("connections_active", listener=listener), 0, listener)
        for direction in ("up", "down"):
            equal(scrape.value("bytes_total", listener=listener, direction=direction),
                  sum(line[f"bytes_{direction}"] for line in own), f"bytes {direction} of {listener}")
    equal(scrape.total("relay_bytes_total"), scrape.total("bytes_total"), "bytes by strategy")
    equal(scrape.value("connect_seconds_count"), sum(line["connect_ms"] is not None for line in lines), "connects")
    equal(scrape.total("worker_accepted_total"), len(lines), "accepted by the workers")
    equal(scrape.total("upstream_connections_active"), 0, "sessions on servers")
    equal(scrape.value("sessions"), 0)
    return scrape


# ---- every reason ----

REASONS = """
    [global]
    metrics_listen = 127.0.0.1:{metrics}
    [listener front]
    listen = 127.0.0.1:{front}
    deny = 127.0.0.2
    [listener hasty]
    listen = 127.0.0.1:{hasty}
    preread_timeout = 200ms
    [listener behind]
    listen = 127.0.0.1:{behind}
    accept_proxy_protocol = on
    set_real_ip_from = 127.0.0.1
    proxy_pass = app
    [listener idle]
    listen = 127.0.0.1:{idle}
    proxy_timeout = 200ms
    proxy_pass = mute
    [listener half]
    listen = 127.0.0.1:{half}
    half_close_timeout = 200ms
    proxy_pass = mute
    [listener aged]
    listen = 127.0.0.1:{aged}
    session_timeout = 200ms
    proxy_pass = mute
    [listener asked]
    listen = 127.0.0.1:{asked}
    starttls = postgresql
    proxy_pass = app
    [listener small]
    listen = 127.0.0.1:{small}
    max_conns = 1
    proxy_pass = app
    [route app]
    listener = front
    listener = hasty
    server_name = app1.example.com
    proxy_pass = app
    [route blocked]
    listener = front
    server_name = blocked.example
    mode = reject
    [route dead]
    listener = front
    server_name = dead.example
    proxy_pass = 127.0.0.1:{nobody}
    [route stuck]
    listener = front
    server_name = stuck.example
    proxy_pass = stuck
    [route down]
    listener = front
    server_name = down.example
    proxy_pass = down
    [route lost]
    listener = front
    server_name = lost.example
    proxy_pass = lost
    [route rude]
    listener = front
    server_name = rude.example
    proxy_pass = 127.0.0.1:{rude}
    [upstream app]
    server = 127.0.0.1:{app}
    [upstream mute]
    server = 127.0.0.1:{mute}
    [upstream stuck]
    server = 127.0.0.1:{stuck}
    proxy_connect_timeout = 200ms
    [upstream down]
    server = 127.0.0.1:{app} down
    [upstream lost]
    server = 127.0.0.1:{app}
    proxy_bind = 192.0.2.1
    """

# Counted, too, but not brought about here: see the tests of what does it.
ELSEWHERE = {"drained", "marked_down", "closed_by_admin", "internal", "handshake_failed", "handshake_timeout",
             "client_cert", "truncated", "upstream_handshake_failed", "upstream_verify_failed"}


def full_listener():
    """(what to keep, port) of a listener whose backlog is full: it takes no connection and refuses none."""
    listener, kept = socket.socket(), []
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    while True:
        kept.append(socket.socket())
        kept[-1].settimeout(0.3)
        try:
            kept[-1].connect(listener.getsockname())
        except TimeoutError:
            return (listener, kept), listener.getsockname()[1]


def rude(conn):
    conn.recv()
    set_reset(conn.sock)
    conn.sock.close()


def says(listener, data, source=None):
    """Sends *data* and reads until the end, be it a reset."""
    def bring_about(p):
        with client(p.port(listener), source=source) as sock:
            sock.sendall(data)
            try:
                read_all(sock)
            except ConnectionResetError:
                pass
    return bring_about


def named(name):
    return says("front", hello.hello(name))


def is_served(p):
    equal(ask(p.port(), hello.hello()), "app")


def goes_away(p):
    client(p.port()).close()


def half_closes(p):
    with client(p.port("half")) as sock:
        sock.sendall(hello.hello())
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)


def resets(p):
    sock = open_session(p.port())
    set_reset(sock)
    sock.close()


def is_one_too_many(p):
    with open_session(p.port("small")):
        says("small", hello.hello())(p)


CAUSES = {
    "ok": is_served,
    "no_match": named("other.example"),
    "no_sni": named(None),
    "rejected": named("blocked.example"),
    "malformed": says("front", hello.SSLV2_HELLO),
    "plaintext": says("front", hello.HTTP_REQUEST),
    "hello_timeout": says("hasty", b""),
    "hello_too_long": says("front", hello.records(b"\x01\xff\xff\xff" + hello.handshake(hello.body())[4:])),
    "client_gone": goes_away,
    "proxy_header": says("behind", hello.hello()),
    "connect_failed": named("dead.example"),
    "connect_timeout": named("stuck.example"),
    "no_server": named("down.example"),
    "starttls_refused": says("asked", SSL_REQUEST + b"more"),
    "idle_timeout": says("idle", hello.hello()),
    "half_close_timeout": half_closes,
    "session_timeout": says("aged", hello.hello()),
    "denied": says("front", hello.hello(), "127.0.0.2"),
    "limited": is_one_too_many,
    "overload": named("lost.example"),
    "upstream_reset": named("rude.example"),
    "client_reset": resets,
}


@limit(60)
def test_every_reason_is_counted_as_it_is_logged(t):
    kept, stuck = full_listener()
    p = t.penstock(REASONS, app=t.backend("app").port, mute=t.backend(silent).port, rude=t.backend(rude).port,
                   stuck=stuck)
    known = {dict(pairs)["reason"] for name, pairs in Scrape(p).all if name == "penstock_ended_total"}
    equal(known - ELSEWHERE, set(CAUSES), "reasons")
    for reason, bring_about in CAUSES.items():
        before = Scrape(p).ends()
        bring_about(p)
        lines = [p.take()] + ([p.take()] if reason == "limited" else [])
        assert reason in [line["reason"] for line in lines], f"{reason}: {lines}"
        wanted = collections.Counter((line["listener"], line["reason"]) for line in lines)
        wait_until(lambda: f"{wanted} counted, so far {Scrape(p).ends() - before}",
                   lambda: Scrape(p).ends() - before == wanted)
    agrees(p)
    del kept


def test_drained_sessions_are_counted_and_readyz_says_503_meanwhile(t):
    """The idle session goes halfway, the busy one stays to the end, and with it the metrics."""
    p = front(t, more="drain_timeout = 6s")
    equal((get(p, "/readyz")[0], get(p, "/healthz")), (200, (200, "ok\n")))
    with open_session(p.port(), tag="app"), open_session(p.port(), tag="app") as busy:
        p.signal(signal.SIGQUIT)
        wait_until("503", lambda: get(p, "/readyz")[0] == 503)
        equal((get(p, "/healthz")[0], Scrape(p).value("draining")), (200, 1))

        def idle_is_gone():
            echoes(busy)
            return Scrape(p).ends() == {("front", "drained"): 1}
        wait_until("the idle one is drained", idle_is_gone)
        equal(Scrape(p).value("connections_active", listener="front"), 1)
    equal(p.wait(2 * LIMIT), 0)


# ---- sums ----

@heavy
@limit(90)
def test_counters_add_up_to_the_access_log_under_every_strategy(t):
    """Sessions that end well, and others that are cut in the middle of it."""
    for strategy in COPY_STRATEGIES:
        backend = load_backend(t)
        p = front(t, backend.port, f"zero_copy = {strategy}")
        each = t.scale(4 * MIB)
        whole = bulk(t, p.port(), connections=16, up=each, down=each)
        cut = bulk(t, p.port(), connections=16, up=1024 * MIB, down=1024 * MIB)
        whole.result()
        wait_until("bytes move", lambda: Scrape(p).total("bytes_total") > 40 * each)
        wait_until("the others have ended", lambda: Scrape(p).value("connections_active", listener="front") == 16)
        cut.kill()
        scrape = agrees(p)
        used = {strategy: scrape.value("relay_bytes_total", strategy=strategy)
                for strategy in ("copy", "splice", "uring_splice")}
        meant = "splice" if strategy == "auto" else strategy
        assert used[meant] > 16 * each, used
        equal([name for name in used if name not in ("copy", meant) and used[name]], [], strategy)
        p.stop()
        backend.kill()


@limit(60)
def test_counters_never_go_back_and_always_add_up_while_connections_come_and_go(t):
    p = front(t)
    storm = bulk(t, p.port(), connections=8, up=64 * MIB, down=64 * MIB)
    last, scrapes = {}, 0
    for name in ["app1.example.com", "other.example", None] * t.scale(60):
        ask(p.port(), hello.hello(name))
        scrape = Scrape(p)
        for key, value in scrape.all.items():
            if key[0].endswith(("_total", "_count")) or "_bucket" in key[0]:
                assert value >= last.get(key, 0), f"{key} went from {last[key]} to {value}"
        last, scrapes = scrape.all, scrapes + 1
        equal(scrape.value("connections_total", listener="front"),
              scrape.value("connections_active", listener="front") + scrape.total("ended_total"), "connections")
    storm.kill()
    agrees(p)


def test_servers_are_up_until_they_fail(t):
    p = t.penstock("""
        [global]
        metrics_listen = 127.0.0.1:{metrics}
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = app
        [upstream app]
        server = 127.0.0.1:{app}
        server = 127.0.0.1:{dead} fail_timeout=1h
        server = 127.0.0.1:{idle} down
        """, app=t.backend("app").port)

    def of(name):
        scrape = Scrape(p)
        return [scrape.value(f"upstream_{name}", upstream="app", server=f"127.0.0.1:{p.port(port)}")
                for port in ("app", "dead", "idle")]
    equal(of("up"), [1, 1, 0])
    held = [open_session(p.port(), tag="app") for _ in range(3)]
    equal(of("up"), [1, 0, 0])
    equal(of("connections_active"), [3, 0, 0])
    equal(of("failed_total"), [0, 1, 0])
    equal(of("chosen_total"), [3, 1, 0])
    for sock in held:
        sock.close()
    agrees(p)


def test_the_build_is_the_one_that_the_version_tells(t):
    out = t.run("-V")[1]
    library = re.search(r"(?m)^TLS library: (.*); assembly: ", out)[1]
    assert f',tls="{library}"}} 1\n' in get(front(t))[1], out


def test_counters_survive_reloads_and_the_worker_that_counted(t):
    p = front(t, more="workers = 2")
    for _ in range(40):  # so that either worker has some
        is_served(p)
    before = agrees(p)
    assert all(before.value("worker_accepted_total", worker=worker) for worker in "01"), before.text
    with open(p.config, encoding="utf-8") as file:
        good = file.read()
    for config, wanted in ((good.replace("workers = 2", "workers = 1"), {"ok": 1, "failed": 0}),
                           (good + "nonsense\n", {"ok": 1, "failed": 1})):
        with open(p.config, "w", encoding="utf-8") as file:
            file.write(config)
        p.signal(signal.SIGHUP)
        wait_until(f"reloads {wanted}", lambda: all(Scrape(p).value("reload_total", result=result) == count
                                                    for result, count in wanted.items()))
        equal(Scrape(p).value("config_generation"), 2)
    wait_until("one worker is left", lambda: Scrape(p).text.count("penstock_worker_sessions{") == 1)
    after = Scrape(p)
    for key, value in before.all.items():
        if key[0].endswith(("_total", "_count")) and "worker" not in dict(key[1]):
            assert after.all[key] >= value, f"{key} went from {value} to {after.all[key]}"
    is_served(p)
    p.wait_empty()
    equal(Scrape(p).value("connections_total", listener="front"), 41)
    equal(Scrape(p).ends(), {("front", "ok"): 41})


def test_promtool_finds_nothing_to_mend(t):
    need("promtool")
    p = front(t)
    ask(p.port(), hello.hello())
    done = subprocess.run(["promtool", "check", "metrics"], input=get(p)[1].encode(), capture_output=True, check=False)
    equal((done.returncode, done.stdout + done.stderr), (0, b""))


def test_every_metric_of_the_dashboard_is_exposed(t):
    with open(os.path.join(ROOT, "config/grafana/penstock.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    p = front(t)
    exposed = set(re.findall(r"(?m)^([a-z_]+)[ {]", get(p)[1]))
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    texts += [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]
    texts += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    named_ones = {name for text in texts for name in re.findall(r"\b(?:penstock|process)_[a-z_]+", text)}
    equal(named_ones - exposed, set(), "shown by the dashboard, but not exposed")
    assert len(texts) > 30 and len(named_ones) > 25, (len(texts), len(named_ones))
    reasons = {reason for text in texts for group in re.findall(r'reason=~"([^"]+)"', text)
               for reason in group.split("|")}
    assert reasons and reasons <= set(CAUSES) | ELSEWHERE, reasons


# ---- whoever asks ----

def test_what_is_not_understood_is_told(t):
    p = front(t)
    for asked, wanted in ((b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
                          (b"GET http://x/healthz HTTP/1.0\r\n\r\n", 200),
                          (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                          (b"GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
                          (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 405),
                          (b"GET /metrics HTTP/1.1\r\n\r\n", 400), (b"nonsense\r\n", 400),
                          (hello.hello(), 400), (b"GET /" + b"x" * 5000, 431)):
        status, headers, _ = request(p, asked)
        equal((status, headers["connection"]), (wanted, "close"), asked[:40])
    status, headers, body = request(p, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    equal((status, body, headers["content-type"]), (200, "", "text/plain; version=0.0.4; charset=utf-8"))
    assert int(headers["content-length"]) > 1000, headers
    is_served(p)


@limit(60)
def test_a_hundred_stuck_scrapers_stop_neither_traffic_nor_other_scrapes(t):
    p = front(t)
    held = open_session(p.port(), tag="app")
    before, stuck = p.sockets(), []
    for i in range(100):
        stuck.append(client(p.port("metrics"), rcvbuf=4096))
        if i % 3:
            stuck[-1].sendall((b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")[i % 3 - 1])
        if i % 10 == 0:
            begun = time.monotonic()
            equal(get(p, "/healthz")[0], 200)
            Scrape(p)
            assert time.monotonic() - begun < 4, "a scrape waited for the stuck ones"
            echoes(held)
            is_served(p)
    # Sooner than any of them is let go; sessions that have just ended may hold their sockets a moment longer.
    wait_until(lambda: f"at most 16 are held: {p.sockets() - before}", lambda: p.sockets() <= before + 16 + 4, 2)
    wait_until("their time is up", lambda: p.sockets() <= before, 3 * LIMIT)
    echoes(held)
    for sock in stuck:
        sock.close()
    Scrape(p)


def test_a_port_that_is_taken_is_an_error_that_leaves_nothing_behind(t):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        p = t.penstock(FRONT, app=1, more=f"pid_file = {t.path('pid')}", metrics=taken.getsockname()[1], ready=False)
        equal(p.wait(), 1)
    assert re.search(r"\.ini:\d+: \[global\] metrics_listen = 127\.0\.0\.1:\d+: .*in use", p.err()), p.err()
    assert not os.path.exists(t.path("pid"))
