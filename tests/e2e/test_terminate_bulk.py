"""Termination of bulk: more than one receive and one record at a time, and what comes behind the last of them."""

import socket
import ssl
import struct

from harness import equal, stream, wait_until
from test_terminate import Site

RECORD = 16384
# Around what is received, encrypted and sent in one go, and around the end of the small records.
SIZES = [size + more for size in (RECORD, 2 * RECORD, 4 * RECORD, 8 * RECORD, 40 * RECORD) for more in (-1, 0, 1)]
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def asked(conn):
    """The size in the client's first line."""
    line = b""
    while not line.endswith(b"\n"):
        line += conn.recv()
    return int(line)


def server_got(site, size):
    """The server of the newest session."""
    conn = site.backend.conns[-1]
    wait_until("the server has read to the end", lambda: conn.done)
    assert bytes(conn.received) == stream(size), f"{size} bytes did not come as they were sent"


def test_all_that_a_server_sent_before_it_ended_arrives_and_then_its_end(t):
    def serve(conn):
        conn.sock.sendall(stream(asked(conn)))
        conn.sock.close()
    site = Site(t, serve)
    for version in VERSIONS:
        for size in SIZES:
            session = site.connect(version=version).handshake()
            session.write(b"%d\n" % size)
            assert session.read_all() == stream(size), f"{size} bytes did not come as they were sent"
            session.close_notify()
            session.close()
            line = site.p.take()
            equal((line["reason"], line["bytes_down"]), ("ok", size))


def test_all_that_a_client_sent_before_it_ended_arrives_and_then_its_end(t):
    def serve(conn):
        while conn.recv():
            pass
        conn.sock.sendall(b"%d" % len(conn.received))
        conn.sock.close()
    site = Site(t, serve)
    for version in VERSIONS:
        for size in SIZES:
            session = site.connect(version=version).handshake()
            session.write(stream(size))
            session.close_notify()
            equal(session.read_all(), b"%d" % size)
            session.close()
            server_got(site, size)
            line = site.p.take()
            equal((line["reason"], line["bytes_up"]), ("ok", size))


def test_a_client_that_ends_without_close_notify_behind_bulk_is_truncated_behind_all_of_it(t):
    def serve(conn):
        while conn.recv():
            pass
        conn.sock.close()
    site = Site(t, serve)
    for size in SIZES:
        session = site.connect().handshake()
        session.write(stream(size))
        session.sock.shutdown(socket.SHUT_WR)
        line = site.p.take()
        equal((line["reason"], line["bytes_up"]), ("truncated", size))
        server_got(site, size)
        session.close()


def test_a_reset_behind_bulk_is_no_clean_end(t):
    def serve(conn):
        conn.sock.sendall(stream(asked(conn)))
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.sock.close()
    site = Site(t, serve)
    for size in SIZES * 2:
        session = site.connect().handshake()
        session.write(b"%d\n" % size)
        try:
            session.read_all()
            raise AssertionError("a clean end")
        except (ConnectionResetError, ssl.SSLEOFError):
            pass
        session.close()
        equal(site.p.take()["reason"], "upstream_reset")
