"""Upstreams of several servers: who is chosen, who is left out, what failures mean."""

import collections
import socket
import time

from harness import LIMIT, ask, client, equal, need_localhost, open_session, read_exactly, wait_until
import hello


def front(t, servers, upstream="", workers=2, **given):
    """*servers*: lines of the upstream; {a} {b} {c} are backends that say their name, others free ports."""
    for name in "abc":
        if "{" + name + "}" in servers and name not in given:
            given[name] = t.backend(name).port
    return t.penstock(f"""
[global]
workers = {workers}
[listener front]
listen = 127.0.0.1:{{front}}
[route all]
proxy_pass = app
[route nameless]
server_name = none
proxy_pass = app
[upstream app]
{servers}
{upstream}
""", **given)


def count_of(p, times, **how):
    return collections.Counter(ask(p.port(), hello.hello(), **how) for _ in range(times))


def test_round_robin_takes_turns_whatever_the_worker(t):
    p = front(t, "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{b}\nserver = 127.0.0.1:{c}", workers=4)
    equal(count_of(p, 30), {"a": 10, "b": 10, "c": 10})


def test_round_robin_honours_weights(t):
    p = front(t, "server = 127.0.0.1:{a} weight=3\nserver = 127.0.0.1:{b}")
    equal(count_of(p, 40), {"a": 30, "b": 10})


def test_least_conn_takes_the_server_with_fewest_sessions_over_all_workers(t):
    p = front(t, "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{b}", "balance = least_conn", workers=4)
    held = {"a": [], "b": []}

    def open_one():
        sock = client(p.port())
        sock.sendall(hello.hello())
        tag = read_exactly(sock, 2).decode().strip()
        held[tag].append(sock)
        return tag
    for _ in range(8):
        open_one()
    equal({tag: len(socks) for tag, socks in held.items()}, {"a": 4, "b": 4})
    for sock in held["a"]:
        sock.close()
    held["a"].clear()
    p.take(4)
    equal([open_one() for _ in range(4)], ["a"] * 4)


def test_least_conn_honours_weights(t):
    p = front(t, "server = 127.0.0.1:{a} weight=3\nserver = 127.0.0.1:{b}", "balance = least_conn")
    socks = [client(p.port()) for _ in range(12)]
    tags = collections.Counter()
    for sock in socks:
        sock.sendall(hello.hello())
        tags[read_exactly(sock, 2).decode().strip()] += 1
    equal(tags, {"a": 9, "b": 3})
    for sock in socks:
        sock.close()


def test_hash_sends_a_client_to_the_same_server(t):
    p = front(t, "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{b}\nserver = 127.0.0.1:{c}", "balance = hash", workers=4)
    chosen = {f"127.0.0.{i}": ask(p.port(), hello.hello(), source=f"127.0.0.{i}") for i in range(1, 41)}
    for source, tag in chosen.items():
        equal(ask(p.port(), hello.hello("other.example"), source=source), tag, source)
    equal(set(chosen.values()), {"a", "b", "c"})


def test_hash_by_name_sends_a_name_to_the_same_server(t):
    p = front(t, "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{b}", "balance = hash\nhash_key = server_name", workers=4)
    chosen = {f"host{i}.example": ask(p.port(), hello.hello(f"host{i}.example")) for i in range(30)}
    for name, tag in chosen.items():
        equal(ask(p.port(), hello.hello(name.upper()), source="127.0.0.3"), tag, name)
    equal(set(chosen.values()), {"a", "b"})


def test_hash_moves_only_the_clients_of_a_dead_server(t):
    dead = t.backend("b")
    p = front(t, "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{b} fail_timeout=60s\nserver = 127.0.0.1:{c}",
              "balance = hash", b=dead.port)
    sources = [f"127.0.0.{i}" for i in range(1, 31)]
    before = {source: ask(p.port(), hello.hello(), source=source) for source in sources}
    dead.close()
    after = {source: ask(p.port(), hello.hello(), source=source) for source in sources}
    equal({source: tag for source, tag in after.items() if before[source] != "b"},
          {source: tag for source, tag in before.items() if tag != "b"})
    assert "b" not in after.values(), after


