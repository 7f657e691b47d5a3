"""0-RTT: a client that sends data ahead of the handshake is served without it; early data never gets to a server."""

import base64
import contextlib
import select
import socket
import subprocess
import threading

from harness import LIMIT, client, equal, need, read_text, wait_until
from test_tls_clients import ENDS, Site, answer, leave, say, until

EARLY = b"EARLY " * 200 + b"\n"


def early_file(t, count=1):
    """Its data are written in pieces of 8 KiB."""
    path = t.path(f"early{count}")
    with open(path, "wb") as file:
        file.write(EARLY * count)
    return path


def der_length(data, at):
    """Where the content of the element at *at* begins, and how long it is."""
    first = data[at + 1]
    if first < 0x80:
        return at + 2, first
    count = first & 0x7F
    return at + 2 + count, int.from_bytes(data[at + 2:at + 2 + count], "big")


def allow_early_data(path, count=65536):
    """Makes OpenSSL believe that the session in the file *path* came with leave to send *count* bytes of early data:
    [15] of its SSL_SESSION, which is not there without leave."""
    leave_given = b"\xaf\x05\x02\x03" + count.to_bytes(3, "big")
    with open(path, encoding="ascii") as file:
        der = base64.b64decode("".join(file.read().split("-----")[2].split()))
    at, length = der_length(der, 0)
    fields, end = b"", at + length
    is_in = False
    while at < end:
        begin, length = der_length(der, at)
        if not is_in and der[at] & 0xE0 == 0xA0 and der[at] & 0x1F > 15:
            fields += leave_given
            is_in = True
        assert der[at] != 0xAF, "leave was given"
        fields += der[at:begin + length]
        at = begin + length
    if not is_in:
        fields += leave_given
    der = b"\x30\x82" + len(fields).to_bytes(2, "big") + fields
    with open(path, "w", encoding="ascii") as file:
        file.write("-----BEGIN SSL SESSION PARAMETERS-----\n" + base64.encodebytes(der).decode() +
                   "-----END SSL SESSION PARAMETERS-----\n")



def our_session(t, site, count=65536):
    """The file of a session whose ticket is ours, with a leave that we never gave."""
    path = t.path("ours")
    process = site.s_client("-tls1_3", "-sess_out", path)
    say(process, b"line\n", b"got line\n")
    leave(process)
    site.p.take()
    allow_early_data(path, count)
    return path


def foreign_session(t, site):
    """The file of a session of a server that had the name before and does take early data."""
    path, port = t.path("foreign"), t.port()
    server = t.command("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", site.pair[0], "-key", site.pair[1],
                       "-early_data", "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256", stdin=subprocess.PIPE)
    wait_until("openssl s_server listens", lambda: "ACCEPT" in server.out())
    process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                                "site.example.com", "-tls1_3", "-sess_out", path],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until("the ticket has come", lambda: "END SSL SESSION" in read_text(path))
    leave(process)
    server.kill()
    return path


def offer(site, session, early, *more):
    """A client that sends what is in the file *early* ahead of its handshake, then a line."""
    process = site.s_client("-tls1_3", "-sess_in", session, "-early_data", early, *more)
    until(process, b"Early data was rejected")
    say(process, b"later\n", b"got later\n")
    leave(process)
    line = site.p.take()
    assert line["reason"] in ENDS, line
    equal((bytes(site.backend.conns[-1].received), line["bytes_up"]), (b"later\n", 6), "what the server got")
    return line


def test_a_client_that_offers_early_data_with_a_ticket_of_ours_is_resumed_without_it(t):
    need("openssl")
    site = Site(t, answer)
    equal(offer(site, our_session(t, site), early_file(t))["resumed"], "yes")
    equal(len(site.backend.conns), 2)
    site.p.wait_empty()


def test_a_client_that_offers_early_data_with_a_strange_ticket_is_served_by_a_full_handshake(t):
    need("openssl")
    site = Site(t, answer)
    session = foreign_session(t, site)
    for count in (1, 13):
        line = offer(site, session, early_file(t, count))
        equal((line["tls"], line["resumed"]), ("TLSv1.3", "no"))
    equal(len(site.backend.conns), 2)
    site.p.wait_empty()


