"""The PROXY protocol, versions 1 and 2, in and out."""

import socket
import struct

from harness import answer, ask, client, equal, limit, read_all, read_exactly, unix_client, wait_read
import hello

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n"


def v2(command=1, family=0x11, body=None, tlvs=b"", source="192.0.2.7", destination="198.51.100.1"):
    if body is None:
        kind = socket.AF_INET6 if ":" in source else socket.AF_INET
        body = socket.inet_pton(kind, source) + socket.inet_pton(kind, destination) + struct.pack("!HH", 40000, 443)
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(body + tlvs)) + body + tlvs


def tlv(kind, data):
    return bytes([kind]) + struct.pack("!H", len(data)) + data


V2 = v2()
V2_IPV6 = v2(family=0x21, source="2001:db8::7", destination="2001:db8::1")


def front(t, mode="on", trusted="127.0.0.0/8", more=""):
    return t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        accept_proxy_protocol = {mode}
        set_real_ip_from = {trusted}
        preread_timeout = 60s
        {more}
        [sni front]
        app1.example.com = app
        [upstream app]
        server = 127.0.0.1:{app}
        """, mode=mode, trusted=trusted, more=more, app=t.backend("app").port)


def ask_behind(p, header, first=None, source=None):
    first = hello.hello() if first is None else first
    with client(p.port(), source=source) as sock:
        sock.sendall(header + first)
        return answer(sock, first)


def test_header_and_hello_in_one_segment(t):
    p = front(t)
    for header, address in ((V1, "192.0.2.7"), (V2, "192.0.2.7"), (V1_IPV6, "2001:db8::7"), (V2_IPV6, "2001:db8::7")):
        equal(ask_behind(p, header), "app", header)
        line = p.take()
        assert address in line["client"] and line["client"].endswith("40000"), line
        assert line["peer"].startswith("127.0.0.1"), line
        equal(line["reason"], "ok")


@limit(60)
def test_any_split_of_header_and_hello_is_one_connection(t):
    p = front(t)
    for header in (V1, V2, V2_IPV6):
        whole = header + hello.hello()
        cuts = list(range(1, len(header) + 12, 1 if t.scale(8) == 8 else 5))
        socks = [client(p.port()) for _ in cuts]
        for cut, sock in zip(cuts, socks):
            sock.sendall(whole[:cut])
        wait_read(socks)
        for cut, sock in zip(cuts, socks):
            sock.sendall(whole[cut:])
            equal(answer(sock, hello.hello()), "app", f"cut at {cut}")
            sock.close()
        for line in p.take(len(cuts)):
            assert line["client"].endswith("40000"), line


def test_header_and_hello_in_segments_of_one_byte(t):
    p = front(t)
    socks = [client(p.port()), client(p.port())]
    wholes = [V1 + hello.hello(alpn=(), grease=False), V2 + hello.hello(alpn=(), grease=False)]
    for at in range(max(map(len, wholes))):
        for sock, whole in zip(socks, wholes):
            sock.sendall(whole[at:at + 1])
        wait_read(socks)
    for sock in socks:
        equal(answer(sock, hello.hello(alpn=(), grease=False)), "app")
        sock.close()


def test_unknown_tlvs_are_skipped(t):
    p = front(t)
    for tlvs in (tlv(0x02, b"name.example"), tlv(0x04, bytes(100)) + tlv(0xE0, b"x" * 2000), tlv(0x20, bytes(5))):
        equal(ask_behind(p, v2(tlvs=tlvs)), "app")
        assert p.take()["client"].startswith("192.0.2.7"), tlvs


def test_local_and_unknown_keep_the_peers_address(t):
    p = front(t)
    for header in (v2(command=0, family=0, body=b""), v2(command=0), v2(family=0, body=b""), b"PROXY UNKNOWN\r\n",
                   b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"):
        equal(ask_behind(p, header, source="127.0.0.5"), "app", header)
        line = p.take()
        assert line["client"].startswith("127.0.0.5"), (header, line)


def test_required_header_that_is_missing_is_refused(t):
    p = front(t)
    for first in (hello.hello(), hello.HTTP_REQUEST):
        with client(p.port()) as sock:
            sock.sendall(first)
            read_all(sock)
        equal(p.take()["reason"], "proxy_header")


def test_broken_headers_are_refused(t):
    for mode in ("on", "optional"):
        p = front(t, mode=mode, more="proxy_pass = app\n    on_plaintext = default", )
        for header in (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n", b"PROXY TCP4 192.0.2.777 198.51.100.1 1 2\r\n",
                       b"PROXY TCP4 192.0.2.7 198.51.100.1 70000 2\r\n", b"PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n",
                       b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", b"PROXY " + b"x" * 200 + b"\r\n",
                       SIGNATURE + b"\x31\x11\0\x0c" + bytes(12), SIGNATURE + b"\x2f\x11\0\x0c" + bytes(12),
                       v2(body=bytes(4)), v2(family=0x21, body=bytes(12))):
            with client(p.port()) as sock:
                sock.sendall(header + hello.hello())
                got = read_all(sock)
            assert got in (b"",) or got[0] == 0x15, (mode, header, got)
            equal(p.take()["reason"], "proxy_header", (mode, header))
        p.stop()


def test_untrusted_sender_is_refused_where_the_header_is_required(t):
    p = front(t, trusted="10.0.0.0/8")
    for first in (V1 + hello.hello(), V2 + hello.hello(), hello.hello()):
        with client(p.port()) as sock:
            sock.sendall(first)
            read_all(sock)
        line = p.take()
        equal(line["reason"], "proxy_header")
        assert line["client"].startswith("127.0.0.1"), line


def test_untrusted_senders_header_is_data_where_it_is_optional(t):
    p = front(t, mode="optional", trusted="127.0.0.9/32", more="proxy_pass = app\n    on_plaintext = default")
    first = V1 + hello.hello()
    equal(ask(p.port(), first), "app", "the backend gets header and hello as they came")
    line = p.take()
    assert line["client"].startswith("127.0.0.1") and line["sni"] is None, line
    equal(ask(p.port(), hello.hello()), "app")
    equal(p.take()["sni"], "app1.example.com")
    equal(ask_behind(p, V1, source="127.0.0.9"), "app")
    assert p.take()["client"].startswith("192.0.2.7")


def test_optional_header_may_be_absent(t):
    p = front(t, mode="optional")
    equal(ask(p.port(), hello.hello(), source="127.0.0.6"), "app")
    assert p.take()["client"].startswith("127.0.0.6")


def test_header_is_data_where_it_is_off(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [sni front]
        app1.example.com = 127.0.0.1:1
        """.replace("= 127.0.0.1:1", "= app\n        [upstream app]\n        server = 127.0.0.1:1"))
    with client(p.port()) as sock:
        sock.sendall(V1 + hello.hello())
        equal(read_all(sock), b"")
    equal(p.take()["reason"], "plaintext")


