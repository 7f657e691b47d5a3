"""Signals: stop, drain, reopened logs, and a reload of a broken file. Under load: test_drain.py."""

import json
import os
import signal
import socket
import threading
import time

from harness import (LIMIT, SLOWER, answer, ask, client, echoes, equal, fill, is_open, open_session, read_text, silent,
                     wait_until)
import hello

FRONT = """
    [global]
    drain_timeout = {drain}
    [listener front]
    listen = 127.0.0.1:{front}
    [sni front]
    app1.example.com = app
    [upstream app]
    server = 127.0.0.1:{app}
    """


def front(t, drain="60s", app=None):
    return t.penstock(FRONT, drain=drain, app=app or t.backend("app").port)


def ended(sock):
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def stops_at_once(t, number):
    backend = t.backend(silent)
    p = front(t, app=backend.port)
    held = []
    for _ in range(20):  # idle, blocked, half a hello, refused
        sock = client(p.port(), rcvbuf=65536)
        sock.sendall(hello.hello())
        held.append(sock)
    fill(backend.wait(20).sock)
    held.append(client(p.port()))
    held[-1].sendall(hello.hello()[:50])
    held.append(client(p.port()))
    held[-1].sendall(hello.hello("other.example"))
    wait_until("sessions", lambda: p.status()["sessions"] >= 21)
    begun = time.monotonic()
    p.signal(number)
    equal(p.wait(), 0)
    took = time.monotonic() - begun
    assert took < 1 * SLOWER + 0.3, f"it took {took:.2f} s to stop"
    for sock in held:
        assert ended(sock)
    assert not is_open(p.port())
    reasons = [line["reason"] for line in p.take(22)]
    assert reasons.count("drained") >= 21 and set(reasons) <= {"drained", "no_match"}, reasons


def test_term_stops_within_a_second_with_sessions_open(t):
    stops_at_once(t, signal.SIGTERM)


def test_int_stops_within_a_second_with_sessions_open(t):
    stops_at_once(t, signal.SIGINT)


def test_idle_program_stops_on_term(t):
    p = front(t)
    p.stop(signal.SIGTERM)


def test_quit_lets_sessions_end_and_takes_no_new_ones(t):
    p = front(t)
    held = [open_session(p.port(), tag="app") for _ in range(5)]
    p.signal(signal.SIGQUIT)
    wait_until("the port is closed", lambda: not is_open(p.port()))
    for sock in held:
        echoes(sock)
    for sock in held[1:]:
        sock.close()
    wait_until("four lines", lambda: served(p) == 4)
    assert p.alive(), "it left with a session open"
    echoes(held[0])
    held[0].close()
    equal(p.wait(), 0)
    equal(served(p), 5)


def served(p):
    """Sessions ended well; asking whether the port is open makes lines too."""
    return sum(line["reason"] == "ok" for line in p.lines())


def test_quit_without_sessions_exits(t):
    p = front(t)
    p.signal(signal.SIGQUIT)
    equal(p.wait(), 0)


def test_quit_ends_what_is_left_after_the_drain_timeout(t):
    p = front(t, drain="500ms")
    held = [open_session(p.port(), tag="app") for _ in range(5)]
    p.signal(signal.SIGQUIT)
    equal(p.wait(), 0)
    for sock in held:
        assert ended(sock)
    equal([line["reason"] for line in p.take(5)], ["drained"] * 5)


def test_term_cuts_a_drain_short(t):
    p = front(t)
    with open_session(p.port(), tag="app"):
        p.signal(signal.SIGQUIT)
        wait_until("the port is closed", lambda: not is_open(p.port()))
        p.stop(signal.SIGTERM)


def test_session_in_its_hello_is_served_while_draining(t):
    p = front(t)
    sock = client(p.port())
    sock.sendall(hello.hello()[:60])
    wait_until("it is pending", lambda: p.status()["hellos_pending"] == 1)
    p.signal(signal.SIGQUIT)
    wait_until("the port is closed", lambda: not is_open(p.port()))
    sock.sendall(hello.hello()[60:])
    equal(answer(sock, hello.hello()), "app")
    sock.close()
    equal(p.wait(), 0)


