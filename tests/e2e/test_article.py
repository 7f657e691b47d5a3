"""What the README and the article it answers show an operator doing, with real servers and real clients."""

import re
import subprocess

from harness import Skip, ask, client, equal, heavy, need, need_localhost, read_all, wait_until
import hello

TWO_NAMES = """
    [listener https]
    listen = 127.0.0.1:{front}
    {default}

    [sni https]
    app1.example.com = app1
    app2.example.com = app2
    {more}

    [upstream app1]
    server = 127.0.0.1:{app1}
    [upstream app2]
    server = 127.0.0.1:{app2}
    """


def curl(name, port, *more):
    need("curl")
    done = subprocess.run(["curl", "-sk", "--max-time", "10", "--resolve", f"{name}:{port}:127.0.0.1", *more,
                           f"https://{name}:{port}/text"], capture_output=True, timeout=20, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def s_client(port, *more):
    need("openssl")
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *more], input=b"", timeout=20,
                          capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")


def common_name(text):
    return re.search(r"subject=.*?CN\s*=\s*(\S+)", text).group(1)


def test_plain_passthrough_reaches_the_https_backend(t):
    web = t.https("plain.example", "plain")
    p = t.penstock("""
        [listener https]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:{web}
        """, web=web)
    equal(curl("plain.example", p.port()), (0, "plain\n", ""))
    line = p.take()
    equal((line["reason"], line["listener"]), ("ok", "https"))


def test_sni_map_of_two_names_reaches_each_backend(t):
    p = t.penstock(TWO_NAMES, default="", more="", app1=t.https("app1.example.com", "one"),
                   app2=t.https("app2.example.com", "two"))
    for name, text in (("app1.example.com", "one\n"), ("app2.example.com", "two\n"), ("APP1.Example.COM", "one\n")):
        equal(curl(name, p.port())[:2], (0, text))
    code, out, _ = curl("app3.example.com", p.port())
    equal((code, out), (35, ""), "curl to an unknown name: a TLS connect error")
    equal(sorted(line["reason"] for line in p.take(4)), ["no_match", "ok", "ok", "ok"])


def test_sni_map_with_default_and_none_takes_the_rest(t):
    p = t.penstock(TWO_NAMES, default="", more="default = app2\n    none = app1", app1=t.backend("one").port,
                   app2=t.backend("two").port)
    equal(ask(p.port(), hello.hello("app1.example.com")), "one")
    equal(ask(p.port(), hello.hello("unknown.example")), "two")
    equal(ask(p.port(), hello.hello(None)), "one")
    equal([line["reason"] for line in p.take(3)], ["ok", "ok", "ok"])


def test_openssl_s_client_sees_the_backends_own_certificate(t):
    p = t.penstock(TWO_NAMES, default="proxy_pass = app1", more="", app1=t.https("app1.example.com", "one"),
                   app2=t.https("app2.example.com", "two"))
    for name in ("app1.example.com", "app2.example.com"):
        equal(common_name(s_client(p.port(), "-servername", name)), name)
    equal(common_name(s_client(p.port(), "-noservername")), "app1.example.com")


def test_openssl_s_client_shows_unrecognized_name_to_a_refused_one(t):
    p = t.penstock(TWO_NAMES, default="", more="", app1=t.backend("one").port, app2=t.backend("two").port)
    shown = s_client(p.port(), "-servername", "other.example")
    assert re.search("unrecognized name|alert number 112", shown), shown


def test_openssl_s_server_hello_retry_request_passes(t):
    need("openssl")
    cert, key = t.certificate("retry.example")
    port = t.port()
    server = t.command("openssl", "s_server", "-accept", str(port), "-cert", cert, "-key", key, "-groups", "P-384",
                       "-www", "-quiet")
    # s_server says nothing with -quiet; it listens once a connection is taken.
    wait_until(lambda: f"s_server listens {server.err()}", lambda: can_connect(port))
    p = t.penstock("""
        [listener https]
        listen = 127.0.0.1:{front}
        [sni https]
        retry.example = web
        [upstream web]
        server = 127.0.0.1:{web}
        """, web=port)
    shown = s_client(p.port(), "-servername", "retry.example", "-groups", "X25519:P-384", "-tls1_3")
    equal(common_name(shown), "retry.example")
    assert "TLSv1.3" in shown, shown


