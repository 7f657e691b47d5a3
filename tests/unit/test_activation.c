/* Sockets that systemd has opened. Each test runs in a child, whose fds from 3 on are its own. */
#include "port_maker.h"
#include "process/activation.h"
#include "report_text.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3 };

/* A listening socket at *fd*. */
static void put_listener(int fd)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int                made = socket(AF_INET, SOCK_STREAM, 0);

	EXPECT(bind(made, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(made, 8) == 0);
	if (made != fd) {
		dup2(made, fd);
		close(made);
	}
}

static void announce(const char *count, const char *names)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", count, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static void in_child(void (*body)(void))
{
	int   status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		test_failed = false;
		close_range(3, ~0u, 0);
		body();
		fflush(stdout);
		_exit(test_failed);
	}
	EXPECT(waitpid(child, &status, 0) == child);
	EXPECT_EQ(status, 0);
}

static void find_by_name(void)
{
	int fd;

	put_listener(3);
	put_listener(4);
	put_listener(5);
	announce("3", "http:https:http");
	EXPECT_EQ(activation_count("http"), 2);
	EXPECT_EQ(activation_count("https"), 1);
	EXPECT_EQ(activation_count("htt"), 0);
	EXPECT_EQ(activation_count(""), 0);
	fd = activation_take("https", 0);
	EXPECT(fd > 5);
	EXPECT((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	EXPECT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	EXPECT(fcntl(4, F_GETFD) >= 0); /* still there for the next configuration */
	EXPECT_EQ(activation_take("https", 1), -ENOENT);
}

TEST(sockets_are_found_by_their_names)
{
	in_child(find_by_name);
}

static void distrust(void)
{
	put_listener(3);
	announce("1", "http");
	setenv("LISTEN_PID", "1", 1);
	EXPECT_EQ(activation_count("http"), 0);
	announce("1x", "http");
	EXPECT_EQ(activation_count("http"), 0);
	announce("-1", "http");
	EXPECT_EQ(activation_count("http"), 0);
	announce("99999999999999999999", "http");
	EXPECT_EQ(activation_count("http"), 0);
	announce("1", "a:http"); /* more names than sockets */
	EXPECT_EQ(activation_count("http"), 0);
	announce("2", "http"); /* fewer */
	EXPECT_EQ(activation_count("http"), 1);
	unsetenv("LISTEN_FDNAMES");
	EXPECT_EQ(activation_count("http"), 0);
	EXPECT_EQ(activation_take("http", 0), -ENOENT);
}

TEST(an_environment_that_is_not_ours_or_is_wrong_passes_nothing)
{
	in_child(distrust);
}

static void refuse(void)
{
	EXPECT_EQ(open("/dev/null", O_RDONLY), 3);
	EXPECT_EQ(socket(AF_INET, SOCK_STREAM, 0), 4);
	EXPECT_EQ(socket(AF_INET, SOCK_DGRAM, 0), 5);
	announce("4", "file:idle:datagram:closed");
	EXPECT_EQ(activation_take("file", 0), -ENOTSOCK);
	EXPECT_EQ(activation_take("idle", 0), -EINVAL);
	EXPECT_EQ(activation_take("datagram", 0), -EINVAL);
	EXPECT_EQ(activation_take("closed", 0), -EBADF);
}

TEST(what_is_no_listening_stream_socket_is_refused)
{
	in_child(refuse);
}

/* Two listeners: one of two sockets of systemd, one of a unix socket that is ours. */
struct site {
	struct conf_endpoint lent, own;
	struct conf_listener listeners[2], *list[2];
	struct conf          conf;
	struct conf_report  *report;
	struct ports         ports;
};

static void site_init(struct site *site, char *path)
{
	*site = (struct site){
		.lent = {.text = "fd:web",
	                 .pos = {"t.ini", 2},
	                 .kind = CONF_ENDPOINT_FD,
	                 .host = "web"},
		.own = {.text = path,
	                .pos = {"t.ini", 5},
	                .kind = CONF_ENDPOINT_UNIX,
	                .host = path},
		.report = conf_report_new(),
	};
	ports_init(&site->ports);
	site->listeners[0] = (struct conf_listener){
		.name = "one", .listens = &site->lent, .listen_count = 1, .backlog = 8};
	site->listeners[1] = (struct conf_listener){
		.name = "two", .listens = &site->own, .listen_count = 1, .backlog = 8};
	site->list[0] = &site->listeners[0];
	site->list[1] = &site->listeners[1];
	site->conf = (struct conf){.path = "t.ini", .listeners = site->list, .listener_count = 2};
}

static bool site_open(struct site *site)
{
	const struct ports_plan plan = {.conf = &site->conf, .workers = WORKERS};

	return ports_become(&site->ports, &plan, site->report);
}

static bool is_listening(int fd)
{
	int       value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value;
}

static void share_and_leave(void)
{
	struct site site;
	char        path[64];

	snprintf(path, sizeof(path), P_tmpdir "/penstock-test-%ld", (long)getpid());
	put_listener(3);
	put_listener(4);
	announce("2", "web:web");
	site_init(&site, path);
	EXPECT(site_open(&site));
	for (uint32_t worker = 0; worker < WORKERS; worker++) {
		size_t                    count;
		const struct worker_port *ports = ports_of(&site.ports, worker, &count);

		EXPECT_EQ(count, 3);
		EXPECT(ports[0].fd > 4 && ports[1].fd > 4 && ports[0].fd != ports[1].fd);
		EXPECT(ports[0].fd == fd_of(&site.ports, 0));
		EXPECT(ports[0].listener == 0 && ports[1].listener == 0 && ports[2].listener == 1);
	}
	ports_let_go(&site.ports);
	EXPECT(access(path, F_OK) < 0);             /* ours is gone */
	EXPECT(is_listening(3) && is_listening(4)); /* systemd's backlog goes to our successor */
	ports_close(&site.ports);
	EXPECT(is_listening(3) && is_listening(4));
	/* A later configuration has them again. */
	EXPECT(site_open(&site));
	ports_close(&site.ports);
	conf_report_free(site.report);
}

TEST(workers_share_systemd_s_sockets_and_never_shut_them_down)
{
	in_child(share_and_leave);
}

static void keep_and_drop(void)
{
	struct site        site;
	struct ports_plan  plan = {.conf = &site.conf, .workers = 1};
	struct worker_port kept;
	char               path[64];

	snprintf(path, sizeof(path), P_tmpdir "/penstock-test-%ld", (long)getpid());
	put_listener(3);
	put_listener(4);
	announce("2", "web:web");
	site_init(&site, path);
	EXPECT(site_open(&site));
	kept = *nth_port_of(&site.ports, 0, 1);
	EXPECT(ports_become(&site.ports, &plan, site.report));
	EXPECT_EQ(nth_port_of(&site.ports, 0, 1)->fd, kept.fd);
	EXPECT_EQ(port_count_of(&site.ports, 0), 3);
	/* Without the listener of systemd's sockets. */
	site.list[0] = site.list[1];
	site.conf.listener_count = 1;
	EXPECT(ports_become(&site.ports, &plan, site.report));
	EXPECT_EQ(port_count_of(&site.ports, 0), 1);
	EXPECT(is_listening(kept.fd));
	ports_close_dropped(&site.ports);
	EXPECT(!is_listening(kept.fd));
	EXPECT(is_listening(3) && is_listening(4));
	ports_close(&site.ports);
	conf_report_free(site.report);
}

TEST(systemd_s_sockets_are_kept_by_a_change_or_left_to_systemd)
{
	in_child(keep_and_drop);
}

static void miss(void)
{
	struct site site;
	char        path[64];

	snprintf(path, sizeof(path), P_tmpdir "/penstock-test-%ld", (long)getpid());
	unsetenv("LISTEN_FDS");
	site_init(&site, path);
	EXPECT(!site_open(&site));
	EXPECT(report_says(
		site.report,
		"t.ini:2: [listener one] listen = fd:web: systemd has passed no socket of that "
		"name (LISTEN_FDNAMES)\n"));
	EXPECT(access(path, F_OK) < 0);
	conf_report_free(site.report);
}

TEST(a_socket_that_was_not_passed_is_an_error_with_its_line)
{
	in_child(miss);
}

int main(void)
{
	return test_main();
}
