#include "process/ports.h"

#include "port_maker.h"
#include "report_text.h"
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

enum { WORKERS = 3 };

/* A listener of one address, as the configuration would hold it. */
struct site {
	struct conf_endpoint  endpoint;
	struct conf_listener  listener;
	struct conf_listener *listeners[1];
	struct conf           conf;
	char                  text[160];
	struct conf_report   *report;
	struct ports          ports;
};

static void site_init(struct site *site, enum conf_endpoint_kind kind)
{
	*site = (struct site){0};
	site->endpoint.text = site->text;
	site->endpoint.pos = (struct conf_pos){"site.ini", 12};
	site->endpoint.kind = kind;
	site->listener.name = "web";
	site->listener.listens = &site->endpoint;
	site->listener.backlog = 64;
	site->listener.listen_count = 1;
	site->listeners[0] = &site->listener;
	site->conf.path = "site.ini";
	site->conf.listeners = site->listeners;
	site->conf.listener_count = 1;
	site->report = conf_report_new();
}

static bool site_open_patiently(struct site *site, uint32_t patience_ms)
{
	const struct ports_plan plan = {&site->conf, WORKERS, patience_ms};

	ports_init(&site->ports);
	return ports_become(&site->ports, &plan, site->report);
}

static bool site_open(struct site *site)
{
	bool ok = site_open_patiently(site, 0);

	EXPECT(ok);
	if (!ok)
		conf_report_print(site->report, stdout);
	return ok;
}

static void site_fini(struct site *site)
{
	conf_report_free(site->report);
}

/* ---- TCP ---- */

static void tcp_site(struct site *site, uint16_t port)
{
	struct sockaddr_in at = loopback(port);

	site_init(site, CONF_ENDPOINT_IP);
	site->endpoint.addr = addr_from_sockaddr((const struct sockaddr *)&at, sizeof(at));
	addr_format(&site->endpoint.addr, site->text);
}

TEST(connections_are_spread_over_all_workers_sockets)
{
	enum { DIALS = 60 };
	struct site site;
	uint16_t    port = free_port();
	unsigned    sum = 0;
	int         fds[DIALS];

	tcp_site(&site, port);
	if (site_open(&site)) {
		EXPECT_EQ(port_count_of(&site.ports, 0), 1);
		for (int i = 0; i < DIALS; i++) {
			fds[i] = dial_port(port);
			EXPECT(fds[i] >= 0);
		}
		for (uint32_t worker = 0; worker < WORKERS; worker++) {
			unsigned count = accept_all(fd_of(&site.ports, worker));

			/* The kernel's hash leaves one of three out once in 3^59. */
			EXPECT(count > 0);
			sum += count;
		}
		EXPECT_EQ(sum, DIALS);
		for (int i = 0; i < DIALS; i++)
			close(fds[i]);
		ports_close(&site.ports);
	}
	site_fini(&site);
}

TEST(a_port_that_another_process_listens_on_is_an_error_with_its_line)
{
	for (int reuseport = 0; reuseport < 2; reuseport++) {
		int         other = stranger(0, reuseport);
		struct site site;

		tcp_site(&site, port_of(other));
		EXPECT(!site_open_patiently(&site, 0));
		EXPECT(report_says(site.report, "site.ini:12: [listener web] listen = 127.0.0.1:"));
		EXPECT(report_says(site.report, ": Address already in use\n"));
		EXPECT(list_is_empty(&site.ports.live));
		site_fini(&site);
		close(other);
	}
}

TEST(a_second_penstock_of_the_same_user_cannot_share_the_port)
{
	struct site first, second;
	uint16_t    port = free_port();

	tcp_site(&first, port);
	tcp_site(&second, port);
	if (site_open(&first)) {
		EXPECT(!site_open_patiently(&second, 0));
		ports_close(&first.ports);
		EXPECT(site_open(&second));
		ports_close(&second.ports);
	}
	site_fini(&first);
	site_fini(&second);
}

TEST(every_failure_is_told_and_nothing_is_left_open)
{
	int                  other = stranger(0, false);
	struct conf_endpoint listens[3] = {0};
	struct site          site;
	uint16_t             port = free_port();

	tcp_site(&site, port);
	listens[0] = site.endpoint;
	site.endpoint.addr.port = port_of(other);
	listens[1] = site.endpoint;
	listens[2] = site.endpoint;
	listens[2].pos = (struct conf_pos){"site.ini", 13};
	site.listener.listens = listens;
	site.listener.listen_count = 3;
	EXPECT(!site_open_patiently(&site, 0));
	EXPECT_EQ(conf_report_errors(site.report), 2);
	EXPECT(report_says(site.report, "site.ini:12:"));
	EXPECT(report_says(site.report, "site.ini:13:"));
	EXPECT_EQ(dial_port(port), -ECONNREFUSED);
	site_fini(&site);
	close(other);
}

static void *close_soon(void *argument)
{
	struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};

	nanosleep(&pause, NULL);
	close(*(int *)argument);
	return NULL;
}

TEST(a_port_that_is_about_to_be_freed_is_waited_for)
{
	int         other = stranger(0, false);
	struct site site;
	pthread_t   thread;

	tcp_site(&site, port_of(other));
	EXPECT(pthread_create(&thread, NULL, close_soon, &other) == 0);
	EXPECT(site_open_patiently(&site, 20000));
	pthread_join(thread, NULL);
	ports_close(&site.ports);
	site_fini(&site);
}

