"""Termination: TLS ends in Penstock, the server sees plain bytes, or TLS again."""

import hashlib
import os
import socket
import ssl
import struct
import threading
import time
import urllib.request

from harness import (Backend, LIMIT, SANITIZED, client, ask, collect, equal, heavy, limit, note, read_all, reads_reset,
                     silent, stream, wait_until)
import hello
import tls

MIB = 1 << 20

FRONT = """
    [global]
    workers = 2
    {more_global}
    [listener front]
    listen = 127.0.0.1:{front}
    {more_listener}
    [route site]
    listener = front
    server_name = site.example.com
    mode = terminate
    ssl_certificate = {cert}
    ssl_certificate_key = {key}
    {more_route}
    proxy_pass = app
    [upstream app]
    server = 127.0.0.1:{app}
    {more_upstream}
    {more}
    """


class Site:
    """A penstock that terminates site.example.com in front of *serve*."""

    def __init__(self, t, serve, authority=None, **more):
        self.authority = authority or tls.Authority(t)
        self.pair = self.authority.issue("site.example.com")
        self.backend = Backend(t, serve)
        given = {"more": "", "more_global": "", "more_listener": "", "more_route": "", "more_upstream": "", **more}
        self.p = t.penstock(FRONT, cert=self.pair[0], key=self.pair[1], app=self.backend.port, ca=self.authority.cert,
                            **given)
        self.port = self.p.port()

    def connect(self, name="site.example.com", **how):
        return tls.connect(self.port, tls.client_context(self.authority, **how), name)


def echo(conn):
    while data := conn.recv():
        conn.sock.sendall(data)
    conn.sock.close()


def end(session):
    """Ends it from the client's side, cleanly."""
    session.close_notify()
    equal(session.read_all(), b"", "behind the client's close_notify")
    session.close()


def reads_internal_error(session):
    try:
        session.read_all()
        raise AssertionError("a clean end")
    except ssl.SSLError as error:
        assert "INTERNAL_ERROR" in error.reason, error


def test_the_server_sees_plain_bytes_and_the_client_the_certificate_of_the_site(t):
    for version, word in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        site = Site(t, echo)
        session = site.connect(version=version).handshake()
        session.write(b"plain words")
        equal(session.read_exactly(11), b"plain words")
        equal(bytes(site.backend.wait().received), b"plain words")
        end(session)
        line = site.p.take()
        equal((line["mode"], line["reason"], line["tls"], line["resumed"]), ("terminate", "ok", word, "no"))
        equal((line["bytes_up"], line["bytes_down"], line["client_cert"]), (11, 11, None))
        equal(line["cipher"], session.tls.cipher()[0])
        assert line["group"], line
        site.p.wait_empty()


def test_one_port_passes_one_name_through_terminates_one_and_rejects_one(t):
    behind = Backend(t, silent)
    site = Site(t, echo, more=f"""
        [route through]
        listener = front
        server_name = pass.example.com
        proxy_pass = 127.0.0.1:{behind.port}
        [route none]
        listener = front
        server_name = no.example.com
        mode = reject""")
    passed = client(site.port)
    first = hello.hello(b"pass.example.com")
    passed.sendall(first)
    equal(behind.wait().sock.recv(1 << 16), first)
    behind.conns[0].sock.sendall(b"not TLS at all")
    equal(passed.recv(100), b"not TLS at all")
    session = site.connect().handshake()
    session.write(b"terminated")
    equal(session.read_exactly(10), b"terminated")
    equal(ask(site.port, hello.hello(b"no.example.com")), "alert 112")
    plain = client(site.port)
    plain.sendall(b"GET / HTTP/1.1\r\nHost: site.example.com\r\n\r\n")
    equal(plain.recv(100), b"")
    end(session)
    behind.conns[0].sock.close()
    passed.close()
    equal({(line["sni"], line["mode"]) for line in site.p.take(4)},
          {("pass.example.com", "passthrough"), ("site.example.com", "terminate"), ("no.example.com", "reject"),
           (None, None)})


