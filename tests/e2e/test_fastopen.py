"""Servers with `fastopen`: the greeting travels with the SYN, and a connect that fails is still a connect that fails."""

import fcntl
import socket
import struct

from harness import (Skip, answer, ask, client, collect, echoes, equal, open_session, read_exactly, read_text, stream,
                     unix_client, wait_until)
from test_balance import full_listener
from test_listeners import needs_ipv6
import hello

CLIENT, SERVER = 1, 2
TCP_FASTOPEN, TCP_FASTOPEN_CONNECT = 23, 30


def allow(bits):
    try:
        with open("/proc/sys/net/ipv4/tcp_fastopen", "w", encoding="ascii") as file:
            file.write(str(bits))
    except OSError as error:
        raise Skip(f"fast open cannot be set here: {error}") from None


def counter(name):
    lines = [line.split() for line in read_text("/proc/net/netstat").splitlines() if line.startswith("TcpExt:")]
    return int(dict(zip(*lines))[name])


def backend(t, serve):
    """One that gives cookies and takes data with the SYN."""
    made = t.backend(serve)
    made.listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 64)
    return made


def take_cookie(port):
    """A kernel keeps one per address, whatever the port."""
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        sock.connect(("127.0.0.1", port))


class Wire:
    """What passes the loopback, read afterwards."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE: what does not fit is lost
        self.sock.bind(("lo", 0x0800))
        self.sock.setblocking(False)
        self.found = {}

    def syn_bytes(self, port):
        """How many bytes each SYN to *port* so far carried."""
        while True:
            try:
                packet = self.sock.recv(1 << 17)
            except BlockingIOError:
                return self.found.get(port, [])
            header = (packet[0] & 15) * 4
            tcp = packet[header:]
            if packet[9] == socket.IPPROTO_TCP and tcp[13] & 0x12 == 0x02:  # SYN, not SYN-ACK
                size = struct.unpack_from("!H", packet, 2)[0] - header - (tcp[12] >> 4) * 4
                self.found.setdefault(struct.unpack_from("!H", tcp, 2)[0], []).append(size)


def front(t, servers, upstream="", listener="", workers=1, **given):
    return t.penstock(f"""