TEST(connections_of_the_past_do_not_hinder_a_start)
{
	struct site site;
	uint16_t    port = free_port();
	int         fd, taken;

	tcp_site(&site, port);
	if (site_open(&site)) {
		fd = dial_port(port);
		for (uint32_t worker = 0; worker < WORKERS; worker++) {
			taken = accept4(fd_of(&site.ports, worker), NULL, NULL, SOCK_CLOEXEC);
			if (taken >= 0)
				close(taken); /* first, so that TIME_WAIT is on the server's side */
		}
		ports_close(&site.ports);
		EXPECT(site_open(&site));
		ports_close(&site.ports);
		close(fd);
	}
	site_fini(&site);
}

TEST(a_bare_port_takes_ipv4_and_ipv6)
{
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct site         site;
	uint16_t            port = free_port();
	int                 fd;

	site_init(&site, CONF_ENDPOINT_ANY);
	site.endpoint.addr.port = port;
	snprintf(site.text, sizeof(site.text), "%u", port);
	if (site_open(&site)) {
		fd = dial_port(port);
		EXPECT(fd >= 0);
		close(fd);
		fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0) {
			close(fd);
			to6.sin6_port = htons(port);
			fd = dial((const struct sockaddr *)&to6, sizeof(to6));
			EXPECT(fd >= 0 || fd == -EADDRNOTAVAIL); /* a host without ::1 */
			if (fd >= 0)
				close(fd);
		}
		ports_close(&site.ports);
	}
	site_fini(&site);
}

TEST(ports_that_were_let_go_refuse_and_a_successor_can_have_them)
{
	struct site site, successor;
	uint16_t    port = free_port();

	tcp_site(&site, port);
	tcp_site(&successor, port);
	if (site_open(&site)) {
		ports_let_go(&site.ports);
		EXPECT_EQ(dial_port(port), -ECONNREFUSED);
		EXPECT(fcntl(fd_of(&site.ports, 0), F_GETFD) >= 0);
		if (site_open(&successor))
			ports_close(&successor.ports);
		ports_close(&site.ports);
	}
	site_fini(&site);
	site_fini(&successor);
}

/* ---- unix sockets ---- */

static char folder[64];

static void unix_site(struct site *site, const char *name)
{
	site_init(site, CONF_ENDPOINT_UNIX);
	CHECK(snprintf(site->text, sizeof(site->text), "unix:%s/%s", folder, name) <
	      (int)sizeof(site->text));
	site->endpoint.host = site->text + strlen("unix:");
}

TEST(a_unix_socket_is_one_for_all_workers_and_its_file_goes_with_it)
{
	struct site site;
	int         fd;

	unix_site(&site, "one");
	if (site_open(&site)) {
		EXPECT_EQ(fd_of(&site.ports, 1), fd_of(&site.ports, 0));
		EXPECT_EQ(fd_of(&site.ports, 2), fd_of(&site.ports, 0));
		fd = dial_path(site.endpoint.host);
		EXPECT(fd >= 0);
		close(fd);
		ports_close(&site.ports);
	}
	EXPECT(access(site.endpoint.host, F_OK) < 0);
	site_fini(&site);
}

TEST(a_socket_file_that_nobody_listens_behind_is_replaced)
{
	struct site site;
	char        kept[200];

	unix_site(&site, "stale");
	snprintf(kept, sizeof(kept), "%s.kept", site.endpoint.host);
	if (site_open(&site)) {
		/* As after a kill: the file stays, the socket is gone. */
		EXPECT(link(site.endpoint.host, kept) == 0);
		ports_close(&site.ports);
		EXPECT(rename(kept, site.endpoint.host) == 0);
		EXPECT_EQ(dial_path(site.endpoint.host), -ECONNREFUSED);
		if (site_open(&site))
			ports_close(&site.ports);
	}
	site_fini(&site);
}

TEST(a_socket_that_somebody_listens_behind_is_an_error_and_stays)
{
	struct site first, second;
	int         fd;

	unix_site(&first, "live");
	unix_site(&second, "live");
	if (site_open(&first)) {
		EXPECT(!site_open_patiently(&second, 0));
		EXPECT(report_says(second.report, "/live: Address already in use\n"));
		fd = dial_path(first.endpoint.host);
		EXPECT(fd >= 0);
		close(fd);
		ports_close(&first.ports);
	}
	site_fini(&first);
	site_fini(&second);
}

TEST(a_file_that_is_no_socket_is_an_error_and_stays)
{
	struct site site;
	int         fd;

	unix_site(&site, "file");
	fd = open(site.endpoint.host, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	EXPECT(fd >= 0);
	close(fd);
	EXPECT(!site_open_patiently(&site, 0));
	EXPECT(report_says(site.report, "/file: Address already in use\n"));
	EXPECT(access(site.endpoint.host, F_OK) == 0);
	EXPECT(unlink(site.endpoint.host) == 0);
	site_fini(&site);
}

TEST(a_file_that_took_our_sockets_place_stays)
{
	struct site first, second;

	unix_site(&first, "place");
	unix_site(&second, "place");
	if (site_open(&first)) {
		EXPECT(unlink(first.endpoint.host) == 0);
		if (site_open(&second)) {
			ports_close(&first.ports);
			EXPECT(access(first.endpoint.host, F_OK) == 0);
			ports_close(&second.ports);
		}
	}
	site_fini(&first);
	site_fini(&second);
}

TEST(a_path_too_long_for_a_socket_is_an_error)
{
	struct site site;

	unix_site(
		&site,
		"a-name-of-a-hundred-and-more-characters-in-a-folder-that-is-not-short-either-so-that-"
		"it-does-not-fit-any-more");
	EXPECT(!site_open_patiently(&site, 0));
	EXPECT(report_says(site.report, "path: File name too long\n"));
	site_fini(&site);
}

int main(void)
{
	int result;

	snprintf(folder, sizeof(folder), "%s", P_tmpdir "/penstock-test-XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	result = test_main();
	(void)rmdir(folder);
	return result;
}