def test_early_data_ahead_of_a_hello_retry_request_is_skipped(t):
    need("openssl")
    site = Site(t, answer, more="ssl_ecdh_curve = X25519")
    for session, resumed in ((our_session(t, site), "yes"), (foreign_session(t, site), "no")):
        line = offer(site, session, early_file(t, 13), "-groups", "P-256:X25519")
        equal((line["group"], line["resumed"]), ("X25519", resumed))


def test_more_early_data_than_any_server_takes_ends_the_handshake(t):
    need("openssl")
    site = Site(t, answer)
    session = our_session(t, site, 1 << 20)
    process = site.s_client("-tls1_3", "-sess_in", session, "-early_data", early_file(t, 200))
    line = site.p.take()
    equal((line["reason"], line["alert"], line["server"]), ("handshake_failed", 10, None))
    process.stdin.close()
    process.wait(LIMIT)
    equal(len(site.backend.conns), 1, "connections to the server")
    site.p.wait_empty()


# ---- somebody between client and penstock ----

def pass_on(listener, port, injected):
    """One connection to *port*; when the server first speaks, *injected* goes to it as if the client had said it."""
    inner, _ = listener.accept()
    outer, has_spoken = client(port), False
    with inner, outer:
        while True:
            for sock in select.select([inner, outer], [], [], LIMIT)[0]:
                data = sock.recv(1 << 16)
                if not data:
                    return
                if sock is outer and not has_spoken:
                    outer.sendall(injected)
                    has_spoken = True
                (inner if sock is outer else outer).sendall(data)


def pass_the_hello_alone(listener, port):
    """One connection to *port*, of which it gets the first record and no other; what it says is passed on."""
    inner, _ = listener.accept()
    with inner, client(port) as outer:
        first = inner.recv(1 << 16)
        outer.sendall(first[:5 + int.from_bytes(first[3:5], "big")])
        with contextlib.suppress(ConnectionError):
            while data := outer.recv(1 << 16):
                inner.sendall(data)


@contextlib.contextmanager
def between(how, *args):
    """The port where *how* stands between."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=how, args=(listener, *args))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def greet(conn):
    conn.sock.sendall(b"for friends only\n")
    answer(conn)


def test_a_client_without_a_certificate_gets_nowhere_by_offering_early_data(t):
    need("openssl")
    site = Site(t, greet, more=f"""ssl_handshake_timeout = 1s
        ssl_verify_client = on
        ssl_client_certificate = {t.path('ca.pem')}""")
    offers = ["-tls1_3", "-sess_in", foreign_session(t, site), "-early_data", early_file(t)]
    output = site.s_client(*offers).communicate(timeout=LIMIT)[0]
    line = site.p.take()
    equal((line["reason"], line["alert"], line["server"]), ("client_cert", 116, None))
    assert b"for friends only" not in output, output
    with between(pass_the_hello_alone, site.port) as port:
        output = site.s_client(*offers, "-connect", f"127.0.0.1:{port}").communicate(timeout=LIMIT)[0]
    line = site.p.take()
    equal((line["reason"], line["server"]), ("handshake_timeout", None))
    assert b"for friends only" not in output, output
    equal(site.backend.conns, [])
    friend = site.authority.issue("alice")
    process = site.s_client(*offers, "-cert", friend[0], "-key", friend[1])
    until(process, b"for friends only")
    say(process, b"later\n", b"got later\n")
    leave(process)
    equal(bytes(site.backend.conns[0].received), b"later\n")


def test_data_in_the_clear_between_two_hellos_never_gets_to_the_server(t):
    need("openssl")
    site = Site(t, answer, more="ssl_ecdh_curve = X25519")
    session = our_session(t, site)
    for early in ([], ["-sess_in", session, "-early_data", early_file(t)]):
        with between(pass_on, site.port, b"\x17\3\3\0\x09injected\n") as port:
            # Skipped or refused, both are right.
            process = site.s_client("-tls1_3", "-groups", "P-256:X25519", *early, "-connect", f"127.0.0.1:{port}")
            process.communicate(b"later\n", timeout=LIMIT)
        site.p.take()
    assert all(bytes(conn.received) in (b"", b"line\n", b"later\n") for conn in site.backend.conns), site.backend.conns
