"""Where penstock listens and connects, and how many it lets in."""

import collections
import fcntl
import json
import os
import socket
import struct
import threading

from harness import (Skip, alert_in, ask, client, echoes, equal, has_input, is_open, open_session, read_all,
                     read_exactly, read_text, unix_client, wait_read, wait_until, answer)
import hello


def test_unix_listener_and_unix_upstream(t):
    t.backend("app", t.path("app.sock"))
    p = t.penstock("""
        [listener front]
        listen = unix:{dir}/front.sock
        [sni front]
        app1.example.com = app
        [upstream app]
        server = unix:{dir}/app.sock
        """)
    for _ in range(5):
        with unix_client(t.path("front.sock")) as sock:
            sock.sendall(hello.hello())
            equal(answer(sock, hello.hello()), "app")
    with unix_client(t.path("front.sock")) as sock:
        sock.sendall(hello.hello("other.example"))
        equal(alert_in(read_all(sock)), 112)
    lines = p.take(6)
    # Each connection is some worker's: their lines come in any order.
    equal(collections.Counter((line["reason"], line["client"], line["server"]) for line in lines),
          {("ok", "unix", f"unix:{t.path('app.sock')}"): 5, ("no_match", "unix", None): 1})
    p.stop()
    assert not os.path.exists(t.path("front.sock")), "the socket file is left behind"


def test_stale_unix_socket_is_replaced_but_a_living_one_is_not(t):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(t.path("front.sock"))
    stale.close()
    config = """
        [listener front]
        listen = unix:{dir}/front.sock
        proxy_pass = 127.0.0.1:{app}
        """
    p = t.penstock(config, app=t.backend("app").port)
    with unix_client(t.path("front.sock")) as sock:
        sock.sendall(hello.hello())
        equal(answer(sock, hello.hello()), "app")
    q = t.penstock(config, app=1, ready=False)
    equal(q.wait(), 1, "a second one on the same path")
    with unix_client(t.path("front.sock")) as sock:
        sock.sendall(hello.hello())
        equal(answer(sock, hello.hello()), "app")
    p.stop()


def test_unix_client_is_judged_by_the_word_unix(t):
    config = """
        [listener front]
        listen = unix:{dir}/front.sock
        listen = 127.0.0.1:{front}
        RULE
        [route all]
        proxy_pass = 127.0.0.1:{app}
        """
    for rule, by_unix, by_ip in (("allow = unix", "app", "alert 49"), ("deny = unix", "alert 49", "app")):
        p = t.penstock(config.replace("RULE", rule), app=t.backend("app").port)
        with unix_client(t.path("front.sock")) as sock:
            sock.sendall(hello.hello())
            equal(answer(sock, hello.hello()), by_unix, rule)
        equal(ask(p.port(), hello.hello()), by_ip, rule)
        p.stop()


def needs_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        raise Skip("no IPv6 here") from None


def test_ipv6_listener_and_ipv6_upstream(t):
    needs_ipv6()
    app = t.backend("app", ("::1", t.port()))
    p = t.penstock("""
        [listener front]
        listen = [::1]:{front}
        proxy_pass = [::1]:{app}
        """, app=app.port)
    equal(ask(p.port(), hello.hello(), host="::1"), "app")
    line = p.take()
    assert line["client"].startswith("[::1]:"), line
    assert line["server"].startswith("[::1]:"), line
    assert not is_open(p.port()), "[::1] must not listen on 127.0.0.1"