def test_data_that_comes_with_the_clients_finished_is_not_lost(t):
    site = Site(t, echo)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        session = site.connect(version=version)
        session.handshake(flush=version == ssl.TLSVersion.TLSv1_2)
        session.write(b"at once", flush=False)
        session.close_notify()
        equal(session.read_all(), b"at once")
        session.close()
    equal([line["reason"] for line in site.p.take(2)], ["ok", "ok"])


def test_a_hello_in_several_records_is_terminated(t):
    site = Site(t, echo)
    for size in (1, 4, 5, 50, 200):
        session = site.connect()
        session.sock.sendall(tls.in_records(first_flight(session), size))
        session.handshake()
        session.write(b"whole")
        equal(session.read_exactly(5), b"whole")
        end(session)


def first_flight(session):
    try:
        session.tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return bytearray(session.take())


def test_the_version_of_a_hellos_record_is_ignored(t):
    site = Site(t, echo)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for minor in (0, 1, 3, 9):
            session = site.connect(version=version)
            record = first_flight(session)
            record[2] = minor
            session.sock.sendall(record)
            session.handshake()
            end(session)


def test_a_client_of_ssl_3_reads_an_alert(t):
    site = Site(t, echo)
    session = site.connect(version=ssl.TLSVersion.TLSv1_2)
    record = first_flight(session)
    record[2] = record[10] = 0
    session.sock.sendall(record)
    answer = session.sock.recv(100)
    equal((answer[0], answer[5], len(answer)), (0x15, 2, 7))
    equal(session.sock.recv(1), b"")
    line = site.p.take()
    equal((line["reason"], line["alert"], line["server"]), ("handshake_failed", answer[6], None))


def test_a_handshake_that_dribbles_byte_by_byte_is_served(t):
    site = Site(t, echo)
    session = site.connect()

    def dribble():
        for byte in session.take():
            session.sock.sendall(bytes([byte]))
    while True:
        try:
            session.tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            dribble()
            session.feed()
    session.write(b"slowly", flush=False)
    dribble()
    equal(session.read_exactly(6), b"slowly")
    end(session)


def test_no_server_is_connected_to_before_the_handshake_is_done(t):
    site = Site(t, echo, more_route="ssl_handshake_timeout = 400ms")
    session = site.connect()
    try:
        session.tls.do_handshake()
    except ssl.SSLWantReadError:
        session.flush()
    assert session.feed()
    assert read_all(session.sock) is not None
    line = site.p.take()
    equal((line["reason"], line["server"], line["tries"]), ("handshake_timeout", None, 0))
    equal(site.backend.conns, [])
    site.p.wait_empty()


def test_a_client_without_a_common_version_reads_an_alert(t):
    site = Site(t, echo, more_route="ssl_protocols = TLSv1.3")
    try:
        site.connect(version=ssl.TLSVersion.TLSv1_2).handshake()
        raise AssertionError("the handshake was done")
    except ssl.SSLError as error:
        assert "PROTOCOL_VERSION" in error.reason, error
    line = site.p.take()
    equal((line["reason"], line["alert"], line["server"]), ("handshake_failed", 70, None))
    wait_until("the failure is in the error log", lambda: "TLS handshake with the client" in site.p.err())


def test_a_client_that_dislikes_the_certificate_ends_its_handshake(t):
    site = Site(t, echo)
    session = tls.connect(site.port, tls.client_context(tls.Authority(t, "other")), "site.example.com")
    try:
        session.handshake()
        raise AssertionError("the handshake was done")
    except ssl.SSLCertVerificationError:
        session.flush()
    line = site.p.take()
    equal((line["reason"], line["alert"], line["server"]), ("handshake_failed", 48, None))
    equal(site.backend.conns, [])


def client_certificates(t, mode):
    site = Site(t, echo, more_route=f"ssl_verify_client = {mode}\nssl_client_certificate = {t.path('ca.pem')}")
    other = tls.Authority(t, "other")
    return site, site.authority.issue("alice"), other.issue("mallory")


def refused(session):
    try:
        session.handshake()
        return session.read()
    except (ssl.SSLError, OSError) as error:
        return error