def can_connect(port):
    try:
        client(port).close()
        return True
    except OSError:
        return False


def test_chain_of_two_with_proxy_v2_keeps_the_clients_address(t):
    def serve(conn):
        while b"\r\n" not in conn.received:
            conn.recv()
        conn.sock.sendall(b"got " + bytes(conn.received).split(b"\r\n")[0] + b"\n")
        conn.sock.close()
    web = t.backend(serve)
    inner = t.penstock("""
        [listener ingress]
        listen = 127.0.0.1:{front}
        accept_proxy_protocol = on
        set_real_ip_from = 127.0.0.0/8
        [sni ingress]
        app.example = web
        [upstream web]
        server = 127.0.0.1:{web}
        send_proxy_protocol = v1
        """, web=web.port)
    outer = t.penstock("""
        [listener edge]
        listen = 127.0.0.1:{front}
        [sni edge]
        .example = ingress
        [upstream ingress]
        server = 127.0.0.1:{ingress}
        send_proxy_protocol = v2
        """, ingress=inner.port())
    with client(outer.port(), source="127.0.0.77") as sock:
        port = sock.getsockname()[1]
        sock.sendall(hello.hello("app.example"))
        equal(read_all(sock).decode(), f"got PROXY TCP4 127.0.0.77 127.0.0.1 {port} {outer.port()}\n")
    line = inner.take()
    assert line["client"].startswith("127.0.0.77"), line
    assert line["peer"].startswith("127.0.0.1"), line


def test_chain_of_two_serves_https(t):
    inner = t.penstock("""
        [listener ingress]
        listen = 127.0.0.1:{front}
        accept_proxy_protocol = on
        set_real_ip_from = 127.0.0.1/32
        proxy_pass = 127.0.0.1:{web}
        """, web=t.https("app.example", "deep"))
    outer = t.penstock("""
        [listener edge]
        listen = 127.0.0.1:{front}
        [sni edge]
        app.example = ingress
        [upstream ingress]
        server = 127.0.0.1:{ingress}
        send_proxy_protocol = v2
        """, ingress=inner.port())
    equal(curl("app.example", outer.port())[:2], (0, "deep\n"))


@heavy
def test_wrk_sees_no_error(t):
    need("wrk")
    need_localhost()
    p = t.penstock("""
        [listener https]
        listen = 127.0.0.1:{front}
        [sni https]
        localhost = web
        [upstream web]
        server = 127.0.0.1:{web}
        """, web=t.https("localhost", "quick"))
    for more in ([], ["-H", "Connection: close"]):
        done = subprocess.run(["wrk", "-t1", "-c32", "-d1s", *more, f"https://localhost:{p.port()}/text"], timeout=25,
                              capture_output=True, check=True)
        shown = done.stdout.decode()
        assert "Socket errors" not in shown and "Non-2xx" not in shown, shown
        assert int(re.search(r"(\d+) requests in", shown).group(1)) > 50, shown
    p.wait_empty()


def test_https_body_of_32_mib_arrives_whole(t):
    if t.scale(8) == 1:
        raise Skip("the relay tests cover this under a sanitizer")
    with open(t.path("big"), "wb") as file:
        for _ in range(32):
            file.write(bytes(range(256)) * 4096)
    p = t.penstock("""
        [listener https]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:{web}
        """, web=t.https("big.example", "big"))
    need("curl")
    subprocess.run(["curl", "-sk", "--max-time", "20", "--resolve", f"big.example:{p.port()}:127.0.0.1", "-o",
                    t.path("got"), f"https://big.example:{p.port()}/big"], check=True, timeout=30)
    subprocess.run(["cmp", t.path("big"), t.path("got")], check=True)
