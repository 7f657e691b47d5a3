"""TLS by Python's ssl (OpenSSL) for the end-to-end tests: certificates made on the spot, clients and servers whose
every record the test holds in its hands."""

import contextlib
import socket
import ssl
import subprocess

from harness import LIMIT

P256, RSA = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("rsa:2048",)


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Authority:
    """A certificate authority in a folder of the test's."""

    def __init__(self, t, name="ca"):
        self.t, self.cert, self.key = t, t.path(f"{name}.pem"), t.path(f"{name}.key")
        openssl("req", "-x509", "-newkey", *P256, "-nodes", "-days", "30", "-subj", f"/CN={name}", "-keyout", self.key,
                "-out", self.cert)

    def issue(self, name, days="30", algorithm=P256):
        """Certificate and key files for *name*, an address or a host name."""
        stem = name.replace("*", "any") + ("" if algorithm == P256 else ".rsa")
        cert, key, request = (self.t.path(f"{stem}.{end}") for end in ("pem", "key", "csr"))
        extensions = self.t.path(f"{stem}.ext")
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={'IP' if name[0].isdigit() else 'DNS'}:{name}\n")
        openssl("req", "-newkey", *algorithm, "-nodes", "-subj", f"/O=Penstock/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", cert)
        return cert, key


def client_context(authority=None, pair=None, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = authority is not None
    context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    if authority:
        context.load_verify_locations(authority.cert)
    if pair:
        context.load_cert_chain(*pair)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def server_context(pair, authority=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if authority:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.cert)
    return context


class Tls:
    """One end of a TLS connection over a socket, as bytes in and out."""

    def __init__(self, sock, context, name=None, server=False):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server, server_hostname=name)

    def take(self):
        """What is to be sent and was not yet."""
        return self.outgoing.read()

    def flush(self):
        if data := self.take():
            self.sock.sendall(data)

    def feed(self):
        """What has arrived; False at the end of the stream."""
        data = self.sock.recv(1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return bool(data)

    def drive(self, action, flush=True):
        """Until *action* needs nothing more from the peer."""
        while True:
            try:
                result = action()
            except ssl.SSLWantReadError:
                self.flush()
                self.feed()
                continue
            if flush:
                self.flush()
            return result

    def handshake(self, flush=True):
        self.drive(self.tls.do_handshake, flush)
        return self

    def write(self, data, flush=True):
        self.tls.write(data)
        if flush:
            self.flush()

    def read(self, count=1 << 16):
        """b"" after close_notify; SSLEOFError when the stream ended without."""
        try:
            return self.drive(lambda: self.tls.read(count))
        except ssl.SSLZeroReturnError:
            return b""

    def read_exactly(self, count):
        out = bytearray()
        while len(out) < count:
            more = self.read(count - len(out))
            if not more:
                raise EOFError(f"close_notify after {len(out)} of {count} bytes")
            out += more
        return bytes(out)

    def read_all(self):
        out = bytearray()
        while more := self.read():
            out += more
        return bytes(out)

    def close_notify(self):
        """Our half ends; the peer's does not."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def close(self):
        self.sock.close()


def connect(port, context, name, **how):
    sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Tls(sock, context, name, **how)


def tls_server(context, serve):
    """For Backend: serve(conn, tls) once the handshake is done; conn.failed is what ended it."""
    def run(conn):
        conn.failed, conn.sni = None, None
        context.sni_callback = lambda _object, name, _context: setattr(conn, "sni", name)
        conn.tls = Tls(conn.sock, context, server=True)
        try:
            conn.tls.handshake()
        except (ssl.SSLError, OSError) as error:
            conn.failed = error
            with contextlib.suppress(OSError):
                conn.tls.flush()
            conn.sock.close()
            return
        serve(conn, conn.tls)
    return run


def in_records(record, size):
    """The handshake record *record* cut into records that carry at most *size* bytes."""
    body = record[5:]
    return b"".join(record[:3] + len(body[at:at + size]).to_bytes(2, "big") + body[at:at + size]
                    for at in range(0, len(body), size))
