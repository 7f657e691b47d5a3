"""Refusals: which inputs are refused, how a refused client learns of it, what the log says."""

import socket
import time

from harness import alert_in, ask, client, equal, limit, read_all, read_exactly, wait_read
import hello

FRONT = """
    [listener front]
    listen = 127.0.0.1:{front}
    {more}
    [route known]
    server_name = known.example
    proxy_pass = app
    [upstream app]
    server = 127.0.0.1:{app}
    """


def front(t, more=""):
    return t.penstock(FRONT, more=more, app=t.backend("app").port)


def refuse_malformed(t, more):
    p = front(t, more)
    cases = hello.malformed()
    assert len(cases) >= 40, len(cases)
    for what, data in cases:
        with client(p.port()) as sock:
            sock.sendall(data)
            equal(alert_in(read_all(sock)), 50, what)
        line = p.take()
        equal((line["reason"], "50" in str(line["alert"]) or "decode_error" in str(line["alert"])), ("malformed", True),
              what)


@limit(60)
def test_malformed_hellos_are_malformed_without_a_default(t):
    refuse_malformed(t, "")


@limit(60)
def test_malformed_hellos_never_become_the_default_or_no_sni(t):
    refuse_malformed(t, """proxy_pass = app
    on_no_sni = default
    on_no_match = default
    on_plaintext = default""")


@limit(60)
def test_malformed_hellos_are_malformed_in_segments_too(t):
    p = front(t, "proxy_pass = app\n    on_plaintext = default")
    for what, data in hello.malformed()[:: 1 if t.scale(8) == 8 else 5]:
        with client(p.port()) as sock:
            sock.sendall(data[:1])
            wait_read([sock])
            sock.sendall(data[1:])
            equal(alert_in(read_all(sock)), 50, what)


def test_unknown_name_reads_unrecognized_name(t):
    p = front(t)
    equal(ask(p.port(), hello.hello("other.example")), "alert 112")
    line = p.take()
    equal((line["reason"], line["sni"]), ("no_match", "other.example"))


def test_no_name_reads_unrecognized_name(t):
    p = front(t)
    equal(ask(p.port(), hello.hello(None)), "alert 112")
    line = p.take()
    equal((line["reason"], line["sni"]), ("no_sni", None))


def test_default_takes_no_match_and_no_sni_when_set(t):
    p = front(t, "proxy_pass = app")
    equal(ask(p.port(), hello.hello("other.example")), "app")
    equal(ask(p.port(), hello.hello(None)), "app")


def told(p, data, wanted, reason):
    """One connection and its line; the lines of two that follow at once may come in either order."""
    equal(ask(p.port(), data), wanted)
    equal(p.take()["reason"], reason)


def test_on_no_match_and_on_no_sni_reject_beside_a_default(t):
    p = front(t, "proxy_pass = app\n    on_no_match = reject")
    told(p, hello.hello("other.example"), "alert 112", "no_match")
    told(p, hello.hello(None), "app", "ok")
    q = t.penstock(FRONT, more="proxy_pass = app\n    on_no_sni = reject", app=t.backend("app").port)
    told(q, hello.hello("other.example"), "app", "ok")
    told(q, hello.hello(None), "alert 112", "no_sni")


def test_plaintext_is_closed_without_an_alert(t):
    p = front(t)
    for data in (hello.HTTP_REQUEST, hello.SSH_BANNER, hello.PG_SSL_REQUEST, b"\0", b"\xff" * 100, b"\x13", b"\x18"):
        with client(p.port()) as sock:
            sock.sendall(data)
            equal(read_all(sock), b"", data[:8])
        equal(p.take()["reason"], "plaintext", data[:8])


def test_plaintext_passes_to_the_default_when_told(t):
    p = front(t, "proxy_pass = app\n    on_plaintext = default")
    for data in (hello.HTTP_REQUEST, hello.SSH_BANNER, hello.PG_SSL_REQUEST, b"\0"):
        equal(ask(p.port(), data), "app", data[:8])
        line = p.take()
        equal((line["reason"], line["upstream"], line["sni"]), ("ok", "app", None))


def test_sslv2_hello_is_malformed_even_where_plaintext_passes(t):
    p = front(t, "proxy_pass = app\n    on_plaintext = default")
    equal(ask(p.port(), hello.SSLV2_HELLO), "alert 50")
    equal(p.take()["reason"], "malformed")


def still_sending(p, first, extra, code):
    """A refused client that goes on sending reads alert and end, never a reset."""
    with client(p.port()) as sock:
        sock.sendall(first)
        for at in range(0, len(extra), 4096):
            sock.sendall(extra[at:at + 4096])
        equal(alert_in(read_all(sock)), code)
        sock.shutdown(socket.SHUT_WR)


def test_refused_client_that_still_sends_40_kb_reads_the_alert_and_the_end(t):
    p = front(t, "deny = 127.0.0.3")
    for first, code in ((hello.hello("other.example"), 112), (hello.hello(None), 112), (hello.SSLV2_HELLO, 50),
                        (hello.malformed()[7][1], 50)):
        for _ in range(5):
            still_sending(p, first, bytes(40000), code)


def test_refused_client_that_sends_all_in_one_segment_reads_the_alert_and_the_end(t):
    p = front(t)
    for _ in range(10):
        with client(p.port()) as sock:
            sock.sendall(hello.hello("other.example") + bytes(40000))
            equal(alert_in(read_all(sock)), 112)


