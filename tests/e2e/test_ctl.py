"""penstock ctl and the socket behind it: who may ask, what is answered, and that asking costs the traffic nothing."""

import contextlib
import fcntl
import json
import os
import pwd
import signal
import socket
import stat
import struct
import subprocess
import termios
import time

from harness import (LIMIT, SLOWER, Skip, ask, client, echoes, equal, need, open_session, unix_client,
                     wait_until)
import hello

OUT, ERR, EXIT = 1, 2, 3


def front(t, upstream="", more="", **given):
    if "{a}" in upstream and "a" not in given:
        given["a"] = t.backend("a").port
    p = t.penstock(f"""
[global]
admin_socket = {{dir}}/ctl
[listener front]
listen = 127.0.0.1:{{front}}
on_no_match = reject
[route app]
server_name = app1.example.com
proxy_pass = app
[upstream app]
{upstream or "server = 127.0.0.1:{b}"}
{more}
""", **given)
    p.admin = t.path("ctl")
    return p


def ctl(t, *words, socket_path=None, seconds=LIMIT):
    return t.run("ctl", "-s", socket_path or t.path("ctl"), *words, seconds=seconds)


def said(t, *words):
    """What a command prints that is done."""
    code, out, err = ctl(t, *words)
    equal(code, 0, err)
    return out


def servers(t):
    return {row["server"]: row for row in json.loads(said(t, "upstreams", "--json"))}


# ---- what is asked and answered ----

def test_status_counts_what_is_there(t):
    p = front(t, "server = 127.0.0.1:{a}")
    with open_session(p.port(), tag="a"):
        wait_until("a session", lambda: json.loads(said(t, "status", "--json"))["sessions"] == 1)
    wait_until("its end", lambda: json.loads(said(t, "status", "--json"))["ended"] == 1)
    status = json.loads(said(t, "status", "--json"))
    equal((status["pid"], status["phase"], status["file"], status["workers"], status["accepted"], status["sessions"]),
          (p.pid, "serving", p.config, 2, 1, 0))
    assert 0 < status["uptime_ms"] < 1000 * LIMIT, status
    text = said(t, "status")
    assert f"pid               {p.pid}\n" in text and "drain" not in text, text


def test_the_socket_is_found_by_the_configuration(t):
    p = front(t)
    equal(t.run("ctl", "-c", p.config, "log-level"), (0, "info\n", ""))
    with open(p.config, "a", encoding="utf-8") as file:
        file.write("[route half\nserver_name")  # somebody is editing it
    equal(t.run("ctl", "-c", p.config, "log-level"), (0, "info\n", ""))


def test_who_cannot_be_asked_is_told_clearly(t):
    nobody = "[listener front]\nlisten = 1\nproxy_pass = 127.0.0.1:1\n"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(t.path("dead"))
        for args, says in ((("-s", t.path("none"), "status"), "no such socket"),
                           (("-s", t.path("dead"), "status"), "nobody listens"),
                           (("-s", "/" + 200 * "x", "status"), "not a path"),
                           (("-c", "{conf}", "status"), "sets no admin_socket"),
                           (("-c", t.path("none.ini"), "status"), "No such file")):
            code, out, err = t.run("ctl", *args, config=nobody)
            equal((code, out), (1, ""), err)
            assert says in err and err.startswith("penstock: ") and err.count("\n") == 1, err


def test_what_answers_but_is_not_penstock_is_told(t):
    def serve(conn):
        conn.recv()
        conn.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        conn.sock.close()

    def hang_up(conn):
        conn.recv()
        conn.sock.sendall(struct.pack("!BI", OUT, 5) + b"hal")
        conn.sock.close()
    for name, answer, says in (("a", serve, "not penstock"), ("b", hang_up, "ended before")):
        t.backend(answer, t.path(name))
        code, _, err = ctl(t, "status", socket_path=t.path(name))
        equal(code, 1)
        assert says in err, err


def test_a_wrong_command_line_is_exit_code_2(t):
    front(t)
    for words in ((), ("-x",), ("frobnicate",), ("server", "app"), ("log-level", "loud"), ("close", "x")):
        code, out, err = ctl(t, *words)
        equal((code, out), (2, ""), err)
        assert err.startswith("penstock: "), err


def test_help_needs_nobody_to_ask(t):
    code, out, err = t.run("ctl", "-h")
    equal((code, err), (0, ""))
    for command in ("status", "reload", "drain", "upstreams", "server", "sessions", "close", "explain", "log-level"):
        assert f"\n  {command}" in out, out


