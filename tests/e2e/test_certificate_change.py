"""Certificates replaced under load: who connects sees the new one, nobody is turned away, who is connected stays."""

import shutil
import ssl
import threading
import time

from harness import equal, limit, stream, wait_until
import tls
from test_certificates import Site
from test_terminate import end

STEP = 20  # connections that are made before the next change


class Visitors:
    """Threads that connect, exchange 1 KiB and leave, time and again; *seen*: (began, shaken hands, serial) of each."""

    def __init__(self, site, count):
        self.site, self.seen, self.errors, self.stopped = site, [], [], False
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        version = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[number % 2]
        context = tls.client_context(self.site.authority, version=version)
        while not self.stopped and not self.errors:
            began = time.monotonic()
            try:
                session = self.site.connect(context=context)
                self.seen.append((began, time.monotonic(), session.tls.getpeercert()["serialNumber"]))
                exchange(session)
                end(session)
            except Exception as error:  # pylint: disable=broad-except
                self.errors.append(error)

    def wait_for_more(self):
        """Until some came that began after this call."""
        now = time.monotonic()
        wait_until("more connections", lambda: self.errors or sum(began > now for began, *_ in list(self.seen)) >= STEP)
        equal(self.errors, [])

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()
        equal(self.errors, [])


def exchange(session):
    session.write(stream(1024))
    equal(session.read_exactly(1024), stream(1024))


@limit(60)
def test_a_certificate_is_replaced_under_load_without_a_connection_lost(t):
    site = Site(t)
    site.start()
    sessions = [site.connect() for _ in range(4)]
    visitors = Visitors(site, 4)
    shown = [[0, site.serial(), float("inf")]]  # from, serial, until

    def reload(code):
        """A reload with people before, during and after."""
        visitors.wait_for_more()
        asked = time.monotonic()
        equal(site.reload()[0], code)
        done = time.monotonic()
        if code == 0:
            shown[-1][2] = done
            shown.append([asked, site.serial(), float("inf")])
        visitors.wait_for_more()
        for session in sessions:
            exchange(session)
        sessions.append(site.connect())
    for _ in range(3):
        site.authority.issue("one.example.com")
        reload(0)
        shutil.copy(site.given["key"], t.path("good.key"))
        shutil.copy(site.given["key2"], site.given["key"])
        reload(1)
        shutil.copy(t.path("good.key"), site.given["key"])
    visitors.stop()
    equal(len(set(serial for _, serial, _ in shown)), 4, "different certificates")
    for began, done, serial in visitors.seen:
        assert any(serial == of_then and since <= done and began <= until for since, of_then, until in shown), \
            (began, done, serial, shown)
    for session in sessions:
        exchange(session)
        end(session)
    served = len(visitors.seen) + len(sessions)
    lines = site.p.take(served + len(shown))  # site.serial() just goes
    assert sum(line["reason"] == "ok" for line in lines) >= served, [line for line in lines if line["reason"] != "ok"]
