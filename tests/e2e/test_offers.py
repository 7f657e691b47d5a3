"""Each cipher and each group that a site offers is had by a client that knows no other; what it does not offer is refused.

X25519MLKEM768 is not here, for OpenSSL has it since 3.5: tests/unit has (tls_handshake, tls_trust)."""

import subprocess

from harness import LIMIT, Backend, equal, need
import tls
from test_tls_clients import ENDS, answer, leave, say

FRONT = """
    [global]
    workers = 1
    [listener front]
    listen = 127.0.0.1:{front}
    mode = terminate
    proxy_pass = 127.0.0.1:{app}
    tls = site
    [tls site]
    {pairs}
    {more}
    """
DEFAULT_CIPHERS = [f"ECDHE-{key}-{cipher}" for key in ("ECDSA", "RSA")
                   for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]
CBC_CIPHERS = [f"ECDHE-{key}-{cipher}" for key in ("ECDSA", "RSA")
               for cipher in ("AES128-SHA", "AES128-SHA256", "AES256-SHA", "AES256-SHA384")]
SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
SIGNATURES = {"ECDSA": "ecdsa_secp256r1_sha256", "RSA": "rsa_pss_rsae_sha256"}


class Site:
    def __init__(self, t, more="", algorithms=(tls.P256, tls.RSA)):
        need("openssl")
        self.authority = tls.Authority(t)
        pairs = [self.authority.issue("site.example.com", algorithm=algorithm) for algorithm in algorithms]
        self.backend = Backend(t, answer)
        self.p = t.penstock(FRONT, app=self.backend.port, more=more, pairs="\n".join(
            f"ssl_certificate = {cert}\nssl_certificate_key = {key}" for cert, key in pairs))

    def start(self, *args):
        return subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.p.port()}", "-servername",
                                 "site.example.com", "-CAfile", self.authority.cert, "-verify_return_error", *args],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def serves(self, *args):
        """The access line of such a client."""
        process = self.start(*args)
        say(process, b"line\n", b"got line\n")
        leave(process)
        line = self.p.take()
        assert line["reason"] in ENDS, line
        return line

    def refuses(self, *args):
        output = self.start(*args).communicate(timeout=LIMIT)[0]
        line = self.p.take()
        assert b"alert handshake failure" in output, output[-400:]
        equal((line["reason"], line["alert"], line["server"], line["cipher"]), ("handshake_failed", 40, None, None), args)


def test_each_cipher_of_the_default_list_is_had_alone_and_cbc_is_refused(t):
    site = Site(t)
    for cipher in DEFAULT_CIPHERS:
        line = site.serves("-tls1_2", "-cipher", cipher)
        equal((line["tls"], line["cipher"]), ("TLSv1.2", cipher))
    for cipher in CBC_CIPHERS[::3] + ["AES128-GCM-SHA256"]:
        site.refuses("-tls1_2", "-cipher", cipher)


def test_each_cipher_of_the_list_of_the_article_is_had_alone(t):
    site = Site(t, "ssl_ciphers = HIGH:!aNULL:!MD5")
    for cipher in DEFAULT_CIPHERS + CBC_CIPHERS:
        equal(site.serves("-tls1_2", "-cipher", cipher)["cipher"], cipher)


def test_a_cipher_needs_a_certificate_of_its_kind(t):
    for algorithm, served, refused in ((tls.P256, "ECDSA", "RSA"), (tls.RSA, "RSA", "ECDSA")):
        site = Site(t, algorithms=[algorithm])
        site.serves("-tls1_2", "-cipher", f"ECDHE-{served}-AES128-GCM-SHA256")
        site.refuses("-tls1_2", "-cipher", f"ECDHE-{refused}-AES128-GCM-SHA256")
        site.serves("-tls1_3", "-sigalgs", SIGNATURES[served])
        site.refuses("-tls1_3", "-sigalgs", SIGNATURES[refused])


def test_each_suite_of_tls_1_3_is_had_alone_with_either_certificate(t):
    site = Site(t)
    for suite in SUITES:
        for signature in SIGNATURES.values():
            line = site.serves("-tls1_3", "-ciphersuites", suite, "-sigalgs", signature)
            equal((line["tls"], line["cipher"]), ("TLSv1.3", suite))


def test_a_suite_of_tls_1_3_that_is_not_listed_is_refused(t):
    site = Site(t, "ssl_ciphersuites = TLS_AES_256_GCM_SHA384")
    equal(site.serves("-tls1_3")["cipher"], "TLS_AES_256_GCM_SHA384")
    for suite in ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"):
        site.refuses("-tls1_3", "-ciphersuites", suite)


def test_each_group_is_had_alone_in_both_versions(t):
    default, listed = ["X25519", "P-256", "P-384"], ["X25519", "P-256", "P-384", "P-521"]
    for groups, more in ((default, ""), (listed, f"ssl_ecdh_curve = {' '.join(listed)}")):
        site = Site(t, more)
        for version in ("-tls1_2", "-tls1_3"):
            for group in groups:
                equal(site.serves(version, "-groups", group)["group"], group, version)


def test_a_group_that_is_not_listed_is_refused(t):
    for more, group in (("", "P-521"), ("ssl_ecdh_curve = X25519", "P-256"), ("ssl_ecdh_curve = P-384", "X25519")):
        site = Site(t, more)
        for version in ("-tls1_2", "-tls1_3"):
            site.refuses(version, "-groups", group)
