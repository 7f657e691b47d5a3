"""What the pages and example files promise: every file serves as its words say, every snippet is valid."""

import contextlib
import fcntl
import glob
import os
import re
import socket
import ssl
import struct
import subprocess

from harness import alert_in, client, equal, need, read_all, read_line, read_text
import hello
from postgresql import SSL_REQUEST, STARTUP

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = "/var/log/penstock/"


# ---- a network in which the files' own addresses are this host's ----

def add_network(name, address):
    """One more address of the loopback; with it all of its class A, B or C network is local (SIOCSIFADDR)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sHH4s", name.encode(), socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(sock, 0x8916, request.ljust(40, b"\0"))


def own_network(t):
    t.need_own_network()
    for number, address in enumerate(("10.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.168.0.1")):
        add_network(f"lo:{number}", address)


def servers(text):
    """Every address of a server in *text*; those that penstock listens on are ports alone."""
    return sorted(set(re.findall(r"(?m)(?:= *|^ +)(10[\d.]+:\d+)", text)))


def name_itself(t, address):
    """A backend that says which one it is; one of MySQL says so unasked, those of 10.0.0.7x in TLS."""
    def serve(conn):
        if address.startswith("10.0.0.7"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(t.path("example.com.pem"), t.path("example.com.key"))
            with context.wrap_socket(conn.sock, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(address.encode() + b"\n")
                with contextlib.suppress(OSError):
                    tls.unwrap()
            return
        if not address.endswith(":3306") and conn.recv() == SSL_REQUEST:
            conn.sock.sendall(b"S")
            conn.recv()
        conn.sock.sendall(address.encode() + b"\n")
        conn.sock.close()
    return serve


def with_files(t, text):
    """*text* with certificates and keys that are there: one pair for all of them, for the name of its path."""
    cert, key = t.certificate("example.com", "*.example.com", "app.internal.example.com")
    os.makedirs(t.path("certs"), exist_ok=True)
    with open(t.path("certs/both.pem"), "w", encoding="utf-8") as both:
        both.write(read_text(cert) + read_text(key))
    for names, path in (("ssl_certificate|ssl_client_certificate|proxy_ssl_trusted_certificate", cert),
                        ("ssl_certificate_key", key), ("ssl_certificate_dir", t.path("certs"))):
        text = re.sub(rf"(?m)^((?:{names}) *= *)/\S+", rf"\g<1>{path}", text)
    return re.sub(r"(?m)^ssl_crl = .*\n", "", text)


def serve_file(t, text):
    """penstock on *text* as it stands, but for where its logs are; its servers answer with their address."""
    text = with_files(t, text)
    p = t.penstock(text.replace(LOGS, t.dir + "/").replace("{", "{{").replace("}", "}}"), raw=True)
    for address in servers(text):
        host, _, port = address.rpartition(":")
        t.backend(name_itself(t, address), (host, int(port)), beside=True)
    return p


class Ended:
    """A client that speaks TLS until it ends in Penstock, asking for *name*."""

    def __init__(self, name):
        self.name = name

    def ask(self, sock):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with context.wrap_socket(sock, server_hostname=self.name) as tls:
                tls.sendall(b"hello\n")
                return tls.recv(100).decode().strip()
        except ssl.SSLError:
            return "refused"

    def __repr__(self):
        return f"TLS for {self.name}"


class Asking:
    """A client of PostgreSQL, which asks for TLS and then says *first*."""

    def __init__(self, first):
        self.first = first


def who(port, first, source):
    """Which server answers to *first*; or "alert N", "error" (PostgreSQL's), or "end"."""
    with client(port, source=source) as sock:
        if isinstance(first, Asking):
            sock.sendall(SSL_REQUEST)
            equal(sock.recv(1), b"S")
            first = first.first
        if isinstance(first, Ended):
            return first.ask(sock)
        sock.sendall(first)
        got = sock.recv(1)
        if got == b"\x15":
            return f"alert {alert_in(got + read_all(sock))}"
        if got == b"E":
            return "error"
        return (got + read_line(sock)).decode() if got else "end"


def asked(name, alpn=("h2", "http/1.1"), **how):
    return hello.hello(name, alpn=[protocol.encode() for protocol in alpn], **how)


ANY, ELSEWHERE = "192.0.2.7", "203.0.113.7"
PREFACE = b"PROXY TCP4 203.0.113.9 203.0.113.1 40000 443\r\n"

# Per file: port, what is sent, from where, who may answer.
EXAMPLES = {
    "passthrough": [(443, asked("any.example"), ANY, "10.0.0.20:443"), (443, b"not TLS", ANY, "10.0.0.20:443")],
    "sni": [(443, asked("app1.example.com"), ANY, "10.0.0.11:443"), (443, asked("app2.example.com"), ANY, "10.0.0.12:443"),
            (443, asked("app3.example.com"), ANY, "alert 112"), (443, asked(None), ANY, "alert 112")],
    "sni-default": [(443, asked("app1.example.com"), ANY, "10.0.0.11:443"),
                    (443, asked("app3.example.com"), ANY, "10.0.0.20:443"), (443, asked(None), ANY, "10.0.0.13:443")],
    "kubernetes-edge": [(443, asked("shop.example.com"), ANY, "10.0.0.31:8443 or 10.0.0.32:8443")],
    "kubernetes-ingress": [(8443, PREFACE + asked("shop.example.com"), "10.0.0.31", "10.96.0.10:443"),
                           (8443, PREFACE + asked("api.example.com"), "10.0.0.31", "10.96.0.11:443 or 10.96.0.12:443"),
                           (8443, PREFACE + asked("v2.api.example.com"), "10.0.0.31", "10.96.0.11:443 or 10.96.0.12:443"),
                           (8443, PREFACE + asked("other.example.com"), "10.0.0.31", "alert 112"),
                           (8443, asked("shop.example.com"), "10.0.0.31", "alert 49"),
                           (8443, PREFACE + asked("shop.example.com"), ANY, "alert 49")],
    "end-to-end": [(443, asked("banking.example.com"), ANY, "10.0.0.41:443 or 10.0.0.42:443"),
                   (443, asked("pay.example.com"), ANY, "10.0.0.51:443 or 10.0.0.52:443"),
                   (443, asked("pay.example.com", versions=[0x0303]), ANY, "alert 112"),
                   (443, asked("partners.example.com"), ANY, "10.0.0.61:443"),
                   (443, asked("partners.example.com"), ELSEWHERE, "alert 49"),
                   (443, asked("www.example.com"), ANY, "alert 112"), (443, asked(None), ANY, "alert 112")],
    "multi-tenant": [(443, asked("globex.example.com"), ANY, "10.3.0.11:443"),
                     (443, asked("acme.example.com"), ANY, "10.1.0.11:443 or 10.1.0.12:443"),
                     (443, asked("eu.acme.example.com"), ANY, "10.1.0.11:443 or 10.1.0.12:443"),
                     (443, asked("shop.acme.test"), ANY, "10.1.0.11:443 or 10.1.0.12:443"),
                     (443, asked("initech.example.com"), ANY, "10.2.0.12:443"),
                     (443, asked("initech.example.com", ["http/1.1"]), ANY, "10.2.0.11:443"),
                     (443, asked("www.hooli.example.com"), ANY, "alert 112"),
                     (443, asked("unknown.example.com"), ANY, "alert 112")],
    "terminate": [(443, Ended("www.example.com"), ANY, "10.0.0.20:8080"), (443, Ended(None), ANY, "10.0.0.20:8080"),
                  (443, b"not TLS", ANY, "end")],
    "letsencrypt": [(443, Ended("example.com"), ANY, "10.0.0.20:8443")],
    "re-encrypt": [(443, Ended("www.example.com"), ANY, "10.0.0.71:8443 or 10.0.0.72:8443")],
    "one-port": [(443, Ended("www.example.com"), ANY, "10.0.0.20:8080"),
                 (443, Ended("partners.example.com"), ANY, "refused"),
                 (443, asked("banking.example.com"), ANY, "10.0.0.41:443"),
                 (443, asked("old.example.com"), ANY, "alert 112"), (443, asked("other.example.com"), ANY, "alert 112")],
    "databases": [(5432, Asking(b"hello"), ANY, "10.0.0.11:5432 or 10.0.0.12:5432"),
                  (3306, b"", ANY, "10.0.0.21:3306")],
    "postgresql-sni": [(5432, Asking(asked("orders.db.example.com")), ANY, "10.0.0.11:5432"),
                       (5432, Asking(asked("reports.db.example.com")), ANY, "10.0.0.12:5432"),
                       (5432, asked("orders.db.example.com", ["postgresql"]), ANY, "10.0.0.11:5432"),
                       (5432, Asking(asked("other.example.com")), ANY, "alert 112"), (5432, STARTUP, ANY, "error")],
    "postgresql-terminate": [(5432, Asking(Ended("db.example.com")), ANY, "10.0.0.11:5432 or 10.0.0.12:5432"),
                             (5432, STARTUP, ANY, "error")],
}


def test_every_example_serves_as_its_words_say(t):
    own_network(t)
    files = sorted(glob.glob(os.path.join(ROOT, "config/examples/*.ini")))
    equal(sorted(os.path.basename(path)[:-4] for path in files), sorted(EXAMPLES))
    for path in files:
        name = os.path.basename(path)[:-4]
        p = serve_file(t, read_text(path))
        for port, first, source, wanted in EXAMPLES[name]:
            got = who(port, first, source)
            assert got in wanted.split(" or "), f"{name}: {str(first)[:60]} to port {port} from {source}: {got}, not {wanted}"
        p.stop()
        for backend in t.backends:
            backend.close()
        t.backends.clear()


# ---- config/migration.md ----

def page(name):
    return read_text(os.path.join(ROOT, "config", name))


def snippets(t, text):
    """The page's files for penstock, each with its heading; one that has a name is written beside the others."""
    found, heading = [], ""
    for match in re.finditer(r"(?ms)^## ([^\n]*)$|^```ini ?(\S*)\n(.*?)^```$", text):
        if match[1]:
            heading = match[1]
        elif match[2]:
            with open(t.path(match[2]), "w", encoding="utf-8") as file:
                file.write(match[3])
        else:
            found.append((heading, match[3]))
    return found


def test_every_snippet_of_the_migration_page_is_valid_and_needs_no_warning(t):
    found = snippets(t, page("migration.md"))
    assert len(found) >= 9, found
    for heading, text in found:
        code, _, err = t.run("-t", "-c", "{conf}", config=with_files(t, text))
        equal((code, err), (0, f"{t.path('check.ini')}: configuration ok\n"), heading)


def answer_https(t, name):
    """A backend that ends TLS with a certificate for *name* and says that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*t.certificate(name))

    def serve(conn):
        with context.wrap_socket(conn.sock, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(f"HTTP/1.0 200 OK\r\n\r\n{name}\n".encode())
            with contextlib.suppress(OSError):
                tls.unwrap()
    return serve


def test_curl_reaches_each_site_of_the_migration_page(t):
    need("curl")
    own_network(t)
    text = dict(snippets(t, page("migration.md")))["Several names, many of them"]
    t.penstock(text, raw=True)
    for name, address in (("app1.example.com", "10.0.0.11"), ("app2.example.com", "10.0.0.12"),
                          ("site.example.com", "10.0.0.20")):
        t.backend(answer_https(t, name), (address, 443), beside=True)
    for name, wanted in (("app1.example.com", "app1.example.com\n"), ("APP2.example.com", "app2.example.com\n"),
                         ("other.example.com", "site.example.com\n")):
        done = subprocess.run(["curl", "-sSk", "--max-time", "10", "--connect-to", "::192.0.2.1:443", f"https://{name}/"],
                              capture_output=True, timeout=20, check=False)
        equal((done.returncode, done.stdout.decode(), done.stderr.decode()), (0, wanted, ""), name)


def test_the_log_of_the_migration_page_has_the_columns_it_shows(t):
    own_network(t)
    text = dict(snippets(t, page("migration.md")))["Logs"]
    p = serve_file(t, text)
    equal(who(443, asked("app1.example.com"), ANY), "10.0.0.20:443")
    p.wait_empty()
    p.stop()
    line = read_text(t.path("access.log"))
    assert re.fullmatch(r"\S+Z 192\.0\.2\.7:\d+ app1\.example\.com 10\.0\.0\.20:443 \d+ 14 \d+ ok\n", line), line


def rows(text):
    """The cells of every row of the page's tables."""
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()
            if line.startswith("| ")]


