"""Resets: what was taken is delivered, then the reset is passed on; never a clean end instead."""

import socket
import time

from harness import (COPY_STRATEGIES, client, equal, fill, limit, read_exactly, reads_reset, set_reset, silent, stream,
                     unread, unsent, wait_until)
import hello


def front(t, strategy, app):
    return t.penstock("""
        [global]
        zero_copy = {strategy}
        [listener front]
        listen = 127.0.0.1:{front}
        [sni front]
        app1.example.com = app
        [upstream app]
        server = 127.0.0.1:{app}
        """, strategy=strategy, app=app)


def pairs(t, prepare=None):
    """For each strategy: (strategy, penstock, client, backend's socket), the hello read."""
    for strategy in COPY_STRATEGIES:
        backend = t.backend(silent)
        p = front(t, strategy, backend.port)
        sock = client(p.port(), rcvbuf=prepare or 0)
        sock.sendall(hello.hello())
        other = backend.wait().sock
        other.settimeout(10)
        equal(read_exactly(other, len(hello.hello())), hello.hello())
        yield strategy, p, sock, other
        sock.close()
        other.close()
        p.wait_empty()
        p.stop()


def test_clients_reset_reaches_the_server_as_a_reset(t):
    for strategy, p, sock, other in pairs(t):
        set_reset(sock)
        sock.close()
        equal(reads_reset(other), b"", strategy)
        equal(p.take()["reason"], "client_reset", strategy)


def test_servers_reset_reaches_the_client_as_a_reset(t):
    for strategy, p, sock, other in pairs(t):
        set_reset(other)
        other.close()
        equal(reads_reset(sock), b"", strategy)
        equal(p.take()["reason"], "upstream_reset", strategy)


def test_reset_behind_data_delivers_the_data_first(t):
    for strategy, p, sock, other in pairs(t):
        data = bytes(range(256)) * 256
        other.sendall(data)
        wait_until("the data has left the server", lambda end=other: unsent(end) == 0)
        equal(read_exactly(sock, len(data)), data, strategy)
        other.sendall(b"last words")
        equal(read_exactly(sock, 10), b"last words")
        set_reset(other)
        other.close()
        equal(reads_reset(sock), b"", strategy)
        equal(p.take()["reason"], "upstream_reset", strategy)


def test_reset_after_the_peers_own_end_is_still_a_reset(t):
    """The client has half-closed; the server then resets: the client must not take that for a clean end."""
    for strategy, p, sock, other in pairs(t):
        sock.shutdown(socket.SHUT_WR)
        equal(other.recv(1), b"")
        set_reset(other)
        other.close()
        equal(reads_reset(sock), b"", strategy)
        equal(p.take()["reason"], "upstream_reset", strategy)


def taken_by_penstock(end, sent):
    """Of *sent* bytes: those that penstock has read from this connection."""
    return sent - unsent(end) - unread(end.getpeername(), end.getsockname())


@limit(60)
def test_reset_of_the_source_while_the_sink_is_blocked_delivers_what_was_held(t):
    for strategy, p, sock, other in pairs(t, prepare=65536):
        sent = fill(other)
        taken = taken_by_penstock(other, sent)
        assert 0 < taken <= sent, (taken, sent)
        set_reset(other)
        other.close()
        got = reads_reset(sock)
        assert len(got) >= taken, f"{strategy}: {len(got)} bytes delivered, penstock held {taken} of {sent}"
        assert got == stream(len(got)), f"{strategy}: other bytes than were sent"
        line = p.take()
        equal(line["reason"], "upstream_reset", strategy)


@limit(60)
def test_reset_of_the_client_while_the_server_is_blocked_delivers_what_was_held(t):
    for strategy, p, sock, other in pairs(t):
        sent = fill(sock)
        taken = taken_by_penstock(sock, sent)
        set_reset(sock)
        sock.close()
        got = reads_reset(other)
        assert len(got) >= taken, f"{strategy}: {len(got)} bytes delivered, penstock held {taken} of {sent}"
        assert got == stream(len(got)), f"{strategy}: other bytes than were sent"
        equal(p.take()["reason"], "client_reset", strategy)


@limit(60)
def test_survivor_that_does_not_read_is_reset_after_two_seconds(t):
    for strategy, p, sock, other in pairs(t, prepare=65536):
        fill(other)
        begun = time.monotonic()
        set_reset(other)
        other.close()
        equal(p.take()["reason"], "upstream_reset", strategy)
        took = time.monotonic() - begun
        assert took < 8, f"{strategy}: it took {took:.1f} s to let go"
        reads_reset(sock)
