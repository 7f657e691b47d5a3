"""Reload: the new file serves whoever comes, whoever is there goes on whole, and a bad file changes nothing."""

import collections
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

from harness import (LIMIT, SANITIZED, SLOWER, Load, Skip, all_right, answer, ask, bulk, client, complete, echoes,
                     equal, heavy, is_open, limit, load_backend, open_session, read_all, read_text, wait_until)
import hello


def config(more_global="", listener="", upstream="server = 127.0.0.1:{a}", name="front", more=""):
    return f"""
[global]
admin_socket = {{dir}}/ctl
metrics_listen = 127.0.0.1:{{metrics}}
{more_global}
[listener {name}]
listen = 127.0.0.1:{{front}}
on_no_match = reject
{listener}
[sni {name}]
app1.example.com = app
[upstream app]
{upstream}
{more}
"""


def start(t, text=None, **given):
    """With the backend a, where no other is given for it."""
    if "a" not in given:
        given["a"] = t.backend("a").port
    return t.penstock(text or config(), **given)


def write(p, text):
    """As its next configuration, whole at once."""
    with open(p.config + ".new", "w", encoding="utf-8") as file:
        file.write(complete(text.format_map(p.ports), p.access_path))
    os.replace(p.config + ".new", p.config)


def ctl(t, *words):
    return t.run("ctl", "-s", t.path("ctl"), *words)


def reload(t, p, text):
    """Its generation. What it was warned of is in p.warned."""
    write(p, text)
    code, out, p.warned = ctl(t, "reload")
    equal(code, 0, p.warned)
    return int(re.fullmatch(r"reloaded, generation (\d+)\n", out)[1])