def test_a_client_certificate_is_asked_for_and_its_subject_logged(t):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        site, alice, mallory = client_certificates(t, "on")
        session = site.connect(pair=alice, version=version).handshake()
        session.write(b"it is me")
        equal(session.read_exactly(8), b"it is me")
        end(session)
        line = site.p.take()
        equal((line["reason"], line["client_cert"]), ("ok", "CN=alice,O=Penstock"))
        for pair in (None, mallory):
            got = refused(site.connect(pair=pair, version=version))
            assert isinstance(got, ssl.SSLError), got
            line = site.p.take()
            equal((line["reason"], line["server"], line["client_cert"]), ("client_cert", None, None))
            assert line["alert"], line
        equal(len(site.backend.conns), 1, "connections to the server")


def test_an_end_without_close_notify_is_passed_on_and_called_truncated(t):
    site = Site(t, collect)
    session = site.connect().handshake()
    session.write(b"and then")
    session.sock.shutdown(socket.SHUT_WR)
    conn = site.backend.wait()
    wait_until("the server reads the end", lambda: conn.done)
    equal((bytes(conn.received), conn.error), (b"and then", None))
    equal(session.read_all(), b"")
    line = site.p.take()
    equal((line["reason"], line["bytes_up"]), ("truncated", 8))


def test_a_record_that_does_not_verify_ends_the_session_by_an_alert_and_a_reset(t):
    def serve(conn):
        conn.got = reads_reset(conn.sock)
    site = Site(t, serve)
    session = site.connect().handshake()
    session.write(b"good")
    wait_until("the server has it", lambda: site.backend.conns)
    session.sock.sendall(b"\x17\x03\x03\x00\x40" + bytes(64))
    try:
        session.read_all()
        raise AssertionError("a clean end")
    except ssl.SSLError as error:
        assert "BAD_RECORD_MAC" in error.reason, error
    line = site.p.take()
    equal(line["reason"], "truncated")
    conn = site.backend.wait()
    wait_until("the server read a reset", lambda: conn.done)
    equal((conn.error, conn.got), (None, b"good"))


def test_a_server_that_ends_first_ends_the_session_cleanly(t):
    def serve(conn):
        conn.recv()
        conn.sock.sendall(stream(300000))
        conn.sock.close()
    site = Site(t, serve)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        session = site.connect(version=version).handshake()
        session.write(b"go")
        equal(session.read_all(), stream(300000))
        session.close_notify()
        session.close()
        line = site.p.take()
        equal((line["reason"], line["bytes_up"], line["bytes_down"]), ("ok", 2, 300000))


def test_a_client_that_ends_its_half_still_reads_the_rest(t):
    def serve(conn):
        while conn.recv():
            pass
        conn.sock.sendall(stream(500000))
        conn.sock.close()
    site = Site(t, serve)
    session = site.connect().handshake()
    session.write(stream(100000))
    session.close_notify()
    equal(session.read_all(), stream(500000))
    equal(bytes(site.backend.wait().received), stream(100000))
    session.close()
    equal(site.p.take()["reason"], "ok")


def test_a_reset_of_the_server_is_no_clean_end_for_the_client(t):
    def serve(conn):
        conn.recv()
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.sock.close()
    site = Site(t, serve)
    session = site.connect().handshake()
    session.write(b"go")
    try:
        session.read_all()
        raise AssertionError("a clean end")
    except (ConnectionResetError, ssl.SSLEOFError):
        pass
    equal(site.p.take()["reason"], "upstream_reset")


def test_a_client_whose_handshake_is_done_reads_an_alert_when_there_is_no_server(t):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        site = Site(t, silent)
        site.backend.close()
        session = site.connect(version=version).handshake()
        reads_internal_error(session)
        line = site.p.take()
        equal((line["reason"], line["alert"]), ("connect_failed", 80))
        site.p.wait_empty()