def test_bare_port_listens_on_ipv4_and_ipv6(t):
    needs_ipv6()
    p = t.penstock("""
        [listener front]
        listen = {front}
        deny = 127.0.0.2
        [route all]
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    equal(ask(p.port(), hello.hello()), "app")
    assert p.take()["client"].startswith("127.0.0.1:")
    equal(ask(p.port(), hello.hello(), host="::1"), "app")
    equal(ask(p.port(), hello.hello(), source="127.0.0.2"), "alert 49", "an IPv4 client is judged as IPv4")


def test_listener_of_several_ports(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{one}
            127.0.0.1:{two}
        listen = 127.0.0.5:{three}
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    equal([ask(p.port("one"), hello.hello()), ask(p.port("two"), hello.hello()),
           ask(p.port("three"), hello.hello(), host="127.0.0.5")], ["app"] * 3)


def test_listeners_are_apart(t):
    p = t.penstock("""
        [listener one]
        listen = 127.0.0.1:{one}
        [listener two]
        listen = 127.0.0.1:{two}
        [sni one]
        a.example = a
        [sni two]
        a.example = b
        [upstream a]
        server = 127.0.0.1:{a}
        [upstream b]
        server = 127.0.0.1:{b}
        """, a=t.backend("a").port, b=t.backend("b").port)
    equal(ask(p.port("one"), hello.hello("a.example")), "a")
    equal(ask(p.port("two"), hello.hello("a.example")), "b")


def test_max_conns_holds_over_all_workers(t):
    p = t.penstock("""
        [global]
        workers = 4
        [listener front]
        listen = 127.0.0.1:{front}
        max_conns = 5
        [route all]
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    held = [open_session(p.port(), tag="app") for _ in range(5)]
    for _ in range(10):
        equal(ask(p.port(), hello.hello()), "alert 49")
        equal(p.take()["reason"], "limited")
    held.pop().close()
    equal(p.take()["reason"], "ok")
    held.append(open_session(p.port(), tag="app"))
    for sock in held:
        echoes(sock)


def workers_of_sessions(t):
    """How many sessions each worker has, the fewest first."""
    code, out, err = t.run("ctl", "-s", t.path("ctl"), "sessions", "--json")
    equal(code, 0, err)
    return sorted(collections.Counter(int(row["id"]) >> 48 for row in json.loads(out)).values())


def test_few_connections_are_spread_evenly_over_the_workers(t):
    p = t.penstock("""
        [global]
        workers = 4
        admin_socket = {dir}/ctl
        [listener front]
        listen = 127.0.0.1:{front}
        listen = unix:{dir}/front.sock
        [route all]
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)

    def open_by_path():
        sock = unix_client(t.path("front.sock"))
        sock.sendall(hello.hello())
        equal(answer(sock, hello.hello()), "app")
        return sock
    for enter in (lambda: open_session(p.port(), tag="app"), open_by_path):
        held = [enter() for _ in range(16)]
        got = workers_of_sessions(t)
        assert len(got) == 4 and got[0] >= 3 and got[3] <= 5, got
        for sock in held[4:]:
            echoes(sock)
            sock.close()
        wait_until("four are left", lambda: sum(workers_of_sessions(t)) == 4)
        held[4:] = [enter() for _ in range(12)]
        got = workers_of_sessions(t)
        assert len(got) == 4 and got[3] <= 5, got
        for sock in held:
            sock.close()
        p.take(28)
        p.wait_empty()


def test_max_conns_of_a_route_leaves_other_routes_alone(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [route few]
        server_name = few.example
        proxy_pass = 127.0.0.1:{app}
        max_conns = 1
        [route many]
        server_name = many.example
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    with open_session(p.port(), hello.hello("few.example"), tag="app"):
        equal(ask(p.port(), hello.hello("few.example")), "alert 49")
        equal(p.take()["reason"], "limited")
        equal(ask(p.port(), hello.hello("many.example")), "app")


def test_max_conns_per_ip_of_10_holds_with_4_workers(t):
    p = t.penstock("""
        [global]
        workers = 4
        [listener front]
        listen = 127.0.0.1:{front}
        max_conns_per_ip = 10
        [route all]
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    found, held, lock = collections.Counter(), [], threading.Lock()

    def one():
        sock = client(p.port())
        sock.sendall(hello.hello())
        got = answer(sock, hello.hello())
        with lock:
            found[got] += 1
            held.append((got, sock))
    threads = [threading.Thread(target=one) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(found, {"app": 10, "alert 49": 50})
    equal([line["reason"] for line in p.take(50)], ["limited"] * 50)
    equal(ask(p.port(), hello.hello(), source="127.0.0.2"), "app", "another address")
    p.take()
    next(sock for got, sock in held if got == "app").close()
    p.take()
    with open_session(p.port(), tag="app"):
        equal(ask(p.port(), hello.hello()), "alert 49")
    for _, sock in held:
        sock.close()
    p.wait_empty()
    for _ in range(20):
        equal(ask(p.port(), hello.hello()), "app", "nothing of the count is left")


def test_max_connections_holds_the_rest_in_the_backlog(t):
    p = t.penstock("""
        [global]
        workers = 2
        max_connections = 20
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    held = [open_session(p.port(), tag="app") for _ in range(20)]
    waiting = [client(p.port()) for _ in range(6)]
    for sock in waiting:
        sock.sendall(hello.hello())
    assert p.cpu_over(1) < 0.2, "it spins while it waits"
    # Each worker may have taken one more before it heard of the limit; nobody may have been refused.
    early = [sock for sock in waiting if has_input(sock)]
    assert len(early) < 2, f"{len(early)} over max_connections were answered by 2 workers"
    equal(p.lines(), [], "nobody was refused")
    for sock in held:
        echoes(sock)
    for sock in held[:8]:
        sock.close()
    for sock in waiting:
        equal(answer(sock, hello.hello()), "app", "waited in the backlog, served later")
        sock.close()
    for sock in held[8:]:
        sock.close()
    p.take(26)
    p.wait_empty()


def test_blind_listener_passes_any_bytes(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        ssl_preread = off
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    for data in (b"\0", hello.HTTP_REQUEST, hello.SSLV2_HELLO, hello.malformed()[0][1], bytes(range(256)) * 400):
        equal(ask(p.port(), data), "app")
        line = p.take()
        equal((line["reason"], line["sni"], line["bytes_up"]), ("ok", None, len(data)))


def test_blind_listener_lets_the_server_speak_first(t):
    def banner(conn):
        conn.sock.sendall(b"220 ready\r\n")
        while data := conn.recv():
            conn.sock.sendall(b"got " + data)
        conn.sock.close()
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        ssl_preread = off
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend(banner).port)
    with client(p.port()) as sock:
        equal(read_exactly(sock, 11), b"220 ready\r\n")
        sock.sendall(b"EHLO\r\n")
        equal(read_exactly(sock, 10), b"got EHLO\r\n")
    equal(p.take()["reason"], "ok")


def test_listener_without_routes_reads_no_hello(t):
    """ssl_preread = auto is on only when a route names the listener."""
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    equal(ask(p.port(), hello.HTTP_REQUEST), "app")


def test_blind_listener_refuses_by_closing(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        ssl_preread = off
        proxy_pass = 127.0.0.1:{nobody}
        deny = 127.0.0.2
        """)
    for source, reason in (("127.0.0.1", "connect_failed"), ("127.0.0.2", "denied")):
        with client(p.port(), source=source) as sock:
            equal(read_all(sock), b"")
        line = p.take()
        equal((line["reason"], line["alert"]), (reason, None))


def test_connection_survives_a_pause_in_its_hello(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [sni front]
        app1.example.com = app
        [upstream app]
        server = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    first = hello.hello()
    slow = client(p.port())
    slow.sendall(first[:100])
    wait_read([slow])
    for _ in range(20):
        equal(ask(p.port(), first), "app")
    slow.sendall(first[100:])
    equal(answer(slow, first), "app")
    slow.close()
    wait_until("21 lines", lambda: len(p.lines()) == 21)


def test_socket_options_are_taken_and_connections_work(t):
    p = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        backlog = 64
        fastopen = 64
        deferred = on
        interface = lo
        so_keepalive = on
        user_timeout = 20s
        rcvbuf = 128k
        sndbuf = 128k
        [route all]
        proxy_pass = app
        [upstream app]
        server = 127.0.0.1:{app}
        so_keepalive = on
        user_timeout = 20s
        """, app=t.backend("app").port)
    for _ in range(10):
        with open_session(p.port(), tag="app") as sock:
            echoes(sock, bytes(range(256)) * 100)


def test_each_worker_has_a_ring(t):
    for workers in (1, 3):
        p = t.penstock("""
            [global]
            workers = {workers}
            cpu_affinity = off
            [listener front]
            listen = 127.0.0.1:{front}
            proxy_pass = 127.0.0.1:{app}
            """, workers=workers, app=t.backend("app").port)
        equal(sum(name == "anon_inode:[io_uring]" for name in p.fds().values()), workers)
        equal(ask(p.port(), hello.HTTP_REQUEST), "app")
        p.stop()


def test_client_of_ipv6_is_limited_by_its_64(t):
    t.need_own_network()
    for address in ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1"):
        add_address(address)
    p = t.penstock("""
        [listener front]
        listen = [::1]:{front}
        max_conns_per_ip = 1
        [route all]
        proxy_pass = 127.0.0.1:{app}
        """, app=t.backend("app").port)
    with open_session(p.port(), tag="app", host="::1", source="2001:db8:1::1"):
        equal(ask(p.port(), hello.hello(), host="::1", source="2001:db8:1::2"), "alert 49", "the same /64")
        equal(ask(p.port(), hello.hello(), host="::1", source="2001:db8:2::1"), "app", "another /64")


def add_address(address):
    """Gives the loopback one more IPv6 address (SIOCSIFADDR, struct in6_ifreq)."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        request = socket.inet_pton(socket.AF_INET6, address) + struct.pack("Ii", 128, socket.if_nametoindex("lo"))
        fcntl.ioctl(sock, 0x8916, request)
    wait_until(f"{address} is usable", lambda: can_bind(address))


def can_bind(address):
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind((address, 0))
        return True
    except OSError:
        return False


def is_kept_alive(local, remote):
    """Whether the TCP socket on these two ports, which is idle, has a keep-alive timer: `tr` in /proc/net/tcp."""
    rows = [line.split() for line in read_text("/proc/net/tcp").splitlines()[1:]]
    timers = [row[5][:2] for row in rows
              if row[1].endswith(f":{local:04X}") and row[2].endswith(f":{remote:04X}") and row[3] == "01"]
    equal(len(timers), 1, f"sockets from {local} to {remote}")
    return timers[0] == "02"


def test_tcp_keeps_alive_the_sockets_of_a_session_that_lasts_unless_told_not_to(t):
    app = t.backend("app")
    p = t.penstock("""
        [listener off]
        listen = 127.0.0.1:{off}
        so_keepalive = off
        [sni off]
        app1.example.com = not_kept
        [listener front]
        listen = 127.0.0.1:{front}
        [sni front]
        app1.example.com = kept
        [upstream not_kept]
        server = 127.0.0.1:{app}
        so_keepalive = off
        [upstream kept]
        server = 127.0.0.1:{app}
        """, app=app.port)
    with open_session(p.port("off"), tag="app") as plain, open_session(p.port(), tag="app") as kept:
        def timers(client_side):
            port = p.port("off" if client_side is plain else "front")
            server_side = app.conns[0 if client_side is plain else 1].sock.getpeername()[1]
            return is_kept_alive(port, client_side.getsockname()[1]), is_kept_alive(server_side, app.port)
        wait_until("keep-alive timers", lambda: timers(kept) == (True, True))
        equal(timers(plain), (False, False), "those of the session before")
        echoes(kept)
        echoes(plain)