def test_every_key_that_the_migration_page_names_exists(t):
    code, reference, err = t.run("--reference")
    equal((code, err), (0, ""))
    words = set(re.findall(r"\w+", reference)) | {"sni", "penstock", "kill", "systemctl"}
    templates = set()
    for row in rows(page("migration.md")):
        for span in re.findall(r"`([^`]+)`", row[-1]):
            templates.update(re.findall(r"\{(\w+)\}", span))
            word = re.match(r"\[?([a-z]\w*)", span)
            assert not word or word[1] in words, f"{span}: no key is called {word[1]}"
    assert len(templates) > 12, templates
    line = " ".join(f"{{{name}}}" for name in sorted(templates))
    code, _, err = t.run("-t", "-c", "{conf}", config=f"""
        [log l]
        path = stdout
        format = template
        template = {line}
        [listener a]
        listen = 443
        proxy_pass = 10.0.0.1:443
        access_log = l
        """)
    equal(code, 0, err)


def test_what_the_migration_page_calls_not_supported_is_refused_as_such(t):
    listed = page("migration.md").partition("\n## Not yet\n")[2]
    keys = re.findall(r"`\[(\w+)( \w+)?\] ([^`]+)`", listed)
    assert len(keys) >= 10, keys
    for kind, name, key in keys:
        more = "" if kind == "listener" else "[listener https]\nlisten = 443\n"
        code, _, err = t.run("-t", "-c", "{conf}", config=f"[{kind}{name}]\n{key}\n{more}")
        assert code == 1 and "not supported yet" in err, f"[{kind}{name}] {key}: supported now? Then mend the page.\n{err}"