def test_a_slow_reader_holds_back_its_writer_and_costs_little_memory(t):
    sent = [0] * 8

    def serve(conn):
        index = len(site.backend.conns) - 1
        conn.recv()
        while True:
            sent[index] += conn.sock.send(stream(65536, sent[index]))
    site = Site(t, serve)
    before = site.p.rss()
    sessions = []
    for _ in range(8):
        session = site.connect().handshake()
        session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        session.write(b"go")
        sessions.append(session)
    last, since = list(sent), time.monotonic()
    while time.monotonic() - since < 0.5:
        if sent != last:
            last, since = list(sent), time.monotonic()
        time.sleep(0.05)
    grown = site.p.rss() - before
    note(f"{sum(sent) >> 10} KiB were taken from the servers, {grown >> 10} KiB of memory")
    # A sanitizer keeps what the library has freed.
    assert SANITIZED or grown < 24 * MIB, grown
    for session in sessions:
        equal(session.read_exactly(1 * MIB), stream(1 * MIB))
        session.close()


@heavy
@limit(120)
def test_256_mib_each_way_over_32_sessions_come_back_as_they_were_sent(t):
    site = Site(t, echo)
    each = t.scale(256 * MIB) // 32
    errors = []

    def one(number):
        data = os.urandom(MIB)
        sent, got = hashlib.sha256(), hashlib.sha256()
        session = site.connect(version=(None, ssl.TLSVersion.TLSv1_2)[number % 2]).handshake()

        def write():
            for at in range(0, each, 65536):
                piece = data[at % MIB:at % MIB + min(65536, each - at)]
                sent.update(piece)
                plain.sendall(piece)
            plain.shutdown(socket.SHUT_WR)
        # A thread for each direction: a pair of sockets stands between them and the TLS in the middle.
        plain, inner = socket.socketpair()
        plain.settimeout(LIMIT * 4)
        pump = threading.Thread(target=pump_session, args=(session, inner), daemon=True)
        writer = threading.Thread(target=write, daemon=True)
        pump.start()
        writer.start()
        while piece := plain.recv(1 << 16):
            got.update(piece)
        writer.join()
        pump.join()
        if sent.digest() != got.digest():
            errors.append(f"session {number} got other bytes than it sent")
        plain.close()
        session.close()
    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(errors, [])
    lines = site.p.take(32)
    equal({(line["reason"], line["bytes_up"], line["bytes_down"]) for line in lines}, {("ok", each, each)})
    site.p.wait_empty()


def pump_session(session, inner):
    """Moves bytes between *inner* and *session*, both ways at once, until both have ended."""
    import select  # pylint: disable=import-outside-toplevel
    pending, ended = b"", False
    session.sock.setblocking(False)
    inner.setblocking(False)
    while True:
        wants_read = [session.sock] + ([inner] if not pending and not ended else [])
        readable, _, _ = select.select(wants_read, [session.sock] if pending else [], [], LIMIT * 4)
        if inner in readable:
            data = inner.recv(1 << 16)
            if data:
                session.write(data, flush=False)
            else:
                ended = True
                session.tls_ended = True
                try:
                    session.tls.unwrap()
                except ssl.SSLError:
                    pass
            pending += session.take()
        if session.sock in readable:
            data = session.sock.recv(1 << 16)
            if data:
                session.incoming.write(data)
            else:
                session.incoming.write_eof()
            try:
                while plain := session.tls.read(1 << 16):
                    inner.setblocking(True)
                    inner.sendall(plain)
                    inner.setblocking(False)
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                inner.close()
                return
            pending += session.take()
        if pending:
            try:
                pending = pending[session.sock.send(pending):]
            except BlockingIOError:
                pass


# ---- TLS to the server ----


UPSTREAM = "proxy_ssl = on\nproxy_ssl_trusted_certificate = {ca}\nproxy_ssl_name = {name}"


def tls_site(t, serve, name="server.example.com", trusted=None, more=""):
    authority = tls.Authority(t, "inner")
    context = tls.server_context(authority.issue("server.example.com"))
    return Site(t, tls.tls_server(context, serve),
                more_upstream=UPSTREAM.format(ca=trusted or authority.cert, name=name) + more)


def tls_echo(conn, session):
    del conn
    while data := session.read():
        session.write(data)
    session.close_notify()
    session.close()