def test_explain_answers_by_the_running_configuration(t):
    p = front(t, "server = 127.0.0.1:{a}")
    code, out, _ = ctl(t, "explain", "app1.example.com")
    equal(code, 0)
    equal(out, t.run("explain", "-c", p.config, "app1.example.com")[1])
    equal(ctl(t, "explain", "other.example")[0], 1)
    answer = json.loads(said(t, "explain", "app1.example.com", "--listener", "front", "--json"))
    assert answer["routed"] is True and "route      app" in answer["text"], answer


def test_log_level_changes_at_once(t):
    p = front(t, "server = 127.0.0.1:{b}")
    equal(said(t, "log-level", "error"), "error\n")
    said(t, "server", "app", f"127.0.0.1:{p.port('b')}", "down")
    equal(said(t, "log-level", "notice"), "notice\n")
    wait_until("what was done is logged", lambda: "ctl: log-level notice (uid " in p.err())
    assert "ctl: server" not in p.err(), p.err()


# ---- servers ----

def test_server_down_gets_nobody_keeps_its_sessions_and_comes_back(t):
    p = front(t, "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{c}", c=t.backend("c").port)
    name = f"127.0.0.1:{p.port('a')}"
    for order in ("down", "drain"):
        while True:
            held = open_session(p.port())
            if servers(t)[name]["active"] == 1:
                break
            held.close()
        equal(said(t, "server", "app", name, order), f"app {name}: {order}\n")
        equal({ask(p.port(), hello.hello()) for _ in range(6)}, {"c"})
        echoes(held)
        equal((servers(t)[name]["state"], servers(t)[name]["active"]), (order, 1))
        held.close()
        equal(said(t, "server", "app", name, "up"), f"app {name}: up\n")
        equal({ask(p.port(), hello.hello()) for _ in range(6)}, {"a", "c"})
        wait_until("the end of all", lambda: not any(row["active"] for row in servers(t).values()))
    wait_until("the log tells of it", lambda: f"ctl: server app {name} drain (uid {os.geteuid()}, pid " in p.err())


def test_last_server_down_is_no_server(t):
    p = front(t, "server = 127.0.0.1:{a}")
    said(t, "server", "app", f"127.0.0.1:{p.port('a')}", "down")
    equal(ask(p.port(), hello.hello()), "alert 80")
    equal(p.take()["reason"], "no_server")


def test_ejected_server_is_shown_with_its_end(t):
    p = front(t, "server = 127.0.0.1:{dead} max_fails=1 fail_timeout=60s\nserver = 127.0.0.1:{a} backup")
    equal(ask(p.port(), hello.hello()), "a")
    rows = servers(t)
    equal([row["state"] for row in rows.values()], ["ejected", "backup"])
    end = rows[f"127.0.0.1:{p.port('dead')}"]["until"]
    left = time.mktime(time.strptime(end, "%Y-%m-%dT%H:%M:%S.%fZ")) - time.mktime(time.gmtime())
    assert 60 - LIMIT < left < 62, (end, left)


def test_unknown_server_is_told_with_what_was_meant(t):
    p = front(t, "server = 127.0.0.1:{a}")
    for words, says in ((("ap", "x"), 'did you mean "app"'), (("app", f"127.0.0.1:{p.port('a')}0"), "did you mean")):
        code, _, err = ctl(t, "server", *words, "down")
        equal(code, 1)
        assert says in err, err


# ---- the whole ----

def test_drain_ends_it_when_the_last_session_has(t):
    p = front(t, "server = 127.0.0.1:{a}")
    with open_session(p.port(), tag="a") as sock:
        out = said(t, "drain")
        assert out.startswith("draining, 1 sessions left, for at most "), out
        wait_until("the port is let go", lambda: not can_connect(p.port()))
        echoes(sock)
        status = json.loads(said(t, "status", "--json"))
        equal((status["phase"], status["drain_began_with"]), ("draining", 1))
        assert 0 < status["drain_left_ms"] <= 60000, status
    equal(p.wait(), 0)
    assert not os.path.exists(t.path("ctl"))


def can_connect(port):
    try:
        client(port).close()
        return True
    except OSError:
        return False


# ---- the socket ----

def test_the_socket_is_of_its_owner_alone_and_goes_with_the_program(t):
    p = front(t, prepare=lambda: os.umask(0))
    status = os.lstat(t.path("ctl"))
    assert stat.S_ISSOCK(status.st_mode)
    equal((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, os.geteuid()))
    p.stop()
    assert not os.path.exists(t.path("ctl"))


def test_the_socket_of_a_killed_one_is_replaced_and_that_of_a_living_one_is_an_error(t):
    p = front(t)
    p.signal(signal.SIGKILL)
    p.wait()
    assert os.path.exists(t.path("ctl"))
    q = front(t)
    equal(said(t, "log-level"), "info\n")
    with open(q.config, encoding="utf-8") as file:
        config = file.read().replace(f":{q.port()}\n", f":{t.port()}\n")
    code, _, err = t.run("-c", "{conf}", config=config)
    equal(code, 1)
    assert f"admin_socket {t.path('ctl')}: " in err and "in use" in err, err
    equal(said(t, "log-level"), "info\n")


