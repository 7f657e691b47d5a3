"""PostgreSQL: clients that ask for TLS first, as psql does, led by name to real servers; what must not be taken."""

import signal
import socket
import ssl
import time

from harness import alert_in, client, equal, limit, read_all, read_exactly, wait_until
import hello
from postgresql import (GSSENC_REQUEST, SSL_REQUEST, STARTUP, Server, arguments, cancel_request, error_fields, psql)

TWO = """
    [listener front]
    listen = 127.0.0.1:{front}
    starttls = postgresql
    {more}
    [sni front]
    orders.test = orders
    reports.test = reports
    [upstream orders]
    server = 127.0.0.1:{orders}
    {server}
    [upstream reports]
    server = 127.0.0.1:{reports}
    """

# psql and the server close at the same time, with the other's close_notify unread: either may be the one that resets.
ENDS = {"ok", "client_reset", "upstream_reset"}


def two(t, orders, reports=1, more="", server=""):
    return t.penstock(TWO, orders=orders, reports=reports, more=more, server=server)


WHO = "select current_setting('cluster_name'), ssl from pg_stat_ssl where pid = pg_backend_pid()"


@limit(90)
def test_psql_reaches_the_server_of_its_host_name_with_require_and_verify_full(t):
    servers = [Server(t, "orders.test"), Server(t, "reports.test")]
    p = two(t, servers[0].number, servers[1].number)
    for server in servers:
        for sslmode in ("require", "verify-full"):
            code, out, err = psql(server.host, p.port(), WHO, sslmode=sslmode, sslrootcert=server.certificate)
            equal((code, out), (0, f"{server.host}|t"), f"{sslmode}: {err}")
            line = p.take()
            equal((line["sni"], line["upstream"]), (server.host, server.host.split(".")[0]))
            assert line["reason"] in ENDS, line
    code, _, err = psql("reports.test", p.port(), WHO, sslmode="verify-full", sslrootcert=servers[0].certificate)
    equal((code, "certificate verify failed" in err), (2, True), err)


@limit(90)
def test_psql_that_wants_no_tls_reads_why_it_is_refused(t):
    p = two(t, 1)
    code, _, err = psql("orders.test", p.port(), "select 1", sslmode="disable")
    equal((code, "this port takes TLS only" in err), (2, True), err)
    equal(p.take()["reason"], "plaintext")