def test_random_uses_every_server(t):
    p = front(t, "server = 127.0.0.1:{a}\nserver = 127.0.0.1:{b}\nserver = 127.0.0.1:{c}", "balance = random")
    equal(set(count_of(p, 100)), {"a", "b", "c"})


def test_down_server_gets_nobody(t):
    p = front(t, "server = 127.0.0.1:{a} down\nserver = 127.0.0.1:{b}")
    equal(count_of(p, 10), {"b": 10})


def test_backup_serves_only_when_the_others_cannot(t):
    main = t.backend("a")
    p = front(t, "server = 127.0.0.1:{a} fail_timeout=60s\nserver = 127.0.0.1:{b} backup", a=main.port)
    equal(count_of(p, 6), {"a": 6})
    main.close()
    equal(count_of(p, 6), {"b": 6})


def test_backup_serves_when_the_others_are_full(t):
    p = front(t, "server = 127.0.0.1:{a} max_conns=1\nserver = 127.0.0.1:{b} backup")
    with open_session(p.port(), tag="a"):
        equal(ask(p.port(), hello.hello()), "b")


def test_full_server_gets_nobody_until_a_session_ends(t):
    p = front(t, "server = 127.0.0.1:{a} max_conns=2", workers=4)
    held = [open_session(p.port(), tag="a") for _ in range(2)]
    for _ in range(5):
        equal(ask(p.port(), hello.hello()), "alert 80")
        equal(p.take()["reason"], "no_server")
    held.pop().close()
    p.take()
    with open_session(p.port(), tag="a"):
        equal(ask(p.port(), hello.hello()), "alert 80")


def test_next_server_is_tried_when_a_connect_is_refused(t):
    p = front(t, "server = 127.0.0.1:{dead} max_fails=0\nserver = 127.0.0.1:{a}")
    equal(count_of(p, 10), {"a": 10})
    tries = {line["tries"] for line in p.take(10)}
    assert 2 in tries and tries <= {1, 2}, tries