def as_nobody(*argv):
    nobody = pwd.getpwnam("nobody")

    def become():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    done = subprocess.run(argv, preexec_fn=become, capture_output=True, text=True, timeout=LIMIT, check=False)
    return done.returncode, done.stdout, done.stderr


def test_other_users_are_refused_by_the_file_and_behind_it(t):
    if os.geteuid() != 0:
        raise Skip("not root")
    t.let_anyone_run()
    front(t)
    code, _, err = as_nobody(t.binary, "ctl", "-s", t.path("ctl"), "status")
    equal(code, 1)
    assert "permission denied" in err, err
    os.chmod(t.path("ctl"), 0o666)
    code, out, err = as_nobody(t.binary, "ctl", "-s", t.path("ctl"), "status")
    equal((code, out), (1, ""))
    assert "only root and the user of penstock" in err, err


def test_the_user_that_it_became_may_ask(t):
    if os.geteuid() != 0:
        raise Skip("not root")
    t.let_anyone_run()
    p = t.penstock("""
        [global]
        user = nobody
        admin_socket = {dir}/ctl
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:{b}
        """)
    status = os.lstat(t.path("ctl"))
    equal((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, pwd.getpwnam("nobody").pw_uid))
    code, out, err = as_nobody(t.binary, "ctl", "-s", t.path("ctl"), "status", "--json")
    equal(code, 0, err)
    equal(json.loads(out)["pid"], p.pid)
    equal(ctl(t, "log-level")[0], 0)  # and so may root


# ---- hostile ----

def request(*words):
    body = b"".join(struct.pack("!H", len(word)) + word for word in words)
    return b"PSTK" + struct.pack("!BBHI", 1, 0, len(words), len(body)) + body


def frames(data):
    """(stdout, stderr, exit code or None) of a reply."""
    texts, code, at = {OUT: b"", ERR: b""}, None, 0
    while at < len(data):
        kind, length = struct.unpack_from("!BI", data, at)
        payload = data[at + 5:at + 5 + length]
        at += 5 + length
        if kind == EXIT:
            code = payload[0]
        else:
            texts[kind] += payload
    return texts[OUT], texts[ERR], code


def read_reply(sock):
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):  # it had more from us than it cared to read
        while more := sock.recv(1 << 16):
            data += more
    return frames(bytes(data))


def test_garbage_is_answered_and_let_go(t):
    p = front(t, "server = 127.0.0.1:{a}")
    for bad in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100000, os.urandom(4096), b"PSTK\1\0\xff\xff\xff\xff\xff\xff",
                b"PSTK\1\0\0\1\xff\xff\xff\xff" + b"x" * 70000, request(b"status\0x"), request(*[b"x"] * 65),
                b"PSTK\1\0\0\1\0\0\0\4\xff\xffab"):
        with unix_client(p.admin) as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(bad)
            out, err, code = read_reply(sock)
        equal((out, code), (b"", 1), bad[:20])
        assert b"no request" in err, err
    with unix_client(p.admin) as sock:
        sock.sendall(b"PSTK\7")
        assert b"another version" in read_reply(sock)[1]
    equal(ask(p.port(), hello.hello()), "a")


def test_a_request_byte_by_byte_is_answered(t):
    p = front(t)
    with unix_client(p.admin) as sock:
        for byte in request(b"log-level", b"--json"):
            sock.sendall(bytes([byte]))
        equal(read_reply(sock), (b'{"log_level": "info"}\n', b"", 0))


def test_a_request_by_somebody_who_leaves_is_done_all_the_same(t):
    p = front(t)
    with unix_client(p.admin) as sock:
        sock.sendall(request(b"log-level", b"error"))
    wait_until("it is done", lambda: said(t, "log-level") == "error\n")


def test_a_silent_client_is_let_go_in_time(t):
    p = front(t)
    with unix_client(p.admin) as sock:
        sock.settimeout(20 * SLOWER)
        sock.sendall(request(b"status")[:-1])
        begun = time.monotonic()
        equal(sock.recv(100), b"")
        assert 4 < time.monotonic() - begun, time.monotonic() - begun


def test_a_hundred_silent_clients_shut_nobody_out(t):
    p = front(t, "server = 127.0.0.1:{a}")
    before = p.sockets()
    silent = [unix_client(p.admin) for _ in range(100)]
    begun = time.monotonic()
    for _ in range(5):
        equal(said(t, "log-level"), "info\n")
        equal(ask(p.port(), hello.hello()), "a")
    assert time.monotonic() - begun < 4 * SLOWER
    assert p.sockets() <= before + 17, p.sockets()
    for sock in silent:
        sock.close()
    wait_until("all let go", lambda: p.sockets() == before)