def test_refusal_reaches_a_client_that_sends_slowly_afterwards(t):
    p = front(t)
    with client(p.port()) as sock:
        sock.sendall(hello.hello("other.example"))
        equal(read_exactly(sock, 7)[6], 112)
        for _ in range(10):
            sock.sendall(bytes(1000))
            wait_read([sock])
        equal(sock.recv(1), b"")
    equal(p.take()["reason"], "no_match")


def test_lingering_refusal_ends_though_the_client_never_does(t):
    """Bounded in time and bytes: a client that sends for ever is cut, a silent one is forgotten."""
    p = front(t)
    silent = client(p.port())
    silent.sendall(hello.hello("other.example"))
    equal(alert_in(read_all(silent)), 112)
    endless = client(p.port())
    endless.sendall(hello.hello("other.example"))
    begun, cut = time.monotonic(), False
    while not cut and time.monotonic() - begun < 20:
        try:
            endless.sendall(bytes(65536))
        except OSError:
            cut = True
    assert cut, "a refused client could send for 20 s"
    p.take(2)
    p.wait_empty()
    silent.close()
    endless.close()


def test_reject_route_reads_unrecognized_name(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:{app}
        [route blocked]
        server_name = .blocked.example
        mode = reject
        """, app=t.backend("app").port)
    equal(ask(p.port(), hello.hello("a.blocked.example")), "alert 112")
    line = p.take()
    equal((line["reason"], line["route"], line["mode"]), ("rejected", "blocked", "reject"))
    equal(ask(p.port(), hello.hello("open.example")), "app")


def test_no_server_reads_internal_error(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [route down]
        proxy_pass = app
        [upstream app]
        server = 127.0.0.1:{app} down
        """)
    equal(ask(p.port(), hello.hello()), "alert 80")
    equal(p.take()["reason"], "no_server")


def test_refused_connect_reads_internal_error(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [route dead]
        proxy_pass = 127.0.0.1:{nobody}
        """)
    equal(ask(p.port(), hello.hello()), "alert 80")
    line = p.take()
    equal(line["reason"], "connect_failed")
    assert line["tries"] >= 1, line


def test_denied_client_reads_access_denied(t):
    p = front(t, "proxy_pass = app\n    deny = 127.0.0.2\n    deny = 127.1.0.0/16")
    for source, wanted in (("127.0.0.1", "app"), ("127.0.0.2", "alert 49"), ("127.1.2.3", "alert 49"),
                           ("127.2.0.1", "app")):
        equal(ask(p.port(), hello.hello(), source=source), wanted, source)
        equal(p.take()["reason"], "ok" if wanted == "app" else "denied", source)


def test_first_rule_of_allow_and_deny_decides(t):
    p = front(t, "proxy_pass = app\n    deny = 127.0.0.2\n    allow = 127.0.0.0/24\n    deny = 127.0.0.0/8")
    for source, wanted in (("127.0.0.1", "app"), ("127.0.0.2", "alert 49"), ("127.0.1.1", "alert 49")):
        equal(ask(p.port(), hello.hello(), source=source), wanted, source)


def test_list_with_an_allow_refuses_the_rest(t):
    p = front(t, "proxy_pass = app\n    allow = 127.0.0.9")
    equal(ask(p.port(), hello.hello(), source="127.0.0.9"), "app")
    equal(ask(p.port(), hello.hello()), "alert 49")


def test_route_has_its_own_allow_list(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [route private]
        server_name = private.example
        proxy_pass = app
        allow = 127.0.0.9
        [route public]
        server_name = public.example
        proxy_pass = app
        [upstream app]
        server = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    equal(ask(p.port(), hello.hello("private.example")), "alert 49")
    equal(ask(p.port(), hello.hello("private.example"), source="127.0.0.9"), "app")
    equal(ask(p.port(), hello.hello("public.example")), "app")
    equal(sorted(line["reason"] for line in p.take(3)), ["denied", "ok", "ok"])


def test_silent_client_is_ended_by_the_preread_timeout(t):
    p = front(t, "preread_timeout = 300ms")
    for sent in (b"", hello.hello()[:5], hello.hello()[:-1]):
        with client(p.port()) as sock:
            sock.sendall(sent)
            read_all(sock)
        equal(p.take()["reason"], "hello_timeout", f"after {len(sent)} bytes")
    p.wait_empty()


def test_trickling_client_is_ended_by_the_preread_timeout(t):
    """The timeout is from accept to the whole hello, not from byte to byte."""
    p = front(t, "preread_timeout = 500ms")
    with client(p.port()) as sock:
        begun = time.monotonic()
        try:
            for byte in hello.hello(post_quantum=True):
                sock.sendall(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass
        assert time.monotonic() - begun < 15, "a trickler lived on"
    equal(p.take()["reason"], "hello_timeout")


def test_refused_clients_leave_nothing_behind(t):
    p = front(t)
    before = p.sockets()
    for _ in range(t.scale(200)):
        equal(ask(p.port(), hello.hello("other.example")), "alert 112")
    p.wait_empty()
    p.wait_sockets(before)


def test_reset_client_is_not_answered_and_is_logged(t):
    p = front(t)
    sock = client(p.port())
    sock.sendall(hello.hello("known.example")[:50])
    wait_read([sock])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    assert p.take()["reason"] in ("client_gone", "client_reset")
    p.wait_empty()
