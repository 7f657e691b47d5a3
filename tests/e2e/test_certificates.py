"""Certificates, keys and tickets: what is checked at start, what a reload changes, what is never resumed."""

import os
import shutil
import ssl

from harness import Backend, Skip, equal
import tls
from test_terminate import echo

PLAIN = """
    [global]
    {admin}
    {user}
    [listener front]
    listen = 127.0.0.1:{front}
    [tls one]
    ssl_certificate = {cert}
    ssl_certificate_key = {key}
    {one}
    [tls two]
    ssl_certificate = {cert2}
    ssl_certificate_key = {key2}
    {two}
    [route one]
    server_name = one.example.com
    mode = terminate
    tls = one
    proxy_pass = 127.0.0.1:{app}
    [route two]
    server_name = two.example.com
    mode = terminate
    tls = two
    proxy_pass = 127.0.0.1:{app}
    """


class Site:
    """one.example.com and two.example.com, each with a section and a certificate of its own."""

    def __init__(self, t, **more):
        self.t = t
        self.authority = tls.Authority(t)
        self.backend = Backend(t, echo)
        (cert, key), (cert2, key2) = (self.authority.issue(f"{name}.example.com") for name in ("one", "two"))
        self.given = {"user": "", "admin": "", "one": "", "two": "", "cert": cert, "key": key, "cert2": cert2, "key2": key2,
                      "app": self.backend.port, "ca": self.authority.cert, **more}

    def start(self, admin=True):
        self.given["admin"] = f"admin_socket = {self.t.path('ctl')}" if admin else ""
        self.p = self.t.penstock(PLAIN, **self.given)
        return self.p

    def check(self):
        """`penstock -t`: exit code and what it says."""
        config = PLAIN
        for name, value in {"dir": self.t.path(""), "front": 8443, **self.given}.items():
            config = config.replace("{" + name + "}", str(value))
        code, _, err = self.t.run("-t", "-c", "{conf}", config=config)
        return code, err

    def reload(self):
        return self.t.run("ctl", "-s", self.t.path("ctl"), "reload")

    def connect(self, name="one.example.com", context=None, port=None, session=None):
        context = context or tls.client_context(self.authority)
        end = tls.connect(port or self.p.port(), context, name)
        if session:
            end.tls = context.wrap_bio(end.incoming, end.outgoing, server_hostname=name, session=session)
        end.handshake()
        end.write(b"hello")
        equal(end.read_exactly(5), b"hello")
        return end

    def serial(self, name="one.example.com"):
        end = self.connect(name)
        serial = end.tls.getpeercert()["serialNumber"]
        end.close()
        return serial


def test_a_key_of_another_certificate_is_refused_with_its_line(t):
    site = Site(t)
    equal(site.check()[0], 0)
    site.given["key2"] = site.given["key"]
    code, err = site.check()
    equal(code, 1)
    assert f"[tls two] ssl_certificate_key = {site.given['key']} does not belong to the certificate" in err, err
    assert ".ini:13: [tls two]" in err, err


def test_a_key_that_the_user_cannot_read_is_refused_before_root_is_given_up(t):
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    folder = os.path.dirname(t.path("x"))
    os.chmod(folder, 0o755)
    site = Site(t, user="user = nobody")
    for name in ("cert", "key", "cert2", "key2"):
        os.chmod(site.given[name], 0o644)
    equal(site.check()[0], 0, site.check()[1])
    os.chmod(site.given["key2"], 0o600)
    code, err = site.check()
    equal(code, 1)
    assert f"[tls two] ssl_certificate_key = {site.given['key2']} cannot be read by uid " in err, err
    assert "Permission denied" in err, err


def test_a_reload_shows_the_new_certificate_and_leaves_sessions_alone(t):
    site = Site(t)
    site.start()
    before, untouched = site.serial(), site.serial("two.example.com")
    session = site.connect()
    cert, key = site.authority.issue("one.example.com")
    equal(cert, site.given["cert"], "replaced in its place")
    equal(site.serial(), before, "until the reload")
    code, _, err = site.reload()
    equal(code, 0, err)
    assert site.serial() != before
    equal(site.serial("two.example.com"), untouched)
    session.write(b"still")
    equal(session.read_exactly(5), b"still")
    session.close()


def test_a_certificate_that_is_wrong_refuses_the_reload_and_the_old_one_serves_on(t):
    site = Site(t)
    site.start()
    before = site.serial()
    good = site.given["key"] + ".good"
    shutil.copy(site.given["key"], good)
    for make in (lambda: shutil.copy(site.given["key2"], site.given["key"]), lambda: os.unlink(site.given["key"])):
        make()
        code, _, err = site.reload()
        equal(code, 1)
        assert f"[tls one] ssl_certificate_key = {site.given['key']}" in err, err
        equal(site.serial(), before)
    shutil.copy(good, site.given["key"])
    equal(site.reload()[0], 0)
    equal(site.serial(), before)


# ---- tickets ----

def resumes(site, context, session, **how):
    """Whether *session* is resumed, and the session of that connection."""
    end = site.connect(context=context, session=session, **how)
    reused, following = end.tls.session_reused, end.tls.session
    end.close()
    return reused, following


def contexts(site):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        yield tls.client_context(site.authority, version=version)


def key_file(t, name, fill):
    with open(t.path(name), "wb") as file:
        file.write(fill * 80)
    return t.path(name)


def test_a_ticket_is_resumed_over_a_reload(t):
    site = Site(t)
    site.start()
    for context in contexts(site):
        _, session = resumes(site, context, None)
        equal(resumes(site, context, session)[0], True)
        equal(site.reload()[0], 0)
        reused, session = resumes(site, context, session)
        equal(reused, True)


def test_two_processes_with_the_same_key_file_resume_each_others_tickets(t):
    site = Site(t)
    site.given["one"] = site.given["two"] = f"ssl_session_ticket_key = {key_file(t, 'first.key', b'1')}"
    first = site.start()
    site.given["one"] = (f"ssl_session_ticket_key = {key_file(t, 'second.key', b'2')}\n"
                         f"    ssl_session_ticket_key = {t.path('first.key')}")
    rotated = site.start(admin=False)
    for context in contexts(site):
        _, session = resumes(site, context, None, port=first.port())
        reused, session = resumes(site, context, session, port=rotated.port())
        equal(reused, True, "sealed with the older key")
        equal(resumes(site, context, session, port=rotated.port())[0], True, "the new ticket")
        equal(resumes(site, context, session, port=first.port())[0], False, "a key it does not have")


def test_a_ticket_of_a_name_without_client_certificates_is_not_taken_by_one_with(t):
    site = Site(t)
    site.given["one"] = f"ssl_session_ticket_key = {key_file(t, 'first.key', b'1')}"
    site.given["two"] = (site.given["one"] + "\n    ssl_verify_client = on\n"
                         f"    ssl_client_certificate = {site.authority.cert}")
    first = site.start()
    second = site.start(admin=False)
    for context in contexts(site):
        for p in (first, second):
            _, session = resumes(site, context, None, port=first.port())
            try:
                resumes(site, context, session, name="two.example.com", port=p.port())
            except (ssl.SSLError, OSError):
                continue
            raise AssertionError("admitted without a certificate")