def test_tls_on_both_sides_relays_all_bytes_and_both_ends(t):
    site = tls_site(t, tls_echo)
    session = site.connect().handshake()
    for size in (1, 1000, 16384, 16385, 300000):
        session.write(stream(size))
        equal(session.read_exactly(size), stream(size))
    equal(site.backend.wait().sni, "server.example.com")
    end(session)
    line = site.p.take()
    equal((line["reason"], line["bytes_up"]), ("ok", 1 + 1000 + 16384 + 16385 + 300000))
    site.p.wait_empty()


def test_a_server_that_is_not_trusted_is_not_used(t):
    other = tls.Authority(t, "stranger")
    for how in ({"trusted": other.cert}, {"name": "elsewhere.example.com"}):
        site = tls_site(t, tls_echo, **how)
        session = site.connect().handshake()
        session.write(b"secret")
        reads_internal_error(session)
        line = site.p.take()
        equal((line["reason"], line["alert"], line["bytes_up"]), ("upstream_verify_failed", 80, 0))
        conn = site.backend.wait()
        wait_until("the server's handshake has failed", lambda c=conn: c.done)
        assert conn.failed, "the server's handshake was done"
        site.p.wait_empty()


def test_a_server_that_speaks_no_tls_is_told_apart(t):
    def serve(conn):
        conn.recv()
        conn.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        conn.sock.close()
    site = Site(t, serve, more_upstream="proxy_ssl = on\nproxy_ssl_verify = off")
    session = site.connect().handshake()
    reads_internal_error(session)
    equal(site.p.take()["reason"], "upstream_handshake_failed")


def test_a_server_that_never_answers_the_handshake_is_waited_for_no_longer_than_for_its_connect(t):
    site = Site(t, silent, more_upstream="proxy_ssl = on\nproxy_ssl_verify = off\nproxy_connect_timeout = 300ms")
    session = site.connect().handshake()
    reads_internal_error(session)
    equal(site.p.take()["reason"], "upstream_handshake_failed")


def test_the_proxy_header_goes_ahead_of_tls_to_the_server(t):
    authority = tls.Authority(t, "inner")
    context = tls.server_context(authority.issue("server.example.com"))

    def serve(conn):
        header = b""
        while not header.endswith(b"\r\n"):
            header += conn.sock.recv(1)
        conn.header = header
        tls.tls_server(context, tls_echo)(conn)
    site = Site(t, serve, more_upstream=UPSTREAM.format(ca=authority.cert, name="server.example.com") +
                "\nsend_proxy_protocol = v1")
    session = site.connect().handshake()
    session.write(b"behind the header")
    equal(session.read_exactly(17), b"behind the header")
    source = session.sock.getsockname()
    equal(site.backend.wait().header, f"PROXY TCP4 127.0.0.1 127.0.0.1 {source[1]} {site.port}\r\n".encode())
    end(session)


def test_what_is_passed_through_may_go_to_the_server_inside_tls(t):
    authority = tls.Authority(t, "inner")
    context = tls.server_context(authority.issue("server.example.com"))
    site = Site(t, tls.tls_server(context, tls_echo), more_upstream=UPSTREAM.format(
        ca=authority.cert, name="server.example.com"), more="""
        [sni front]
        pass.example.com = app""")
    first = hello.hello(b"pass.example.com")
    passed = client(site.port)
    passed.sendall(first)
    equal(passed.recv(1 << 16), first)
    passed.sendall(stream(100000))
    got = b""
    while len(got) < 100000:
        got += passed.recv(1 << 16)
    equal(got, stream(100000))
    passed.shutdown(socket.SHUT_WR)
    equal(read_all(passed), b"")
    equal(site.p.take()["reason"], "ok")


def test_handshakes_are_counted(t):
    metrics = t.port()
    site = Site(t, echo, more_global=f"metrics_listen = 127.0.0.1:{metrics}")
    end(site.connect().handshake())
    end(site.connect(version=ssl.TLSVersion.TLSv1_2).handshake())
    site.p.take(2)
    text = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=LIMIT).read().decode()
    for version in ("1.2", "1.3"):
        assert f'penstock_handshakes_total{{listener="front",version="TLSv{version}",resumed="no"}} 1\n' in text, text
    assert "penstock_handshake_seconds_count 2\n" in text, text