def ask_ctl(t):
    """A `penstock ctl reload` that runs beside the test."""
    return subprocess.Popen([t.binary, "ctl", "-s", t.path("ctl"), "reload"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def status(t):
    return json.loads(ctl(t, "status", "--json")[1])


def metric(p, series):
    with client(p.port("metrics")) as sock:
        sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = read_all(sock).decode()
    return int(re.search(rf"(?m)^{re.escape('penstock_' + series)} (\d+)$", text)[1])


def place(p, line):
    """FILE:LINE of a line of its configuration as it stands now."""
    return f"{p.config}:{read_text(p.config).splitlines().index(line.format_map(p.ports)) + 1}"


def listening(port):
    """The inodes of the sockets that listen on a TCP port of 127.0.0.1."""
    rows = [line.split() for line in read_text("/proc/net/tcp").splitlines()[1:]]
    return {int(row[9]) for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "0A"}


def workers(p):
    return [name for name in p.thread_names() if name.startswith("worker-")]


def is_closed(sock):
    """By the other side, in whatever manner."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def churn(t, p, **options):
    load = Load(t, "churn", p.port(), first=hello.hello(), up=1500, down=3000, **options)
    load.said("churning")
    return load


def whole(load):
    """Ends a churn; how many clients there were. Every one of them was served, to its last byte."""
    load.go()
    result = load.result()
    all_right(result, result["ok"])
    return result["ok"]


# ---- files that are refused ----

BAD = {
    "syntax": ("[route half", "[route half", r"ends with \]"),
    "unknown key": ("[route r]\nserver_nam = x.example", "server_nam = x.example", "did you mean"),
    "unknown upstream": ("[route r]\nproxy_pass = nowhere", "proxy_pass = nowhere", "nowhere"),
    "unknown host": ("[upstream u]\nserver = no-such-host.invalid:443", "server = no-such-host.invalid:443",
                     "no-such-host.invalid"),
    "port taken": ("[listener b]\nlisten = 127.0.0.1:{taken}\nproxy_pass = app", "listen = 127.0.0.1:{taken}",
                   "in use"),
    "log": ("[log l]\npath = {dir}/none/l.log\n[route r]\nproxy_pass = app\nserver_name = x.example\naccess_log = l",
            "path = {dir}/none/l.log", "No such file"),
    "include": ("[global]\ninclude = {dir}/none.ini", "include = {dir}/none.ini", "no such file"),
}


def be_refused(t, p, kind):
    more, line, says = BAD[kind]
    text = config(more=more)
    if kind == "include":
        text = config(more_global=more.partition("\n")[2])
    write(p, text)
    code, out, err = ctl(t, "reload")
    equal((code, out), (1, ""), f"{kind}: {err}")
    told = [row for row in err.splitlines() if re.search(says, row)]
    if kind != "log":
        assert told and told[0].startswith(place(p, line) + ": "), f"{kind} at {place(p, line)}: {err}"
    assert told, err
    wait_until(lambda: f"the log tells of {told[0]}: {p.err()}", lambda: told[0] in p.err())


def test_a_file_that_is_refused_is_told_and_changes_nothing(t):
    p = start(t)
    with socket.socket() as taken, open_session(p.port(), tag="a") as session:
        taken.bind(("127.0.0.1", p.ports["taken"]))
        taken.listen()
        before, sockets = p.fds(), listening(p.port())
        for kind in BAD:
            be_refused(t, p, kind)
            equal(ask(p.port(), hello.hello()), "a", kind)
            echoes(session)
        equal(metric(p, "config_generation"), 1)
        equal(metric(p, 'reload_total{result="failed"}'), len(BAD))
        equal(listening(p.port()), sockets)
        wait_until(lambda: f"no fd more: {before} {p.fds()}", lambda: len(p.fds()) == len(before))
    equal(reload(t, p, config()), 2)


def test_the_file_is_missing(t):
    p = start(t)
    os.rename(p.config, t.path("away.ini"))
    code, _, err = ctl(t, "reload")
    equal(code, 1)
    assert f"{p.config}: cannot be read: No such file" in err, err
    equal(ask(p.port(), hello.hello()), "a")


# ---- load ----

def variant(number):
    """Configurations that differ in whatever may, all of which serve the same."""
    more = "\n".join(f"[route r{i}]\nserver_name = n{i}.example .v{number % 7}n{i}.example\nproxy_pass = app"
                     for i in range(200))
    if number % 2:
        more += "\n[listener second]\nlisten = 127.0.0.1:{second}\nproxy_pass = app"
    if number % 3 == 0:
        more += "\n[log other]\npath = {dir}/other.log\n[route late]\nserver_name = late.example\nproxy_pass = app" \
                "\naccess_log = other"
    return config(listener=f"backlog = {1024 + number % 5}", more=more.replace(" .v", "\nserver_name = .v"),
                  upstream="server = 127.0.0.1:{a} max_fails=0\n" + ("balance = least_conn" if number % 4 else ""))


def settled(p, sessions):
    """(fds, RSS) once only these sessions are there and old generations are gone."""
    p.wait_status(sessions=sessions)
    last = collections.deque(maxlen=60)

    def is_flat():
        last.append(len(p.fds()))
        time.sleep(0.02)
        return len(last) == 60 and len(set(last)) == 1
    wait_until(lambda: f"fds come to rest: {last}", is_flat, 3 * LIMIT)
    return last[0], p.rss()


@heavy
@limit(150)
def test_reloads_under_load_harm_nobody(t):
    """300 of them, and bad files in between, while a thousand sessions idle and others come and go."""
    backend = load_backend(t)
    p = start(t, variant(0), a=backend.port)
    idle, generation, refused = t.scale(1000), 1, 0
    held = bulk(t, p.port(), connections=idle, up=4000, down=1000, hold=True)
    held.said("held", 30 * SLOWER)
    served, marks, number = 0, [], 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", p.ports["taken"]))
        taken.listen()
        for count in (24, t.scale(276)):
            load = churn(t, p, parallel=24)
            for _ in range(count):
                number += 1
                generation += 1
                equal(reload(t, p, variant(number)), generation)
                if number % 10 == 0:
                    be_refused(t, p, list(BAD)[refused % len(BAD)])
                    refused += 1
            served += whole(load)
            assert number % 6 == 0 or SANITIZED, number
            generation += 1
            equal(reload(t, p, variant(0)), generation)
            marks.append(settled(p, idle))
    equal(metric(p, "config_generation"), generation)
    equal(metric(p, 'reload_total{result="ok"}'), generation - 1)
    equal(metric(p, 'reload_total{result="failed"}'), refused)
    held.go()
    all_right(held.result(), idle)
    p.wait_empty()
    equal(marks[1][0], marks[0][0], "fds at the end and after a few")
    if not SANITIZED:
        assert marks[1][1] - marks[0][1] < 8 << 20, f"memory grew: {marks}"
    lines = p.take(served + idle)
    equal(len({line["id"] for line in lines}), served + idle, "different ids")
    equal({line["reason"] for line in lines}, {"ok"})
    assert read_text(t.path("other.log")) == ""


@heavy
@limit(60)
def test_workers_come_and_go_under_load(t):
    backend = load_backend(t)
    p = start(t, config("workers = 2"), a=backend.port)
    held = bulk(t, p.port(), connections=40, up=4000, down=1000, hold=True)
    held.said("held")
    load = churn(t, p)
    for count in (4, 1, 3, 1, 2):
        reload(t, p, config(f"workers = {count}"))
        assert len(workers(p)) >= count, workers(p)
        more = churn(t, p, parallel=8)
        equal(status(t)["workers"], count)
        whole(more)
    served = whole(load)
    held.go()
    all_right(held.result(), 40)
    wait_until(lambda: f"only two are left: {workers(p)}", lambda: len(workers(p)) == 2)
    p.wait_empty()
    lines = wait_until("a line for each", lambda: len(p.lines()) > served + 40 and p.lines())
    equal(len({line["id"] for line in lines}), len(lines), "different ids")
    equal({line["reason"] for line in lines}, {"ok"})


def test_a_worker_that_left_stays_as_long_as_its_sessions(t):
    p = start(t, config("workers = 3"))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(open_session(p.port(), tag="a")) for _ in range(24)]
        on = collections.Counter(row["id"] for row in json.loads(ctl(t, "sessions", "--json")[1]))
        equal(len(on), 24, "sessions listed")
        reload(t, p, config("workers = 1"))
        for sock in held:
            echoes(sock)
        equal(len(json.loads(ctl(t, "sessions", "--json")[1])), 24)
        sockets = listening(p.port())
        equal(len(sockets), 3, "sockets that listen")
        for _ in range(12):  # on each of them: one takes what three did
            equal(ask(p.port(), hello.hello()), "a")
    wait_until(lambda: f"one is left: {workers(p)}", lambda: len(workers(p)) == 1)
    equal(ask(p.port(), hello.hello()), "a")
    equal(listening(p.port()), sockets)


# ---- what is dropped ----

def test_session_of_a_dropped_upstream_goes_on_whole(t):
    backend, other = load_backend(t), t.backend("b")
    p = start(t, a=backend.port, b=other.port)
    held = bulk(t, p.port(), connections=20, up=1 << 20, down=1 << 20, hold=True)
    held.said("held", 3 * LIMIT)
    reload(t, p, config(upstream="server = 127.0.0.1:{b}").replace("app", "next").replace("next1", "app1"))
    equal(ask(p.port(), hello.hello()), "b")
    held.go()
    all_right(held.result(), 20)
    equal({line["upstream"] for line in p.take(21)}, {"app", "next"})


def test_a_dropped_route_is_not_for_those_who_come(t):
    p = start(t)
    with open_session(p.port(), tag="a") as session, client(p.port()) as early:
        early.sendall(hello.hello()[:50])
        p.wait_status(hellos_pending=1)
        reload(t, p, config().replace("app1.example.com", "app2.example.com"))
        equal(ask(p.port(), hello.hello()), "alert 112")
        equal(ask(p.port(), hello.hello("app2.example.com")), "a")
        echoes(session)
        early.sendall(hello.hello()[50:])  # it came under the old one
        assert answer(early, hello.hello()) in ("a", "alert 112")


SECOND = "[listener second]\nlisten = 127.0.0.1:{second}\nproxy_pass = app"


def test_sessions_of_a_dropped_listener_are_drained(t):
    """Idle ones in the second half of drain_timeout, and nobody else's."""
    p = start(t, config(more=SECOND))
    with contextlib.ExitStack() as stack:
        gone = [stack.enter_context(open_session(p.port("second"), tag="a")) for _ in range(10)]
        stays = stack.enter_context(open_session(p.port(), tag="a"))
        begun = time.monotonic()
        reload(t, p, config("drain_timeout = 3s"))
        assert not is_open(p.port("second"))
        equal(listening(p.port("second")), set())
        if time.monotonic() - begun < 1:
            for sock in gone:
                echoes(sock)
        lines = p.take(10)
        took = time.monotonic() - begun
        equal({(line["listener"], line["reason"]) for line in lines}, {("second", "drained")})
        assert took >= 1.5, took
        for sock in gone:
            assert is_closed(sock)
        echoes(stays)
    equal(p.take()["reason"], "ok")


def test_a_listener_that_comes_back_in_time_keeps_its_sessions(t):
    """However often; and the one that does not come back loses them."""
    third = SECOND.replace("second", "third")
    p = start(t, config(more=SECOND + "\n" + third))
    drain = 4 * SLOWER
    with open_session(p.port("second"), tag="a") as back, open_session(p.port("third"), tag="a") as gone:
        begun = time.monotonic()
        for more in ("", SECOND, "", SECOND):
            reload(t, p, config(f"drain_timeout = {drain}s", more=more))
        if time.monotonic() - begun > drain / 2:
            raise Skip("too slow a machine: the session may rightly have been drained")
        equal(ask(p.port("second"), hello.hello()), "a")
        assert is_closed(gone)
        wait_until("what would have been its end", lambda: time.monotonic() > begun + drain + 1, drain + 2 + LIMIT)
        echoes(back)
    equal(sorted(line["reason"] for line in p.take(3)), ["drained", "ok", "ok"])


# ---- what is kept ----

def test_a_kept_address_keeps_its_sockets_and_who_waits_there(t):
    """The listener is renamed, has another backlog and another route; who queued meanwhile gets the new one."""
    few = "workers = 1\nmax_connections = 4"
    p = start(t, config(few), b=t.backend("b").port)
    sockets = listening(p.port())
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(open_session(p.port(), tag="a")) for _ in range(4)]
        wait_until("accepting pauses", lambda: "accepting pauses" in p.err())
        queued = [stack.enter_context(client(p.port())) for _ in range(5)]
        for sock in queued:
            sock.sendall(hello.hello())
        for text in (config(few, name="edge", upstream="server = 127.0.0.1:{b}"),
                     config(few, name="edge", upstream="server = 127.0.0.1:{b}",
                            listener="backlog = 100\nso_keepalive = off")):
            reload(t, p, text)
            equal(listening(p.port()), sockets)
        for sock in held:
            echoes(sock)
            sock.close()
        for sock in queued:
            equal(answer(sock, hello.hello()), "b")
            sock.close()
    lines = p.take(9)
    equal(collections.Counter((line["listener"], line["reason"]) for line in lines),
          {("front", "ok"): 4, ("edge", "ok"): 5})


def test_each_session_logs_where_it_began_to(t):
    """The old file is closed after the last line of the last such session."""
    def logging(name):
        return config(listener=f"access_log = {name}", more=f"[log {name}]\npath = {{dir}}/{name}.log\nformat = json")
    p = start(t, logging("old"))
    with open_session(p.port(), tag="a"):
        reload(t, p, logging("new"))
        with open_session(p.port(), tag="a"):
            pass
        wait_until("a line", lambda: read_text(t.path("new.log")).count("\n") == 1)
        equal(read_text(t.path("old.log")), "")
        assert t.path("old.log") in p.fds().values()
    wait_until("a line", lambda: read_text(t.path("old.log")).count("\n") == 1)
    wait_until(lambda: f"the old file is closed: {p.fds()}", lambda: t.path("old.log") not in p.fds().values())
    equal(ask(p.port(), hello.hello()), "a")
    wait_until("a line", lambda: read_text(t.path("new.log")).count("\n") == 2)


def test_keys_that_need_a_restart_keep_their_values(t):
    p = start(t, config("max_connections = 100"))
    write(p, config("max_connections = 50\npipe_pool = 10").replace("{dir}/ctl", "{dir}/other"))
    code, out, err = ctl(t, "reload")
    equal((code, out), (0, "reloaded, generation 2\n"), err)
    for line in ("max_connections = 50", "pipe_pool = 10", "admin_socket = {dir}/other"):
        told = [row for row in err.splitlines() if row.startswith(place(p, line) + ": warning: ")]
        assert len(told) == 1 and "until a restart" in told[0], f"{line}: {err}"
        wait_until(lambda row=told[0]: f"the log tells of {row}: {p.err()}", lambda row=told[0]: row in p.err())
    equal(status(t)["max_connections"], 100)
    assert not os.path.exists(t.path("other"))


def test_counts_and_limits_hold_across_a_reload(t):
    """max_conns of listener and server count the sessions of the configurations before, too."""
    for where, refusal in ((("max_conns = 2", ""), "limited"), (("", " max_conns=2"), "no_server")):
        def limited(number, where=where):
            return config(f"drain_timeout = {number}m", listener=where[0],
                          upstream="server = 127.0.0.1:{a}" + where[1])
        p = start(t, limited(1))
        with open_session(p.port(), tag="a") as first, open_session(p.port(), tag="a") as second:
            reload(t, p, limited(2))
            assert ask(p.port(), hello.hello()) != "a", refusal
            equal(p.take()["reason"], refusal)
            first.close()
            equal(p.take()["reason"], "ok")
            equal(ask(p.port(), hello.hello()), "a")
            equal(p.take()["reason"], "ok")
            echoes(second)
            equal(metric(p, 'connections_total{listener="front"}'), 4)
            equal(metric(p, 'ended_total{listener="front",reason="ok"}'), 2)
        p.stop()


def test_a_server_that_is_down_by_order_stays_down(t):
    upstream = "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{b}"
    p = start(t, config(upstream=upstream), b=t.backend("b").port)
    equal(ctl(t, "server", "app", f"127.0.0.1:{p.port('a')}", "down")[0], 0)
    for text in (config("drain_timeout = 9s", upstream=upstream), config(upstream=upstream + " weight=2")):
        reload(t, p, text)
        equal({ask(p.port(), hello.hello()) for _ in range(6)}, {"b"})
    equal(ctl(t, "server", "app", f"127.0.0.1:{p.port('a')}", "up")[0], 0)
    wait_until("both serve", lambda: ask(p.port(), hello.hello()) == "a")


def test_a_server_that_failed_stays_ejected(t):
    upstream = "server = 127.0.0.1:{dead} max_fails=1 fail_timeout=10m\nserver = 127.0.0.1:{a}"
    p = start(t, config(upstream=upstream))
    equal({ask(p.port(), hello.hello()) for _ in range(4)}, {"a"})
    t.backend("dead", ("127.0.0.1", p.port("dead")))
    reload(t, p, config("drain_timeout = 9s", upstream=upstream))
    equal({ask(p.port(), hello.hello()) for _ in range(6)}, {"a"})


# ---- one after the other ----

class Hold:
    """The next reload finds a FIFO for its file and hangs there until give()."""

    def __init__(self, p):
        self.p = p
        os.remove(p.config)
        os.mkfifo(p.config)

    def begun(self):
        """Waits until the loader has it open."""
        def opened():
            with contextlib.suppress(OSError):
                self.fd = os.open(self.p.config, os.O_WRONLY | os.O_NONBLOCK)
                return True
            return False
        wait_until("the loader opens the file", opened)
        os.set_blocking(self.fd, True)
        return self

    def give(self, text):
        with open(self.fd, "w", encoding="utf-8") as file:
            file.write(complete(text.format_map(self.p.ports), self.p.access_path))


def test_each_that_asks_hears_of_its_own_reload(t):
    p = start(t)
    hold = Hold(p)
    first = ask_ctl(t)
    hold.begun()
    write(p, config(more=BAD["unknown key"][0]))
    others = [ask_ctl(t) for _ in range(3)]
    wait_until("all were heard", lambda: p.err().count("penstock: ctl: reload ") == 4)
    equal(status(t)["generation"], 1)
    hold.give(config())
    equal(first.communicate(timeout=LIMIT), ("reloaded, generation 2\n", ""))
    for other in others:
        out, err = other.communicate(timeout=LIMIT)
        equal((other.returncode, out), (1, ""), err)
        assert "server_nam" in err, err
    equal(metric(p, 'reload_total{result="failed"}'), 1)


def test_hups_at_once_are_one_reload_more(t):
    """And it reads the file as it is by then."""
    p = start(t, b=t.backend("b").port)
    hold = Hold(p)
    p.signal(signal.SIGHUP)
    hold.begun()
    write(p, config(upstream="server = 127.0.0.1:{b}"))
    for _ in range(100):
        p.signal(signal.SIGHUP)
    p.status()  # USR1 comes behind them
    hold.give(config())
    wait_until("the second is over", lambda: metric(p, "config_generation") == 3)
    equal(ask(p.port(), hello.hello()), "b")
    wait_until("the log tells of both", lambda: p.err().count("penstock: reloaded: ") >= 2)
    equal(p.err().count("penstock: reloaded: "), 2)


def test_hup_while_draining_is_refused_with_a_line(t):
    p = start(t)
    with open_session(p.port(), tag="a") as session:
        p.signal(signal.SIGQUIT)
        wait_until("it drains", lambda: "penstock: draining" in p.err())
        p.signal(signal.SIGHUP)
        wait_until("it says so", lambda: "not reloaded" in p.err())
        code, _, err = ctl(t, "reload")
        equal(code, 1)
        assert "on the way to its end" in err, err
        echoes(session)
    equal(p.wait(), 0)
    assert "penstock: reloaded" not in p.err()


def test_term_does_not_wait_for_a_reload_that_hangs(t):
    for number, seconds in ((signal.SIGTERM, 1), (signal.SIGQUIT, 2)):
        p = start(t, config("pid_file = {dir}/pid"))
        hold = Hold(p)
        asked = ask_ctl(t)
        hold.begun()
        begun = time.monotonic()
        p.signal(number)
        equal(p.wait(), 0)
        took = time.monotonic() - begun
        assert took < (seconds + 0.5) * SLOWER, f"{number} took {took:.2f} s"
        asked.communicate(timeout=LIMIT)
        equal(asked.returncode, 1)
        assert not os.path.exists(t.path("pid")) and not os.path.exists(t.path("ctl"))
        os.close(hold.fd)


def test_term_in_the_midst_of_reloads_ends_it_well(t):
    for number in range(8):
        p = start(t, config("workers = 3", more=SECOND), a=1)
        with client(p.port("second")):
            for count in (1, 4, 2)[:1 + number % 3]:
                write(p, config(f"workers = {count}", more=SECOND if count == 4 else ""))
                p.signal(signal.SIGHUP)
                wait_until("it began", lambda p=p: "penstock: reloading" in p.err())
        p.stop(signal.SIGTERM if number < 6 else signal.SIGQUIT)


def test_a_reload_that_comes_too_late_for_a_drain_changes_nothing(t):
    p = start(t)
    hold = Hold(p)
    with open_session(p.port(), tag="a") as session:
        asked = ask_ctl(t)
        hold.begun()
        p.signal(signal.SIGQUIT)
        wait_until("the port is closed", lambda: not is_open(p.port()))
        hold.give(config())
        out, err = asked.communicate(timeout=LIMIT)
        equal((asked.returncode, out), (1, ""))
        assert "it drains or stops" in err, err
        assert not is_open(p.port())
        echoes(session)
    equal(p.wait(), 0)
