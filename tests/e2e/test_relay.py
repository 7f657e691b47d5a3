"""The relay: every byte, in order, however slow or half-closed the ends are, under each strategy."""

import socket
import threading
import time

from harness import (COPY_STRATEGIES, SANITIZED, all_right, bulk, client, collect, echoes, equal, fill, heavy,
                     limit, load_backend, note, open_session, read_all, read_exactly, silent, stream,
                     wait_until)
import hello

MIB = 1 << 20

FRONT = """
    [global]
    workers = 2
    zero_copy = {strategy}
    {more}
    [listener front]
    listen = 127.0.0.1:{front}
    proxy_timeout = 60s
    half_close_timeout = 60s
    [sni front]
    app1.example.com = app
    [upstream app]
    server = 127.0.0.1:{app}
    """


def front(t, strategy, app, more=""):
    return t.penstock(FRONT, strategy=strategy, app=app, more=more)


def tells_relay(strategy):
    return {"copy": {"copy"}, "splice": {"splice"}, "uring_splice": {"uring_splice"}, "auto": {"splice"}}[strategy]


def both_ways(t, strategy):
    backend = load_backend(t)
    p = front(t, strategy, backend.port)
    each = t.scale(256 * MIB) // 64
    result = bulk(t, p.port(), connections=64, up=each, down=each).result()
    note(f"{strategy}: {result}")
    all_right(result, 64)
    lines = p.take(64)
    size = len(hello.hello()) + 40
    equal({line["reason"] for line in lines}, {"ok"})
    equal({(line["bytes_up"], line["bytes_down"]) for line in lines}, {(each + size, each + 16)})
    equal({line["relay"] for line in lines} <= tells_relay(strategy) | {"copy"}, True, lines[0]["relay"])
    assert {line["relay"] for line in lines} & tells_relay(strategy), f"{strategy} never relayed by {strategy}"
    p.wait_empty()


@heavy
@limit(60)
def test_256_mib_each_way_over_64_connections_under_copy(t):
    both_ways(t, "copy")


@heavy
@limit(60)
def test_256_mib_each_way_over_64_connections_under_splice(t):
    both_ways(t, "splice")


@heavy
@limit(60)
def test_256_mib_each_way_over_64_connections_under_uring_splice(t):
    both_ways(t, "uring_splice")


@heavy
@limit(60)
def test_256_mib_each_way_over_64_connections_under_auto(t):
    both_ways(t, "auto")


@limit(60)
def test_more_transfers_than_pipes_and_buffers_stay_whole(t):
    """What finds no pipe or buffer goes slower, never wrong."""
    backend = load_backend(t)
    for strategy in COPY_STRATEGIES:
        p = front(t, strategy, backend.port, "pipe_pool = 2\n    recv_buffers = 16")
        each = t.scale(MIB)
        all_right(bulk(t, p.port(), connections=48, up=each, down=each).result(), 48)
        p.wait_empty()
        p.stop()


@limit(60)
def test_odd_sizes_arrive_whole(t):
    backend = load_backend(t)
    for strategy in COPY_STRATEGIES:
        p = front(t, strategy, backend.port)
        for up, down in ((0, 0), (1, 0), (0, 1), (4095, 65537), (16384, 16384), (65536, 262144), (262145, 3)):
            all_right(bulk(t, p.port(), connections=4, up=up, down=down).result(), 4)
        p.stop()


@limit(60)
def test_server_that_ends_first_still_hears_the_client_out(t):
    """Half-close with data in flight: the server's end must not cut what the client still sends."""
    for strategy in COPY_STRATEGIES:
        backend = t.backend(first_ends)
        p = front(t, strategy, backend.port)
        with open_by_hand(p) as sock:
            equal(sock.recv(4), b"bye\n")
            equal(sock.recv(1), b"", "the server's end")
            data = stream(4 * MIB)
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            conn = backend.wait()
            wait_until("the server has read the client's end", lambda seen=conn: seen.done)
            equal(len(conn.received), len(hello.hello()) + len(data), strategy)
            assert bytes(conn.received[-len(data):]) == data, strategy
        equal(p.take()["reason"], "ok")
        p.stop()


def open_by_hand(p, **how):
    sock = client(p.port(), **how)
    sock.sendall(hello.hello())
    return sock


def first_ends(conn):
    conn.recv()
    conn.sock.sendall(b"bye\n")
    conn.sock.shutdown(socket.SHUT_WR)
    collect(conn)


@limit(60)
def test_client_that_ends_first_still_hears_the_server_out(t):
    data = stream(4 * MIB)

    def answers_the_end(conn):
        while conn.recv():
            pass
        conn.sock.sendall(data)
        conn.sock.close()
    for strategy in COPY_STRATEGIES:
        backend = t.backend(answers_the_end)
        p = front(t, strategy, backend.port)
        with open_by_hand(p) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == data, strategy
        equal(len(backend.wait().received), len(hello.hello()) + len(data), strategy)
        equal(p.take()["reason"], "ok")
        p.stop()


