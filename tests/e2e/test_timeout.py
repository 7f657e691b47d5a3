"""Timeouts of a session, each with its reason. (Those before the session stand in test_refusal and test_balance.)"""

import contextlib
import socket
import time

from harness import SLOWER, client, collect, echoes, equal, fill, open_session, read_exactly, silent, wait_until
import hello

MARGIN = 2000 * SLOWER  # ms that a loaded machine may add, less than any other timeout in play


def front(t, app, more):
    return t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        {more}
        [sni front]
        app1.example.com = app
        [upstream app]
        server = 127.0.0.1:{app}
        """, app=app, more=more)


def ends(sock):
    """Reads until the connection is over, cleanly or not."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass


def test_idle_session_is_ended(t):
    p = front(t, t.backend("app").port, "proxy_timeout = 400ms")
    with open_session(p.port(), tag="app") as sock:
        ends(sock)
    line = p.take()
    equal(line["reason"], "idle_timeout")
    assert 350 <= line["duration_ms"] < 400 + MARGIN, line
    p.wait_empty()


def test_session_that_moves_a_byte_now_and_then_is_not_idle(t):
    p = front(t, t.backend("app").port, "proxy_timeout = 1s")
    with open_session(p.port(), tag="app") as sock:
        for _ in range(8):
            time.sleep(0.3)
            echoes(sock, b"x")
    line = p.take()
    equal(line["reason"], "ok")
    assert line["duration_ms"] > 2000, line


def test_blocked_session_is_idle_too(t):
    """No byte moves while the reader stalls, whatever waits to be sent."""
    backend = t.backend(silent)
    p = front(t, backend.port, "proxy_timeout = 800ms")
    with client(p.port(), rcvbuf=65536) as sock:
        sock.sendall(hello.hello())
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # the timeout may come first
            fill(backend.wait().sock)
        equal(p.take()["reason"], "idle_timeout")
        p.wait_empty()


def test_half_closed_session_is_ended(t):
    backend = t.backend(silent)
    p = front(t, backend.port, "half_close_timeout = 400ms\n        proxy_timeout = 60s")
    with client(p.port()) as sock:
        sock.sendall(hello.hello())
        sock.shutdown(socket.SHUT_WR)
        backend.wait()
        ends(sock)
    line = p.take()
    equal(line["reason"], "half_close_timeout")
    assert 350 <= line["duration_ms"] < 400 + MARGIN, line
    p.wait_empty()


def test_half_closed_session_that_still_moves_bytes_lives(t):
    def slow(conn):
        collect_quietly(conn)
        for _ in range(8):
            time.sleep(0.3)
            conn.sock.sendall(b"x")
        conn.sock.close()

    def collect_quietly(conn):
        while conn.recv():
            pass
    p = front(t, t.backend(slow).port, "half_close_timeout = 1s\n        proxy_timeout = 60s")
    with client(p.port()) as sock:
        sock.sendall(hello.hello())
        sock.shutdown(socket.SHUT_WR)
        equal(read_exactly(sock, 8), b"x" * 8)
    equal(p.take()["reason"], "ok")


def test_server_that_ended_leaves_the_client_the_half_close_timeout(t):
    def leaves(conn):
        conn.recv()
        conn.sock.shutdown(socket.SHUT_WR)
        collect(conn)
    p = front(t, t.backend(leaves).port, "half_close_timeout = 400ms\n        proxy_timeout = 60s")
    with client(p.port()) as sock:
        sock.sendall(hello.hello())
        equal(sock.recv(1), b"")
        equal(p.take()["reason"], "half_close_timeout")


def test_session_timeout_ends_even_a_busy_session(t):
    p = front(t, t.backend("app").port, "session_timeout = 1s")
    begun = time.monotonic()
    with open_session(p.port(), tag="app") as sock:
        try:
            while time.monotonic() - begun < 15:
                echoes(sock, b"busy")
        except (OSError, EOFError):
            pass
    line = p.take()
    equal(line["reason"], "session_timeout")
    assert 900 <= line["duration_ms"] < 1000 + MARGIN, line


def test_route_has_its_own_timeout(t):
    app = t.backend("app").port
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_timeout = 60s
        [route hasty]
        server_name = hasty.example
        proxy_pass = 127.0.0.1:{app}
        proxy_timeout = 300ms
        [route patient]
        server_name = patient.example
        proxy_pass = 127.0.0.1:{app}
        """, app=app)
    with open_session(p.port(), hello.hello("patient.example")) as patient:
        with open_session(p.port(), hello.hello("hasty.example")) as hasty:
            ends(hasty)
        line = p.take()
        equal((line["reason"], line["route"]), ("idle_timeout", "hasty"))
        echoes(patient)


def test_defaults_hold_where_a_section_is_silent(t):
    p = t.penstock("""
        [defaults]
        proxy_timeout = 300ms
        [listener front]
        listen = 127.0.0.1:{front}
        [route all]
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    with open_session(p.port(), tag="app") as sock:
        ends(sock)
    equal(p.take()["reason"], "idle_timeout")
    wait_until("no session is left", lambda: p.status()["sessions"] == 0)