# ---- config/troubleshooting.md ----

NOT_SHOWN = ("internal",)


def keys_of(line):
    return re.findall(r"(?:^| )(\w+)=", line)


def test_every_reason_has_its_section_with_a_line_of_that_reason(t):
    words = re.findall(r'X\([A-Z_]+, "(\w+)"\)', read_text(os.path.join(ROOT, "include/site/reason.h")))
    assert "ok" in words and "internal" in words, words
    sections = dict(re.findall(r"(?ms)^### (\w+)\n(.*?)(?=^##)", page("troubleshooting.md")))
    equal(sorted(sections), sorted(words))
    p = t.penstock("""
        [log text]
        path = {dir}/text.log
        [listener front]
        listen = 127.0.0.1:{front}
        proxy_pass = 127.0.0.1:1
        access_log = text
        """)
    client(p.port()).close()
    p.stop()
    keys = keys_of(read_text(t.path("text.log")).rstrip("\n"))
    full = re.search(r"(?m)^time=.*", page("troubleshooting.md"))[0]
    equal(keys_of(full), keys, "the page's full line")
    for word, text in sections.items():
        lines = re.findall(r"(?m)^listener=.*$", text)
        assert lines or word in NOT_SHOWN, f"no line under {word}"
        for line in lines:
            assert f" reason={word} " in line + " ", f"under {word}: {line}"
            shown = keys_of(line)
            equal(shown, [key for key in keys if key in shown], f"the keys under {word}")