[global]
workers = {workers}
[listener front]
listen = 127.0.0.1:{{front}}
{listener}
proxy_pass = app
[upstream app]
{servers}
{upstream}
""", **given)


def fast_network(t, mtu=65536):
    """A network of its own where fast open is allowed both ways and the cookie of 127.0.0.1 is known."""
    t.need_own_network()
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8922, struct.pack("16si12x", b"lo", mtu))  # SIOCSIFMTU
    allow(CLIENT | SERVER)
    app = backend(t, "app")
    take_cookie(app.port)
    equal(counter("TCPFastOpenCookieReqd"), 1, "cookies given")
    return app


HELLO = "[sni front]\nnobody.example = app\n"


def test_the_hello_travels_with_the_syn(t):
    app = fast_network(t)
    p = front(t, "server = 127.0.0.1:{app} fastopen", HELLO, workers=2, app=app.port)
    wire, first = Wire(), hello.hello(post_quantum=True)
    for _ in range(10):
        equal(ask(p.port(), first), "app")
    equal(counter("TCPFastOpenActive"), 10, "fast opens")
    equal(wire.syn_bytes(app.port), [len(first)] * 10, "bytes with each SYN")
    for line in p.take(10):
        equal((line["reason"], line["tries"], line["bytes_up"]), ("ok", 1, len(first)))


def test_a_hello_too_long_for_a_syn_arrives_whole(t):
    app = fast_network(t, mtu=1500)
    p = front(t, "server = 127.0.0.1:{app} fastopen", HELLO, app=app.port)
    wire, first = Wire(), hello.padded(16000)
    for count in range(1, 6):
        with open_session(p.port(), first, tag="app") as sock:
            sizes = wire.syn_bytes(app.port)
            assert len(sizes) == count and all(1000 < size < 1500 for size in sizes), sizes
            echoes(sock, stream(300000))
    for line in p.take(5):
        equal((line["reason"], line["bytes_up"]), ("ok", len(first) + 300000))


def test_a_proxy_header_travels_in_front_of_the_hello(t):
    t.need_own_network()
    allow(CLIENT | SERVER)
    app = backend(t, collect)
    take_cookie(app.port)
    p = front(t, "server = 127.0.0.1:{app} fastopen", "send_proxy_protocol = v1\n" + HELLO, app=app.port)
    wire, first = Wire(), hello.hello()
    with client(p.port()) as sock:
        sock.sendall(first)
        conn = app.wait(2)
        source = f"PROXY TCP4 127.0.0.1 127.0.0.1 {sock.getsockname()[1]} {p.port()}\r\n".encode()
        wait_until("the greeting", lambda: len(conn.received) >= len(source) + len(first))
        equal(bytes(conn.received), source + first)
        equal(wire.syn_bytes(app.port), [len(source) + len(first)])


def test_a_server_without_a_cookie_is_asked_for_one(t):
    t.need_own_network()
    allow(CLIENT | SERVER)
    p = front(t, "server = 127.0.0.1:{app} fastopen", HELLO, app=backend(t, "app").port)
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "app")
    equal((counter("TCPFastOpenCookieReqd"), counter("TCPFastOpenActive")), (1, 3))


def test_a_server_that_knows_no_fast_open_is_connected_to_as_ever(t):
    t.need_own_network()
    allow(CLIENT)
    p = front(t, "server = 127.0.0.1:{app} fastopen", HELLO, app=t.backend("app").port)
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "app")
    equal(counter("TCPFastOpenActive"), 0)


def test_a_host_that_allows_none_says_so_once_and_connects_as_ever(t):
    t.need_own_network()
    allow(0)
    p = front(t, "server = 127.0.0.1:{app} fastopen\nserver = 127.0.0.1:{b} fastopen", HELLO,
              app=t.backend("app").port, b=t.backend("app").port)
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "app")
    equal(p.err().count("fastopen: this host allows none"), 1)


def test_a_host_that_allows_none_fails_over_as_ever(t):
    t.need_own_network()
    allow(0)
    app, stuck, first = t.backend("app"), full_listener(t), hello.hello()
    p = front(t, "server = 127.0.0.1:{dead} fastopen max_fails=1 fail_timeout=1h\n"
              "server = 127.0.0.1:{stuck} fastopen max_fails=1 fail_timeout=1h\n"
              "server = 127.0.0.1:{app} fastopen",
              "proxy_connect_timeout = 300ms\nproxy_next_upstream_tries = 3\n" + HELLO, app=app.port, stuck=stuck)
    for _ in range(6):
        equal(ask(p.port(), first), "app")
    lines = p.take(6)
    assert 8 <= sum(line["tries"] for line in lines) <= 9, [line["tries"] for line in lines]
    equal({(line["reason"], line["bytes_up"]) for line in lines}, {("ok", len(first))})


def test_the_source_address_may_be_bound(t):
    app = fast_network(t)
    p = front(t, "server = 127.0.0.1:{app} fastopen", "proxy_bind = 127.0.0.44\n" + HELLO, app=app.port)
    for count in range(3):  # the kernel's cookies are the source address's, too
        with open_session(p.port(), tag="app"):
            equal(app.wait(count + 2).sock.getpeername()[0], "127.0.0.44")
    equal(counter("TCPFastOpenActive"), 2, "fast opens")


def test_ipv6_opens_fast_too(t):
    t.need_own_network()
    needs_ipv6()
    allow(CLIENT | SERVER)
    app = t.backend("app", ("::1", t.port()))
    app.listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 64)
    p = front(t, "server = [::1]:{app} fastopen", HELLO, app=app.port)
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "app")
    equal((counter("TCPFastOpenCookieReqd"), counter("TCPFastOpenActive")), (1, 3))


def test_a_refused_connect_without_a_cookie_leads_to_the_next_server(t):
    t.need_own_network()
    allow(CLIENT | SERVER)
    p = front(t, "server = 127.0.0.9:{dead} fastopen max_fails=1 fail_timeout=1h\nserver = 127.0.0.1:{app} fastopen",
              HELLO, app=backend(t, "app").port)
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "app")
    equal(sorted(line["tries"] for line in p.take(4)), [1, 1, 1, 2])


def test_an_address_without_a_route_leads_to_the_next_server(t):
    app = fast_network(t)
    p = front(t, "server = 192.0.2.1:443 fastopen max_fails=1 fail_timeout=1h\nserver = 127.0.0.1:{app} fastopen",
              HELLO, app=app.port)
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "app")
    equal(sorted(line["tries"] for line in p.take(4)), [1, 1, 1, 2])


def test_a_lack_of_ports_is_overload(t):
    app = fast_network(t)
    p = front(t, "server = 127.0.0.1:{app} fastopen", HELLO, "listen = unix:{dir}/front.sock", app=app.port)
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
        file.write("40000 40000")
    first = hello.hello()

    def asks():
        sock = unix_client(t.path("front.sock"))
        sock.sendall(first)
        return sock
    with asks() as holder:
        equal(answer(holder, first), "app")
        with asks() as other:
            equal(answer(other, first), "alert 80")
    equal(sorted(line["reason"] for line in p.take(2)), ["ok", "overload"])


def test_a_refused_syn_leads_the_hello_to_the_next_server(t):
    app = fast_network(t)
    p = front(t, "server = 127.0.0.1:{dead} fastopen max_fails=1 fail_timeout=1h\nserver = 127.0.0.1:{app} fastopen",
              HELLO, app=app.port)
    wire, first = Wire(), hello.hello()
    for _ in range(6):
        equal(ask(p.port(), first), "app")
    equal(wire.syn_bytes(p.ports["dead"]), [len(first)], "bytes with the SYN that was refused")
    lines = p.take(6)
    equal(sorted(line["tries"] for line in lines), [1] * 5 + [2], "tries: the server is ejected")
    equal({line["bytes_up"] for line in lines}, {len(first)})


def test_a_syn_refused_everywhere_is_connect_failed(t):
    fast_network(t)
    p = front(t, "server = 127.0.0.1:{dead} fastopen", HELLO)
    equal(ask(p.port(), hello.hello()), "alert 80")
    line = p.take()
    equal((line["reason"], line["bytes_up"]), ("connect_failed", 0))


def test_a_syn_that_nobody_answers_times_out_and_leads_to_the_next_server(t):
    app = fast_network(t)
    stuck = full_listener(t)
    p = front(t, "server = 127.0.0.1:{stuck} fastopen max_fails=1 fail_timeout=1h\n"
              "server = 127.0.0.1:{app} fastopen", "proxy_connect_timeout = 300ms\n" + HELLO, app=app.port, stuck=stuck)
    wire, first = Wire(), hello.hello()
    for _ in range(4):
        equal(ask(p.port(), first), "app")
    equal(wire.syn_bytes(stuck)[0], len(first), "bytes with the SYN that was not answered")
    equal(sorted(line["tries"] for line in p.take(4)), [1, 1, 1, 2])


def test_a_syn_that_nobody_answers_times_out_with_an_alert(t):
    fast_network(t)
    p = front(t, "server = 127.0.0.1:{stuck} fastopen", "proxy_connect_timeout = 300ms\n" + HELLO,
              stuck=full_listener(t))
    equal(ask(p.port(), hello.hello()), "alert 80")
    line = p.take()
    equal((line["reason"], line["bytes_up"]), ("connect_timeout", 0))
    assert line["duration_ms"] >= 250, line


def test_a_server_may_speak_first_all_the_same(t):
    def greets(conn):
        conn.sock.sendall(b"220 ready\n")
        while data := conn.recv():
            conn.sock.sendall(data)
        conn.sock.close()
    app = fast_network(t)
    app.serve = greets
    p = front(t, "server = 127.0.0.1:{app} fastopen", listener="ssl_preread = off", app=app.port)
    for _ in range(5):
        with client(p.port()) as sock:
            equal(read_exactly(sock, 10), b"220 ready\n")
            echoes(sock)
