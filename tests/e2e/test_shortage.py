"""When the machine is short of something: penstock waits or refuses, blames nobody, and goes on afterwards."""

import fcntl
import os
import socket
import struct

import harness
from harness import (LIMIT, alert_in, answer, ask, client, echoes, equal, has_input, heavy, limit, open_session,
                     read_all, read_text, set_nofile, unix_client, wait_until)
import hello

FRONT = """
    [listener front]
    listen = 127.0.0.1:{front}
    [sni front]
    app1.example.com = app
    [upstream app]
    server = 127.0.0.1:{app}
    """


@heavy
@limit(60)
def test_nofile_of_256_pauses_accepting_and_resumes(t):
    p = t.penstock(FRONT, app=t.backend("app").port, prepare=set_nofile(256))
    first = hello.hello()
    waiting = [client(p.port()) for _ in range(300)]
    for sock in waiting:
        sock.sendall(first)
    wait_until("sessions are served", lambda: p.status()["sessions"] >= 16)
    wait_until("it is full", lambda: is_steady(p))
    served = p.status()["sessions"]
    assert 16 <= served < 128, f"{served} sessions under a limit of 256 files"
    burnt = p.cpu_over(1)
    assert burnt < 0.15, f"{burnt:.2f} s of CPU in a second of waiting"
    # Every client is served in the end, whoever waited.
    while waiting:
        ready = [sock for sock in waiting if has_input(sock)]
        if not ready:
            wait_until("the next is served", lambda: any(map(has_input, waiting)))
        for sock in ready:
            equal(answer(sock, first), "app")
            sock.close()
            waiting.remove(sock)
    equal({line["reason"] for line in p.take(300, 3 * LIMIT)}, {"ok"})
    p.wait_empty()
    equal(ask(p.port(), first), "app")


def is_steady(p):
    before = p.status()["sessions"]
    return p.cpu_over(0.3) < 0.05 and p.status()["sessions"] == before


def test_max_connections_beyond_nofile_is_an_error(t):
    config = """
        [global]
        max_connections = 10000
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:1
        """
    p = t.penstock(config, ready=False, prepare=set_nofile(256))
    equal(p.wait(), 1)
    line = read_text(p.config).split("max_connections")[0].count("\n") + 1
    assert f"{p.config}:{line}: " in p.err() and "max_connections" in p.err(), p.err()


def full_pipe():
    """(read end, write end) of a pipe that takes nothing more."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)
    return reader, writer


def fill_pipe(writer):
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x")
    except BlockingIOError:
        pass
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)


def drain_until(reader, word):
    seen = b""
    while word not in seen:
        seen += os.read(reader, 4096)


def test_full_pipe_as_stderr_stops_no_session_and_no_exit(t):
    reader, writer = full_pipe()
    p = t.penstock("[global]\nerror_log = stderr debug\n" + "\n".join(line.strip() for line in FRONT.splitlines()),
                   app=t.backend("app").port, stderr=writer, ready=False)
    drain_until(reader, b"penstock: ready")
    fill_pipe(writer)
    held = open_session(p.port(), tag="app")
    for _ in range(t.scale(400)):
        equal(ask(p.port(), hello.hello()), "app")
        equal(ask(p.port(), hello.hello("other.example")), "alert 112")
    echoes(held)
    equal(len(p.take(t.scale(400) * 2)), t.scale(400) * 2, "the access log goes on")
    p.stop()
    os.close(reader)
    os.close(writer)


def test_full_pipe_as_access_log_stops_no_session_and_no_exit(t):
    reader, writer = full_pipe()
    p = t.penstock(FRONT + "[log access]\npath = stdout\n".replace("\n", "\n    ", 1), app=t.backend("app").port,
                   stdout=writer)
    fill_pipe(writer)
    held = open_session(p.port(), tag="app")
    for _ in range(t.scale(400)):
        equal(ask(p.port(), hello.hello()), "app")
    echoes(held)
    p.stop()
    os.close(reader)
    os.close(writer)


def test_closed_pipe_as_stderr_stops_no_session(t):
    reader, writer = full_pipe()
    p = t.penstock(FRONT, app=t.backend("app").port, stderr=writer, ready=False)
    drain_until(reader, b"penstock: ready")
    os.close(reader)
    os.close(writer)
    for _ in range(50):
        equal(ask(p.port(), hello.hello()), "app")
        equal(ask(p.port(), hello.hello("other.example")), "alert 112")
    p.stop()


def test_full_disk_under_the_access_log_stops_no_session(t):
    if not os.path.exists("/dev/full"):
        return
    p = t.penstock(FRONT + "\n    [log access]\n    path = /dev/full\n", app=t.backend("app").port)
    for _ in range(100):
        equal(ask(p.port(), hello.hello()), "app")
    p.stop()


@heavy
@limit(60)
def test_exhausted_ports_blame_no_server_and_pass_when_ports_return(t):
    t.need_own_network()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("40000 40049")
    backends = [t.backend(name, ("127.0.0.1", 20001 + i)) for i, name in enumerate("ab")]
    p = t.penstock("""
        [global]
        max_connections = 1000
        [listener front]
        listen = unix:{dir}/front.sock
        [sni front]
        app1.example.com = app
        [upstream app]
        server = 127.0.0.1:20001 max_fails=1 fail_timeout=1h
        server = 127.0.0.1:20002 max_fails=1 fail_timeout=1h
        """)
    path, first, before = t.path("front.sock"), hello.hello(), p.sockets()
    held, refused = [], 0
    for _ in range(140):
        sock = unix_client(path)
        sock.sendall(first)
        got = sock.recv(1)
        if got == b"\x15":
            equal(alert_in(got + read_all(sock)), 80)
            refused += 1
            sock.close()
        else:
            held.append((got, sock))
    assert 50 <= len(held) <= 100 and refused >= 40, f"{len(held)} served, {refused} refused with 50 ports"
    reasons = {line["reason"] for line in p.take(refused)}
    assert reasons <= {"overload", "connect_failed"}, reasons
    # The backends reset, so that no port stays in TIME_WAIT; then both must serve at once.
    for backend in backends:
        for conn in backend.conns:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conn.sock.shutdown(socket.SHUT_RD)
    for _, sock in held:
        sock.close()
    wait_until("the sessions have ended", lambda: p.status()["sessions"] == 0)
    p.wait_sockets(before)  # then their ports are back, too
    tags = []
    for _ in range(10):
        with unix_client(path) as sock:
            sock.sendall(first)
            tags.append(answer(sock, first))
    equal(sorted(tags), ["a"] * 5 + ["b"] * 5, "a server was blamed")


def test_pipes_beyond_the_users_budget_still_relay(t):
    """pipe-user-pages-soft shrinks what an ordinary user's new pipes hold; as nobody, in a user's own budget."""
    if os.geteuid() != 0:
        raise harness.Skip("only root can become another user")

    def become_nobody():
        os.setgid(65534)
        os.setuid(65534)
    t.let_anyone_run()
    backend = harness.load_backend(t)
    p = t.penstock("""
        [global]
        workers = 2
        zero_copy = splice
        pipe_pool = 2048
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:{app}
        """, app=backend.port, prepare=become_nobody)
    each = t.scale(1 << 20)
    harness.all_right(harness.bulk(t, p.port(), connections=64, up=each, down=each).result(), 64)
    p.wait_empty()
