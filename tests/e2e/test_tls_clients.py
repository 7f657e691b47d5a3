"""Termination for clients of other libraries than Python's ssl uses the way it does: curl, openssl s_client, GnuTLS; and
what only they can ask for."""

import os
import stat
import subprocess
import time

from harness import LIMIT, Backend, equal, need, wait_until
import tls

# These close as soon as they have what they want, be our close_notify read or not.
ENDS = ("ok", "client_reset")

SITE = """
    [global]
    workers = 1
    [listener front]
    listen = 127.0.0.1:{front}
    mode = terminate
    ssl_certificate = {cert}
    ssl_certificate_key = {key}
    {more}
    proxy_pass = 127.0.0.1:{app}
    """


def answer(conn):
    """One line back for each that comes."""
    buffered = b""
    while data := conn.recv():
        buffered += data
        while b"\n" in buffered:
            line, buffered = buffered.split(b"\n", 1)
            conn.sock.sendall(b"got " + line + b"\n")
    conn.sock.close()


def http(conn):
    head = b""
    while b"\r\n\r\n" not in head:
        data = conn.recv()
        if not data:
            return
        head += data
    conn.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes")
    conn.sock.close()


class Site:
    def __init__(self, t, serve, more=""):
        self.authority = tls.Authority(t)
        self.pair = self.authority.issue("site.example.com")
        self.backend = Backend(t, serve)
        self.p = t.penstock(SITE, cert=self.pair[0], key=self.pair[1], app=self.backend.port, more=more)
        self.port = self.p.port()

    def s_client(self, *more):
        return subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-servername",
                                 "site.example.com", "-CAfile", self.authority.cert, "-verify_return_error", *more],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def until(process, text):
    """What *process* prints, up to and with *text*."""
    seen = b""
    deadline = time.monotonic() + LIMIT
    while text not in seen:
        byte = process.stdout.read(1)
        assert byte and time.monotonic() < deadline, seen
        seen += byte
    return seen


def say(process, text, answer_to_it):
    process.stdin.write(text)
    process.stdin.flush()
    until(process, answer_to_it)


def leave(process):
    """As openssl s_client is told to."""
    process.stdin.write(b"Q\n")
    process.stdin.close()
    process.wait(LIMIT)


def test_curl_reads_a_page_by_each_version(t):
    need("curl")
    site = Site(t, http)
    for version, word in (("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")):
        done = subprocess.run(["curl", "-sS", "--cacert", site.authority.cert, f"--tlsv{version}", "--tls-max", version,
                               "--connect-to", f"site.example.com:443:127.0.0.1:{site.port}", "https://site.example.com/"],
                              capture_output=True, timeout=LIMIT, check=False)
        equal((done.stdout, done.returncode), (b"yes", 0), done.stderr)
        line = site.p.take()
        equal((line["tls"], line["sni"]), (word, "site.example.com"))
        assert line["reason"] in ENDS, line


def test_gnutls_trusts_the_certificate_and_exchanges_lines(t):
    need("gnutls-cli")
    site = Site(t, answer)
    for priority in ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3",
                     "NORMAL:-GROUP-ALL:+GROUP-SECP256R1", "NORMAL:-GROUP-ALL:+GROUP-SECP384R1"):
        process = subprocess.Popen(["gnutls-cli", "--x509cafile", site.authority.cert, "--priority", priority,
                                    "--sni-hostname", "site.example.com", "--verify-hostname", "site.example.com",
                                    "--port", str(site.port), "127.0.0.1"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        say(process, b"hello\n", b"got hello\n")
        process.stdin.close()
        process.wait(LIMIT)
        equal(site.p.take()["server"], f"127.0.0.1:{site.backend.port}")


def test_keys_are_updated_from_the_clients_side_amid_data(t):
    need("openssl")
    site = Site(t, answer)
    process = site.s_client("-tls1_3")
    for number, command in enumerate((b"k", b"K", b"K", b"k")):
        say(process, command + b"\n", b"KEYUPDATE")
        say(process, b"line %d\n" % number, b"got line %d\n" % number)
    leave(process)
    assert site.p.take()["reason"] in ENDS


def test_renegotiation_is_refused(t):
    need("openssl")
    site = Site(t, answer)
    process = site.s_client("-tls1_2")
    say(process, b"line\n", b"got line\n")
    process.stdin.write(b"R\n")
    process.stdin.flush()
    process.wait(LIMIT)
    assert site.p.take()["reason"] != "ok"
    process.stdin.close()


def test_the_ocsp_response_of_the_file_is_stapled(t):
    need("openssl")
    authority = tls.Authority(t)
    cert, key = authority.issue("site.example.com")
    serial = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-serial"], capture_output=True, text=True,
                            check=True).stdout.strip().split("=")[1]
    with open(t.path("index.txt"), "w", encoding="ascii") as index:
        index.write(f"V\t351231235959Z\t\t{serial}\tunknown\t/CN=site.example.com\n")
    response = t.path("ocsp.der")
    tls.openssl("ocsp", "-index", t.path("index.txt"), "-CA", authority.cert, "-rsigner", authority.cert, "-rkey",
                authority.key, "-issuer", authority.cert, "-cert", cert, "-respout", response, "-ndays", "7")
    backend = Backend(t, answer)
    p = t.penstock(SITE, cert=cert, key=key, app=backend.port, more=f"ssl_stapling_file = {response}")
    for version in ("-tls1_2", "-tls1_3"):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{p.port()}", "-servername",
                               "site.example.com", "-status", version], input=b"Q\n", capture_output=True,
                              timeout=LIMIT, check=False)
        assert b"OCSP Response Status: successful" in done.stdout, (version, done.stdout[:400])
        assert b"Cert Status: good" in done.stdout, version


def test_the_key_log_has_the_secrets_of_a_session_and_is_for_its_owner_alone(t):
    need("openssl")
    path = t.path("keys.log")
    site = Site(t, answer, more=f"ssl_key_log = {path}")
    for version in ("-tls1_2", "-tls1_3"):
        process = site.s_client(version)
        say(process, b"line\n", b"got line\n")
        leave(process)
    wait_until("the secrets are there", lambda: "CLIENT_RANDOM" in open(path, encoding="ascii").read() and
               "CLIENT_TRAFFIC_SECRET_0" in open(path, encoding="ascii").read())
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600)