def many_servers(count):
    return "\n".join(f"server = 10.{i // 62500}.{i // 250 % 250}.{i % 250 + 1}:443 down" for i in range(count))


def test_a_reader_that_is_stuck_in_a_long_table_costs_nobody_anything(t):
    """A table of megabytes, read by nobody: it is not made, the others are answered, sessions go on."""
    count = 4000 if SLOWER == 1 else 1000
    p = front(t, "server = 127.0.0.1:{a}", more="\n".join(
        f"[route r{n}]\nserver_name = r{n}.example\nproxy_pass = many{n}\n[upstream many{n}]\n{many_servers(count)}"
        for n in range(10)))
    with open_session(p.port(), tag="a") as session, contextlib.ExitStack() as stack:
        before = p.rss()
        for _ in range(12):
            sock = stack.enter_context(unix_client(p.admin))
            sock.sendall(request(b"upstreams", b"--json"))
        begun = time.monotonic()
        for _ in range(5):
            equal(said(t, "log-level"), "info\n")
            echoes(session)
        assert time.monotonic() - begun < 4 * SLOWER
        if SLOWER == 1:
            assert p.rss() - before < 12 * 400_000, p.rss() - before
        assert p.cpu_over(0.5) < 0.2, "it spins"
        rows = json.loads(said(t, "upstreams", "--json"))  # the whole table, to one that reads
        equal(len(rows), 10 * count + 1)
        # The stuck ones read on where they stopped: nothing is lost.
        equal(len(json.loads(read_reply(sock)[0])), 10 * count + 1)


def test_a_reader_that_stays_stuck_is_let_go(t):
    p = front(t, many_servers(4000))
    before = p.sockets()
    with unix_client(p.admin) as sock:
        sock.sendall(request(b"upstreams", b"--json"))
        wait_until("it is being answered", lambda: p.sockets() > before)
        wait_until("it is let go", lambda: p.sockets() == before, 30 * SLOWER)
        sock.settimeout(LIMIT)
        assert read_reply(sock)[2] is None  # no end that could be taken for one


def test_too_many_requests_at_once_are_told_so_and_lost_ones_cost_nothing(t):
    p = front(t, many_servers(4000))
    before = p.sockets()
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(unix_client(p.admin)).sendall(request(b"upstreams"))
        wait_until("16 are taken", lambda: p.sockets() >= before + 16)

        def is_full():
            code, _, err = ctl(t, "status")
            return code == 1 and "too many requests" in err
        wait_until("the next is told so", is_full)
    wait_until("all are gone", lambda: p.sockets() == before)
    equal(ctl(t, "log-level")[0], 0)


def test_asking_goes_on_when_files_are_short(t):
    """EMFILE at accept: it waits rather than spins, and goes on by itself."""
    p = front(t)
    spare = len(p.fds())
    need("prlimit")
    subprocess.run(["prlimit", "--pid", str(p.pid), f"--nofile={spare}:"], check=True, timeout=LIMIT)
    with unix_client(p.admin) as sock:
        sock.sendall(request(b"log-level"))
        assert p.cpu_over(0.5) < 0.2, "it spins"
        subprocess.run(["prlimit", "--pid", str(p.pid), f"--nofile={spare + 50}:"], check=True, timeout=LIMIT)
        equal(read_reply(sock), (b"info\n", b"", 0))


def test_asking_under_load_does_not_stop_traffic(t):
    p = front(t, "server = 127.0.0.1:{a}")
    end = time.monotonic() + 2
    with open_session(p.port(), tag="a") as session:
        while time.monotonic() < end:
            with contextlib.ExitStack() as stack:
                for _ in range(10):
                    with contextlib.suppress(BlockingIOError):  # a full backlog: it has enough to do
                        stack.enter_context(unix_client(p.admin)).sendall(request(b"upstreams", b"--json"))
                echoes(session)
    p.wait_empty()


def test_a_long_answer_survives_a_slow_pager(t):
    """Whoever reads penstock ctl may be slower than the program's patience with a client."""
    p = front(t, many_servers(4000))
    before = p.sockets()
    with subprocess.Popen([t.binary, "ctl", "-s", p.admin, "upstreams"], stdout=subprocess.PIPE) as pager:
        wait_until("it begins", lambda: fcntl.ioctl(pager.stdout, termios.FIONREAD, bytes(4)) != bytes(4))
        # Nobody reads the pipe; the client must have taken all of it off the program's hands.
        wait_until("the program has no client", lambda: p.sockets() == before)
        out = pager.stdout.read()
        equal(pager.wait(LIMIT), 0)
    equal(out.count(b"\n"), 4001)