def test_lists_and_limits_judge_the_headers_address(t):
    p = front(t, more="deny = 192.0.2.0/24\n    max_conns_per_ip = 1")
    equal(ask_behind(p, V1), "alert 49")
    line = p.take()
    equal(line["reason"], "denied")
    assert line["client"].startswith("192.0.2.7"), line
    first, second = v2(source="203.0.113.1"), v2(source="203.0.113.2")
    with client(p.port()) as held:
        held.sendall(first + hello.hello())
        equal(answer(held, hello.hello()), "app")
        equal(ask_behind(p, first), "alert 49")
        equal(p.take()["reason"], "limited")
        equal(ask_behind(p, second), "app")


def test_preread_timeout_holds_for_the_header_too(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        accept_proxy_protocol = on
        set_real_ip_from = 127.0.0.1
        preread_timeout = 300ms
        proxy_pass = 127.0.0.1:1
        """)
    for sent in (b"", V1[:10], V2[:14]):
        with client(p.port()) as sock:
            sock.sendall(sent)
            read_all(sock)
        equal(p.take()["reason"], "hello_timeout", sent)


def recorder(conn):
    """Answers, and keeps what came."""
    conn.recv()
    conn.sock.sendall(b"ok\n")
    while conn.recv():
        pass
    conn.sock.close()


def sends(t, version, listen="127.0.0.1:{front}"):
    backend = t.backend(recorder)
    p = t.penstock(f"""
        [listener front]
        listen = {listen}
        proxy_pass = app
        [upstream app]
        server = 127.0.0.1:{{app}}
        send_proxy_protocol = {version}
        """, app=backend.port)
    return backend, p


def received_behind_one_client(backend, p, sock):
    with sock:
        sock.sendall(hello.hello())
        equal(read_exactly(sock, 3), b"ok\n")
        sock.shutdown(socket.SHUT_WR)
        equal(read_all(sock), b"")
    p.take()
    equal(len(backend.conns), 1)
    return bytes(backend.conns[0].received)


def test_v1_is_sent_in_front_of_the_hello(t):
    backend, p = sends(t, "v1")
    sock = client(p.port(), source="127.0.0.8")
    port = sock.getsockname()[1]
    equal(received_behind_one_client(backend, p, sock),
          f"PROXY TCP4 127.0.0.8 127.0.0.1 {port} {p.port()}\r\n".encode() + hello.hello())


def test_v2_is_sent_in_front_of_the_hello(t):
    backend, p = sends(t, "v2")
    sock = client(p.port(), source="127.0.0.8")
    port = sock.getsockname()[1]
    wanted = SIGNATURE + b"\x21\x11\0\x0c" + socket.inet_aton("127.0.0.8") + socket.inet_aton("127.0.0.1")
    equal(received_behind_one_client(backend, p, sock), wanted + struct.pack("!HH", port, p.port()) + hello.hello())


def test_ipv6_client_is_sent_as_ipv6(t):
    backend, p = sends(t, "v2", "[::1]:{front}")
    sock = client(p.port(), host="::1")
    port, one = sock.getsockname()[1], socket.inet_pton(socket.AF_INET6, "::1")
    equal(received_behind_one_client(backend, p, sock),
          SIGNATURE + b"\x21\x21\0\x24" + one + one + struct.pack("!HH", port, p.port()) + hello.hello())


def test_unix_client_is_sent_without_addresses(t):
    backend, p = sends(t, "v1", "unix:{dir}/front.sock")
    equal(received_behind_one_client(backend, p, unix_client(t.path("front.sock"))),
          b"PROXY UNKNOWN\r\n" + hello.hello())
    p.stop()
    backend, p = sends(t, "v2", "unix:{dir}/front.sock")
    got = received_behind_one_client(backend, p, unix_client(t.path("front.sock")))
    assert got.startswith(SIGNATURE + b"\x20") or got.startswith(SIGNATURE + b"\x21\0"), got[:20]
    size = struct.unpack("!H", got[14:16])[0]
    equal(got[16 + size:], hello.hello())


def test_header_is_sent_where_no_hello_is_read(t):
    """A server that speaks first must still get the header, before the client has said a word."""
    def serve(conn):
        while not conn.received.endswith(b"\r\n"):
            conn.recv()
        conn.sock.sendall(b"hello " + conn.received.split()[2] + b"\n")
        conn.sock.close()
    backend = t.backend(serve)
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        ssl_preread = off
        proxy_pass = app
        [upstream app]
        server = 127.0.0.1:{app}
        send_proxy_protocol = v1
        """, app=backend.port)
    with client(p.port(), source="127.0.0.4") as sock:
        equal(read_all(sock), b"hello 127.0.0.4\n")
