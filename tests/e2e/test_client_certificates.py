"""Client certificates that are from the right authority and yet wrong: out of date, revoked."""

import datetime
import ssl
import urllib.request

from harness import LIMIT, equal, need
import tls
from test_terminate import Site, echo, end, refused

VERIFIES = """
    ssl_verify_client = on
    ssl_client_certificate = {ca}
    ssl_crl = {crl}"""

# `openssl x509` of OpenSSL 3.0 knows no day on which a certificate begins.
OFFICE = """
[ca]
default_ca = office
[office]
database = {folder}/index.txt
new_certs_dir = {folder}
certificate = {cert}
private_key = {key}
rand_serial = yes
default_md = sha256
default_crl_days = 30
unique_subject = no
policy = names
x509_extensions = end
[end]
basicConstraints = CA:FALSE
[names]
organizationName = optional
commonName = supplied
"""


class Office:
    """Issues certificates of an authority for given days, and revokes them."""

    def __init__(self, t, authority):
        self.t, self.authority, self.config, self.crl = t, authority, t.path("office.cnf"), t.path("crl.pem")
        with open(t.path("index.txt"), "w", encoding="ascii"), open(self.config, "w", encoding="ascii") as file:
            file.write(OFFICE.format(folder=t.dir, cert=authority.cert, key=authority.key))

    def ca(self, *args):
        tls.openssl("ca", "-batch", "-notext", "-config", self.config, *args)

    def issue(self, name, begins, ends):
        """*begins*, *ends*: days from today."""
        def day(offset):
            return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=offset)).strftime("%Y%m%d%H%M%SZ")
        cert, key, request = (self.t.path(f"{name}.{end}") for end in ("pem", "key", "csr"))
        tls.openssl("req", "-newkey", *tls.P256, "-nodes", "-subj", f"/O=Penstock/CN={name}", "-keyout", key, "-out",
                    request)
        self.ca("-startdate", day(begins), "-enddate", day(ends), "-in", request, "-out", cert)
        return cert, key

    def list_revoked(self):
        self.ca("-gencrl", "-out", self.crl)


def ended(port, reason):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT).read().decode()
    line = next(line for line in text.splitlines()
                if line.startswith(f'penstock_ended_total{{listener="front",reason="{reason}"}}'))
    return int(line.split()[-1])


def test_a_client_certificate_that_is_out_of_date_or_revoked_is_refused(t):
    need("openssl")
    authority, metrics = tls.Authority(t), t.port()
    office = Office(t, authority)
    good, revoked = office.issue("alice", -2, 2), office.issue("mallory", -2, 2)
    wrong = {"expired": (office.issue("bygone", -20, -1), 45), "not yet valid": (office.issue("unborn", 1, 20), 45),
             "revoked": (revoked, 42)}
    office.ca("-revoke", revoked[0])
    office.list_revoked()
    site = Site(t, echo, authority=authority, more_global=f"metrics_listen = 127.0.0.1:{metrics}",
                more_route=VERIFIES.format(ca=authority.cert, crl=office.crl))
    count = 0
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for what, (pair, alert) in wrong.items():
            session = site.connect(pair=pair, version=version)
            got = refused(session)
            assert isinstance(got, ssl.SSLError), (what, got)
            session.close()
            line = site.p.take()
            equal((line["reason"], line["alert"], line["server"], line["client_cert"]), ("client_cert", alert, None, None),
                  what)
            count += 1
        session = site.connect(pair=good, version=version).handshake()
        session.write(b"it is me")
        equal(session.read_exactly(8), b"it is me")
        end(session)
        line = site.p.take()
        equal((line["reason"], line["client_cert"]), ("ok", "CN=alice,O=Penstock"))
    equal((ended(metrics, "client_cert"), ended(metrics, "ok")), (count, 2))
    equal(len(site.backend.conns), 2, "connections to the server")