@limit(90)
def test_psql_that_wants_no_tls_passes_where_the_default_takes_it(t):
    server = Server(t, "plain.test", ssl=False)
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        starttls = postgresql
        on_plaintext = default
        proxy_pass = 127.0.0.1:{pg}
        """, pg=server.number)
    code, out, err = psql("plain.test", p.port(), WHO, sslmode="disable")
    equal((code, out), (0, "plain.test|f"), err)


@limit(120)
def test_a_query_is_cancelled_wherever_it_runs(t):
    servers = [Server(t, "orders.test"), Server(t, "reports.test")]
    p = two(t, servers[0].number, servers[1].number)
    for server in servers:
        ask = t.command(*arguments(server.host, p.port(), "select pg_sleep(60)", sslmode="require"))
        wait_until("the query runs", lambda name=server.host: psql(
            name, p.port(), "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'",
            sslmode="require")[1] == "1")
        ask.signal(signal.SIGINT)
        equal(ask.wait(20), 1, ask.err())
        assert "canceling statement due to user request" in ask.err(), ask.err()
    p.wait_empty()
    assert {line["reason"] for line in p.lines()} <= ENDS, p.lines()


@limit(60)
def test_a_cancel_request_goes_to_every_server_also_behind_a_dead_one(t):
    said = []
    backends = [t.backend(lambda conn: said.append(conn.recv(16))) for _ in range(2)]
    p = two(t, t.port(), backends[1].port, server=f"server = 127.0.0.1:{backends[0].port}\n")
    with client(p.port()) as sock:
        sock.sendall(cancel_request(7, 0xDEADBEEF))
        equal(read_all(sock), b"")
    equal(said, [cancel_request(7, 0xDEADBEEF)] * 2)
    line = p.take()
    equal((line["reason"], line["tries"], line["bytes_up"]), ("ok", 3, 32))


def answering(answer, then=None):
    """A server that answers an SSLRequest so; what else it was sent is in .said."""
    said = []

    def serve(conn):
        said.append(read_exactly(conn.sock, 8))
        if answer:
            conn.sock.sendall(answer)
            if then:
                said.append(read_exactly(conn.sock, len(then)))
                conn.sock.sendall(b"server's")
        try:
            said.append(conn.recv())
        except ConnectionResetError:
            said.append(b"")
        conn.sock.close()
    serve.said = said
    return serve


def what_comes_unasked(conn):
    """What a client sends within 0.3 s of not being answered."""
    conn.sock.settimeout(0.3)
    try:
        return conn.recv()
    except TimeoutError:
        return "nothing yet"
    finally:
        conn.sock.settimeout(20)


def agree(p, name=b"orders.test"):
    """A client that was told `S`, and its hello."""
    sock = client(p.port())
    sock.sendall(SSL_REQUEST)
    equal(read_exactly(sock, 1), b"S")
    return sock, hello.hello(sni=name)


@limit(60)
def test_the_server_is_asked_before_it_reads_the_hello_behind_the_proxy_header(t):
    first = hello.hello(sni=b"orders.test")
    said = []

    def serve(conn):
        header = b""
        while not header.endswith(b"\r\n"):
            header += read_exactly(conn.sock, 1)
        said.extend((header.split()[:2], read_exactly(conn.sock, 8)))
        said.append(what_comes_unasked(conn))
        conn.sock.sendall(b"S")
        said.append(read_exactly(conn.sock, len(first)))
        conn.sock.sendall(b"server's")

    p = two(t, t.backend(serve).port, server="send_proxy_protocol = v1")
    sock, first = agree(p)
    with sock:
        sock.sendall(first)
        equal(read_exactly(sock, 8), b"server's")
        equal(said, [[b"PROXY", b"TCP4"], SSL_REQUEST, "nothing yet", first])


@limit(60)
def test_a_server_that_does_not_say_yes_and_no_more_is_refused(t):
    for answer in (b"N", b"E", b"SS", b"S\x16\x03\x03", b""):
        serve = answering(answer) if answer else lambda conn: conn.sock.shutdown(socket.SHUT_WR)
        p = two(t, t.backend(serve).port)
        sock, first = agree(p)
        with sock:
            sock.sendall(first)
            equal(alert_in(read_all(sock)), 80, f"{answer}")
        equal(p.take()["reason"], "starttls_refused", f"{answer}")
        if answer:
            wait_until("the server's end", lambda s=serve: len(s.said) > 1)
            equal(serve.said, [SSL_REQUEST, b""], f"{answer}")
        p.stop()


@limit(60)
def test_a_server_that_does_not_answer_times_out(t):
    p = two(t, t.backend(answering(b"")).port, server="proxy_connect_timeout = 300ms")
    sock, first = agree(p)
    with sock:
        sock.sendall(first)
        equal(alert_in(read_all(sock)), 80)
    equal(p.take()["reason"], "connect_timeout")
    p.wait_empty()


@limit(60)
def test_bytes_ahead_of_our_answer_are_refused(t):
    first = hello.hello(sni=b"orders.test")
    p = two(t, 1)
    for data in (SSL_REQUEST + first, SSL_REQUEST + STARTUP, GSSENC_REQUEST + SSL_REQUEST, SSL_REQUEST + b"\0"):
        with client(p.port()) as sock:
            sock.sendall(data)
            equal(error_fields(read_all(sock))["C"], "08P01")
        equal(p.take()["reason"], "starttls_refused")


@limit(60)
def test_plain_bytes_behind_our_yes_are_refused_whatever_the_default(t):
    said = []
    backend = t.backend(lambda conn: said.append(conn.recv()))
    p = two(t, 1, more=f"proxy_pass = 127.0.0.1:{backend.port}\non_plaintext = default")
    for data in (STARTUP, b"GET / HTTP/1.1\r\n\r\n"):
        sock, _ = agree(p)
        with sock:
            sock.sendall(data)
            equal(alert_in(read_all(sock)), 50)
        equal(p.take()["reason"], "starttls_refused")
    equal(said, [])


@limit(60)
def test_gss_encryption_is_declined_and_asked_for_once(t):
    serve = answering(b"S", then=hello.hello(sni=b"orders.test"))
    p = two(t, t.backend(serve).port)
    with client(p.port()) as sock:
        sock.sendall(GSSENC_REQUEST)
        equal(read_exactly(sock, 1), b"N")
        sock.sendall(SSL_REQUEST)
        equal(read_exactly(sock, 1), b"S")
        sock.sendall(hello.hello(sni=b"orders.test"))
        equal(read_exactly(sock, 8), b"server's")
    equal(p.take()["reason"], "ok")
    with client(p.port()) as sock:
        sock.sendall(GSSENC_REQUEST)
        equal(read_exactly(sock, 1), b"N")
        sock.sendall(GSSENC_REQUEST)
        equal(error_fields(read_all(sock))["S"], "FATAL")
    equal(p.take()["reason"], "starttls_refused")


@limit(60)
def test_tls_at_once_passes_as_it_came_on_the_same_port(t):
    p = two(t, t.backend("app").port)
    first = hello.hello(sni=b"orders.test", alpn=[b"postgresql"])
    with client(p.port()) as sock:
        sock.sendall(first)
        equal(read_exactly(sock, 4 + len(first)), b"app\n" + first)
    equal(p.take()["reason"], "ok")
    with client(p.port()) as sock:
        sock.sendall(hello.hello(sni=b"other.test", alpn=[b"postgresql"]))
        equal(alert_in(read_all(sock)), 112)
    equal(p.take()["reason"], "no_match")


@limit(60)
def test_requests_in_pieces_are_put_together(t):
    first = hello.hello(sni=b"orders.test")
    for cut in range(1, 8):
        serve = answering(b"S", then=first)
        p = two(t, t.backend(serve).port)
        with client(p.port()) as sock:
            sock.sendall(SSL_REQUEST[:cut])
            time.sleep(0.02)
            sock.sendall(SSL_REQUEST[cut:])
            equal(read_exactly(sock, 1), b"S")
            for at in range(0, len(first), 100):
                sock.sendall(first[at:at + 100])
            equal(read_exactly(sock, 8), b"server's")
        equal(serve.said[:2], [SSL_REQUEST, first])
        p.stop()


@limit(60)
def test_a_client_that_says_nothing_or_half_a_request_times_out(t):
    p = two(t, 1, more="preread_timeout = 300ms")
    for data in (b"", SSL_REQUEST[:5], cancel_request(1, 2)[:12], SSL_REQUEST):
        with client(p.port()) as sock:
            sock.sendall(data)
            equal(read_all(sock), b"S" if data == SSL_REQUEST else b"")
        equal(p.take()["reason"], "hello_timeout")


@limit(60)
def test_a_client_refused_for_its_address_reads_an_error(t):
    p = two(t, 1, more="deny = 127.0.0.0/8")
    with client(p.port()) as sock:
        equal(error_fields(read_all(sock))["C"], "28000")
    equal(p.take()["reason"], "denied")


@limit(60)
def test_one_client_too_many_reads_an_error(t):
    p = two(t, 1, more="max_conns_per_ip = 1")
    first, _ = agree(p)
    with first, client(p.port()) as sock:
        equal(error_fields(read_all(sock))["C"], "53300")
        equal(p.take()["reason"], "limited")


# ---- TLS that ends here ----

TERMINATE = """
    [listener front]
    listen = 127.0.0.1:{front}
    starttls = postgresql
    mode = terminate
    ssl_certificate = {cert}
    ssl_certificate_key = {key}
    proxy_pass = db
    {more}
    [upstream db]
    {servers}
    """


def terminate(t, *ports, name="db.test", more="", upstream=""):
    cert, key = t.certificate(name)
    servers = "\n".join(f"server = 127.0.0.1:{port}" for port in ports) + f"\n{upstream}"
    return t.penstock(TERMINATE, cert=cert, key=key, servers=servers, more=more), cert


@limit(90)
def test_psql_speaks_tls_that_ends_here_to_a_server_without(t):
    server = Server(t, "plain.test", ssl=False)
    p, cert = terminate(t, server.number)
    for sslmode in ("require", "verify-full"):
        code, out, err = psql("db.test", p.port(), WHO, sslmode=sslmode, sslrootcert=cert)
        equal((code, out), (0, "plain.test|f"), f"{sslmode}: {err}")
    code, _, err = psql("other.test", p.port(), WHO, sslmode="verify-full", sslrootcert=cert)
    equal((code, "does not match host name" in err), (2, True), err)
    code, _, err = psql("db.test", p.port(), WHO, sslmode="disable")
    equal((code, "this port takes TLS only" in err), (2, True), err)


@limit(90)
def test_psql_speaks_tls_that_ends_here_and_begins_again(t):
    server = Server(t, "inner.test")
    p, cert = terminate(t, server.number, upstream=f"""proxy_ssl = on
        proxy_ssl_name = inner.test
        proxy_ssl_trusted_certificate = {server.certificate}
        proxy_starttls = postgresql
        send_proxy_protocol = off""")
    code, out, err = psql("db.test", p.port(), WHO, sslmode="verify-full", sslrootcert=cert)
    equal((code, out), (0, "inner.test|t"), err)


@limit(120)
def test_a_query_is_cancelled_on_the_right_one_of_two_servers_behind_tls_that_ends_here(t):
    servers = [Server(t, name, ssl=False) for name in ("one.test", "two.test")]
    p, _ = terminate(t, *(server.number for server in servers))
    for _ in range(2):  # they take turns
        ask = t.command(*arguments("db.test", p.port(), "select pg_sleep(60)", sslmode="require"))
        query = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'"
        wait_until("the query runs", lambda q=query: "1" in [
            psql(server.host, server.number, q, sslmode="disable")[1] for server in servers])
        ask.signal(signal.SIGINT)
        equal(ask.wait(20), 1, ask.err())
        assert "canceling statement due to user request" in ask.err(), ask.err()


def tls(sock, cert, alpn=()):
    context = ssl.create_default_context(cafile=cert)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(sock, server_hostname="db.test")


@limit(60)
def test_a_cancel_request_inside_tls_goes_to_every_server(t):
    said = []
    backends = [t.backend(lambda conn: said.append(conn.recv())) for _ in range(2)]
    p, cert = terminate(t, *(backend.port for backend in backends), more="ssl_alpn = postgresql")
    asked = [agree(p)[0] for _ in range(2)]
    for sock, alpn, step in ((asked[0], (), 16), (asked[1], (), 1), (client(p.port()), ["postgresql"], 16)):
        said.clear()
        with tls(sock, cert, alpn) as session:
            for at in range(0, 16, step):
                session.sendall(cancel_request(7, 9)[at:at + step])
            read_until_end(session)
        equal(said, [cancel_request(7, 9)] * 2)
        line = p.take()
        equal((line["reason"], line["upstream"], line["tries"]), ("ok", "db", 2))


def read_until_end(session):
    try:
        equal(session.recv(100), b"")
    except (ssl.SSLEOFError, ConnectionResetError):
        pass


@limit(60)
def test_what_a_client_says_inside_tls_reaches_the_server_whole_whatever_its_size(t):
    p, cert = terminate(t, t.backend("app").port, upstream="send_proxy_protocol = v1")
    for size in (1, 7, 8, 9, 100, 16384, 16385, 100000):
        data = (STARTUP * (size // len(STARTUP) + 1))[:size]
        sock, _ = agree(p)
        with tls(sock, cert) as session:
            session.sendall(data)
            if size < 8:
                session.sendall(data := STARTUP[size:])
                data = STARTUP[:size] + data
            equal(read_exactly(session, 4), b"app\n")
            while not read_exactly(session, 1) == b"\n":  # the PROXY header
                pass
            equal(read_exactly(session, len(data)), data, f"{size} bytes")


@limit(60)
def test_the_server_is_asked_before_tls_begins_again(t):
    said = []

    def serve(conn):
        said.append(read_exactly(conn.sock, 8))
        said.append(what_comes_unasked(conn))
        conn.sock.sendall(b"S")
        said.append(read_exactly(conn.sock, 1))
        conn.sock.sendall(b"\x15\x03\x03\0\2\2\x28")
        conn.sock.close()

    ask = "proxy_ssl = on\nproxy_ssl_verify = off\nproxy_starttls = postgresql"
    p, cert = terminate(t, t.backend(serve).port, upstream=ask)
    sock, _ = agree(p)
    with tls(sock, cert) as session:
        session.sendall(STARTUP)
        equal(p.take()["reason"], "upstream_handshake_failed")
    equal(said, [SSL_REQUEST, "nothing yet", b"\x16"])
    p.stop()
    p, cert = terminate(t, t.backend(answering(b"N")).port, upstream=ask)
    sock, _ = agree(p)
    with tls(sock, cert) as session:
        session.sendall(STARTUP)
        equal(p.take()["reason"], "starttls_refused")