def test_usr1_reopens_the_logs_and_loses_no_line(t):
    p = front(t)
    stop, asked = threading.Event(), []

    def keep_asking():
        while not stop.is_set():
            asked.append(ask(p.port(), hello.hello(f"n{len(asked)}.example")))
    asker = threading.Thread(target=keep_asking)
    asker.start()
    moved = []
    for number in range(5):
        count = len(asked)
        wait_until("traffic", lambda least=count: len(asked) > least + 20)
        moved.append(t.path(f"old{number}.log"))
        os.rename(p.access_path, moved[-1])
        p.signal(signal.SIGUSR1)
        wait_until("the new file", lambda: os.path.exists(p.access_path))
    last = len(asked)
    wait_until("one that began after that", lambda: len(asked) > last + 1)
    stop.set()
    asker.join()
    equal(set(asked), {"alert 112"})

    def names():
        text = "".join(read_text(path) for path in [*moved, p.access_path])
        return [json.loads(line)["sni"] for line in text.split("\n")[:-1]]
    wait_until(lambda: f"{len(asked)} lines, there are {len(names())}", lambda: len(names()) >= len(asked))
    equal(sorted(names()), sorted(f"n{i}.example" for i in range(len(asked))))
    assert read_text(p.access_path), "nothing went to the new file"


def test_usr1_reopens_the_error_log_too(t):
    p = t.penstock("""
        [global]
        error_log = {dir}/error.log info
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:1
        """, ready=False)
    path = t.path("error.log")
    wait_until("ready", lambda: "penstock: ready" in read_text(path))
    os.rename(path, t.path("error.old"))
    p.signal(signal.SIGUSR1)
    wait_until("a line in the new file", lambda: read_text(path) or "status" in read_text(t.path("error.old")))
    p.signal(signal.SIGUSR1)
    wait_until("a line in the new file", lambda: "status" in read_text(path))


def test_usr1_keeps_the_old_file_where_the_new_one_cannot_be_opened(t):
    os.mkdir(t.path("logs"))
    p = t.penstock("""
        [log access]
        path = {dir}/logs/access.log
        [listener front]
        listen = 127.0.0.1:{front}
        [sni front]
        a.example = app
        [upstream app]
        server = 127.0.0.1:1
        """)
    os.rename(t.path("logs"), t.path("gone"))
    p.signal(signal.SIGUSR1)
    wait_until("it says so", lambda: "logs/access.log" in p.err())
    equal(ask(p.port(), hello.hello("other.example")), "alert 112")
    wait_until("the line in the old file", lambda: "other.example" in read_text(t.path("gone/access.log")))


def test_hup_with_a_broken_file_says_how_many_errors_and_goes_on(t):
    p = front(t)
    for wrong, said in ((1, "1 errors"), (2, "2 errors")):
        with open(p.config, "a", encoding="utf-8") as file:
            file.write(f"[upstream wrong{wrong}]\n")
        p.signal(signal.SIGHUP)
        wait_until(lambda what=said: f"{what}: {p.err()}",
                   lambda what=said: f"error: penstock: reload refused: {what}; generation 1 goes on\n" in p.err())
    equal(ask(p.port(), hello.hello()), "app")


def test_status_tells_the_sessions(t):
    p = front(t)
    held = [open_session(p.port(), tag="app") for _ in range(3)]
    pending = client(p.port())
    pending.sendall(hello.hello()[:20])
    p.wait_status(sessions=4, hellos_pending=1, pipes=0, leases=0)
    for sock in [*held, pending]:
        sock.close()
    p.wait_empty()


def test_many_signals_at_once_do_no_harm(t):
    p = front(t)
    with open_session(p.port(), tag="app") as sock:
        for _ in range(50):
            p.signal(signal.SIGUSR1)
            p.signal(signal.SIGHUP)
            p.signal(signal.SIGPIPE)
        echoes(sock)
    p.stop()


def test_port_can_be_taken_over_while_draining(t):
    """A successor starts on the same port while the old one's sessions end."""
    app = t.backend("app").port
    p = front(t, app=app)
    with open_session(p.port(), tag="app") as sock:
        p.signal(signal.SIGQUIT)
        wait_until("the port is closed", lambda: not is_open(p.port()))
        q = t.penstock(FRONT, drain="60s", app=app, front=p.port())
        equal(ask(q.port(), hello.hello()), "app")
        echoes(sock)
    equal(p.wait(), 0)


def test_stop_closes_unfinished_dials(t):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    while True:
        filler = socket.socket()
        filler.settimeout(0.5)
        try:
            filler.connect(listener.getsockname())
            fillers.append(filler)
        except TimeoutError:
            break
    p = front(t, app=listener.getsockname()[1])
    sock = client(p.port())
    sock.sendall(hello.hello())
    p.wait_status(sessions=1, hellos_pending=0)
    p.stop(signal.SIGTERM)
    sock.settimeout(LIMIT)
    assert ended(sock)