@limit(60)
def test_data_in_flight_is_delivered_behind_both_ends(t):
    """Both sides have sent and ended while neither reads; then each reads all of the other's."""
    for strategy in COPY_STRATEGIES:
        backend = t.backend(silent)
        p = front(t, strategy, backend.port)
        with open_by_hand(p) as sock:
            other = backend.wait().sock
            equal(read_exactly(other, len(hello.hello())), hello.hello())
            up, down = fill(sock), fill(other)
            sock.shutdown(socket.SHUT_WR)
            other.shutdown(socket.SHUT_WR)
            got = {}
            readers = [threading.Thread(target=lambda name=name, end=end: got.update({name: read_all(end)}))
                       for name, end in (("down", sock), ("up", other))]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join(20)
            equal({name: len(data) for name, data in got.items()}, {"down": down, "up": up}, strategy)
            assert got == {"down": stream(down), "up": stream(up)}, f"{strategy}: other bytes than were sent"
            other.close()
        line = p.take()
        equal((line["reason"], line["bytes_down"], line["bytes_up"]), ("ok", down, up + len(hello.hello())))
        p.stop()


def kernel_buffers():
    """The most that two connections in a row hold in one direction once the kernel has grown their buffers, which it
    does as far and as fast as the bytes come."""
    def largest(name):
        with open(f"/proc/sys/net/ipv4/{name}", encoding="ascii") as file:
            return int(file.read().split()[2])
    return 2 * largest("tcp_wmem") + largest("tcp_rmem")


@limit(60)
def test_stalled_reader_stops_the_sender_and_loses_nothing(t):
    most = kernel_buffers() + 8 * MIB
    for strategy in COPY_STRATEGIES:
        backend = t.backend(silent)
        p = front(t, strategy, backend.port)
        with open_by_hand(p, rcvbuf=65536) as sock:
            other = backend.wait().sock
            sent = fill(other)
            note(f"{strategy}: {sent} bytes went in before it blocked")
            assert sent < most, f"{strategy}: no backpressure, {sent} bytes went in"
            assert p.cpu_over(0.5) < 0.2, f"{strategy}: it spins while the reader stalls"
            other.shutdown(socket.SHUT_WR)
            got = read_all(sock)
            equal(len(got), sent, strategy)
            assert got == stream(sent), f"{strategy}: other bytes than were sent"
            other.close()
        p.stop()


@heavy
@limit(60)
def test_memory_stays_flat_behind_a_slow_reader(t):
    seconds = 4
    for strategy in COPY_STRATEGIES:
        backend = load_backend(t)
        p = front(t, strategy, backend.port)
        reader = bulk(t, p.port(), connections=8, down=64 * MIB, rate=MIB, end_first=True)
        p.wait_status(sessions=8)
        time.sleep(1)  # buffers fill to where they stay
        first = p.rss()
        end, most = time.monotonic() + seconds / len(COPY_STRATEGIES) * 2, 0
        while time.monotonic() < end:
            most = max(most, p.rss())
            time.sleep(0.05)
        note(f"{strategy}: {first} then at most {most}")
        slack = 64 * MIB if SANITIZED else 4 * MIB
        assert most - first < slack, f"{strategy}: grew from {first} to {most} bytes"
        reader.kill()
        p.wait_empty()
        p.stop()


def test_interactive_bytes_are_not_held_back(t):
    """A byte goes through at once, a hundred times each way: no strategy waits for more."""
    for strategy in COPY_STRATEGIES:
        p = front(t, strategy, t.backend("app").port)
        with open_session(p.port(), tag="app") as sock:
            begun = time.monotonic()
            for i in range(100):
                sock.sendall(bytes([i]))
                equal(sock.recv(1), bytes([i]), strategy)
            took = time.monotonic() - begun
            assert took < 2 if not SANITIZED else took < 8, f"{strategy}: 100 round trips took {took:.2f} s"
        p.stop()


def test_quiet_spell_after_bulk_goes_on(t):
    """A direction that was promoted to splice and fell quiet still works, and gives its pipe back."""
    for strategy in ("auto", "splice"):
        p = front(t, strategy, t.backend("app").port)
        with open_session(p.port(), tag="app") as sock:
            for _ in range(3):
                data = stream(2 * MIB)
                writer = threading.Thread(target=sock.sendall, args=(data,))
                writer.start()
                assert read_exactly(sock, len(data)) == data
                writer.join()
                p.wait_status(pipes=0, leases=0)
                sock.sendall(b"small")
                equal(read_exactly(sock, 5), b"small", strategy)
        p.stop()


def test_idle_sessions_hold_neither_buffer_nor_pipe(t):
    p = front(t, "auto", t.backend("app").port)
    held = [open_session(p.port(), tag="app") for _ in range(30)]
    p.wait_status(sessions=30, pipes=0, leases=0, hellos_pending=0)
    assert p.cpu_over(1) < 0.1, "idle sessions burn CPU"
    for sock in held:
        sock.close()
    p.wait_empty()


def test_busy_poll_relays_everything_and_lets_an_idle_tunnel_sleep(t):
    p = front(t, "auto", t.backend("app").port, "busy_poll = 10ms")
    with open_session(p.port(), tag="app") as sock:
        for size in (1, 1000, 300000, 1):
            echoes(sock, stream(size))
        assert p.cpu_over(1) < 0.05, "it spins though nothing moves"
        echoes(sock)
    p.wait_empty()