def full_listener(t):
    """A port whose backlog is full: a connect to it neither succeeds nor fails."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    while True:
        sock = socket.socket()
        sock.settimeout(0.5)
        try:
            sock.connect(listener.getsockname())
            fillers.append(sock)
        except TimeoutError:
            break
    t.kept = (listener, fillers, sock)
    return listener.getsockname()[1]


def test_next_server_is_tried_when_a_connect_times_out(t):
    p = front(t, "server = 127.0.0.1:{stuck} max_fails=1 fail_timeout=60s\nserver = 127.0.0.1:{a}",
              "proxy_connect_timeout = 300ms", stuck=full_listener(t))
    equal(count_of(p, 4), {"a": 4})
    equal(sorted(line["tries"] for line in p.take(4)), [1, 1, 1, 2])


def test_connect_that_times_out_everywhere_reads_internal_error(t):
    p = front(t, "server = 127.0.0.1:{stuck}", "proxy_connect_timeout = 300ms", stuck=full_listener(t))
    equal(ask(p.port(), hello.hello()), "alert 80")
    line = p.take()
    equal(line["reason"], "connect_timeout")
    assert 250 <= line["duration_ms"] < 10000, line


def test_no_more_servers_are_tried_than_allowed(t):
    p = front(t, "server = 127.0.0.1:{x} max_fails=0\nserver = 127.0.0.1:{y} max_fails=0\n"
              "server = 127.0.0.1:{z} max_fails=0", "proxy_next_upstream_tries = 2")
    equal(ask(p.port(), hello.hello()), "alert 80")
    line = p.take()
    equal((line["reason"], line["tries"]), ("connect_failed", 2))
    q = t.penstock("""
        [listener front]
        listen = 127.0.0.1:{front}
        [route all]
        proxy_pass = app
        [upstream app]
        server = 127.0.0.1:{x} max_fails=0
        server = 127.0.0.1:{y} max_fails=0
        proxy_next_upstream_tries = 1
        """)
    equal(ask(q.port(), hello.hello()), "alert 80")
    equal(q.take()["tries"], 1)


def test_failed_server_is_left_out_by_every_worker(t):
    p = front(t, "server = 127.0.0.1:{dead} max_fails=1 fail_timeout=60s\nserver = 127.0.0.1:{a}", workers=4)
    equal(count_of(p, 40), {"a": 40})
    equal(collections.Counter(line["tries"] for line in p.take(40)), {1: 39, 2: 1})


def test_server_is_left_out_only_after_max_fails(t):
    p = front(t, "server = 127.0.0.1:{dead} max_fails=3 fail_timeout=60s\nserver = 127.0.0.1:{a}", workers=4)
    equal(count_of(p, 40), {"a": 40})
    equal(collections.Counter(line["tries"] for line in p.take(40)), {1: 37, 2: 3})


def test_failed_server_is_tried_again_after_fail_timeout(t):
    port = t.port()
    p = front(t, "server = 127.0.0.1:{back} max_fails=1 fail_timeout=1s\nserver = 127.0.0.1:{a}", back=port)
    equal(count_of(p, 4), {"a": 4})
    t.backend("back", ("127.0.0.1", port))
    equal(count_of(p, 4), {"a": 4}, "still left out")
    wait_until("the server that came back is used", lambda: ask(p.port(), hello.hello()) == "back", LIMIT)


def test_lone_server_is_never_left_out(t):
    port = t.port()
    p = front(t, "server = 127.0.0.1:{back} max_fails=1 fail_timeout=60s", back=port)
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "alert 80")
        equal(p.take()["reason"], "connect_failed")
    t.backend("back", ("127.0.0.1", port))
    equal(ask(p.port(), hello.hello()), "back")


def test_all_servers_left_out_are_all_tried_again_at_once(t):
    ports = [t.port(), t.port()]
    p = front(t, "server = 127.0.0.1:{x} max_fails=1 fail_timeout=60s\n"
              "server = 127.0.0.1:{y} max_fails=1 fail_timeout=60s", x=ports[0], y=ports[1])
    for _ in range(4):
        equal(ask(p.port(), hello.hello()), "alert 80")
        assert p.take()["reason"] in ("connect_failed", "no_server")
    t.backend("y", ("127.0.0.1", ports[1]))
    equal(count_of(p, 6), {"y": 6})


def test_backend_that_resets_after_connecting_is_not_blamed(t):
    """Only failures to connect count: a server that cuts sessions is still a server."""
    def cut(conn):
        conn.recv()
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        conn.sock.close()
    rude = t.backend(cut)
    p = front(t, "server = 127.0.0.1:{rude} max_fails=1 fail_timeout=60s\nserver = 127.0.0.1:{a}", rude=rude.port)
    for _ in range(10):
        try:
            ask(p.port(), hello.hello())
        except (ConnectionResetError, EOFError):
            pass
    equal(len(rude.conns), 5)
    equal(collections.Counter(line["reason"] for line in p.take(10)), {"ok": 5, "upstream_reset": 5})


def test_server_of_several_addresses_by_name(t):
    need_localhost()
    backend = t.backend("here")
    p = front(t, "server = localhost:{here}", here=backend.port)
    deadline = time.monotonic() + LIMIT
    equal(ask(p.port(), hello.hello()), "here")
    assert time.monotonic() < deadline


def test_proxy_bind_sets_the_source_address(t):
    backend = t.backend("a")
    p = front(t, "server = 127.0.0.1:{a}", "proxy_bind = 127.0.0.44", a=backend.port)
    with open_session(p.port(), tag="a"):
        equal(backend.wait().sock.getpeername()[0], "127.0.0.44")


def test_failed_connects_leave_nothing_behind(t):
    p = front(t, "server = 127.0.0.1:{x} max_fails=0\nserver = 127.0.0.1:{y} max_fails=0\n"
              "server = unix:{dir}/none.sock")
    before = p.sockets()
    for _ in range(t.scale(200)):
        equal(ask(p.port(), hello.hello()), "alert 80")
    p.wait_empty()
    p.wait_sockets(before)
