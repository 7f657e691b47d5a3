/* What systemd asks of us by the environment. */
#include "process/notify.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint32_t interval(const char *usec, const char *pid)
{
	if (usec)
		setenv("WATCHDOG_USEC", usec, 1);
	else
		unsetenv("WATCHDOG_USEC");
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
	else
		unsetenv("WATCHDOG_PID");
	return notify_watchdog_interval_ms();
}

TEST(the_watchdog_is_fed_twice_as_often_as_it_bites)
{
	char own[32];

	snprintf(own, sizeof(own), "%ld", (long)getpid());
	EXPECT_EQ(interval("30000000", own), 15000);
	EXPECT_EQ(interval("30000000", NULL), 15000);
	EXPECT_EQ(interval("1", own), 1);
	EXPECT_EQ(interval("18446744073709551615", own), 3600000);
}

TEST(another_process_s_watchdog_is_not_fed)
{
	EXPECT_EQ(interval("30000000", "1"), 0);
	EXPECT_EQ(interval("30000000", "me"), 0);
}

TEST(without_a_watchdog_there_is_no_interval)
{
	EXPECT_EQ(interval(NULL, NULL), 0);
	EXPECT_EQ(interval("0", NULL), 0);
	EXPECT_EQ(interval("-5", NULL), 0);
	EXPECT_EQ(interval("5s", NULL), 0);
	EXPECT_EQ(interval("", NULL), 0);
	EXPECT_EQ(interval("99999999999999999999999", NULL), 0);
}

TEST(what_is_told_arrives_at_an_abstract_socket)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char               name[64], got[64] = "";
	int                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(name, sizeof(name), "@penstock-test-%ld", (long)getpid());
	memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
	EXPECT(bind(fd, (const struct sockaddr *)&at,
	            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_systemd("WATCHDOG=1");
	unsetenv("NOTIFY_SOCKET");
	EXPECT(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) == 10);
	EXPECT(strcmp(got, "WATCHDOG=1") == 0);
	close(fd);
}

int main(void)
{
	return test_main();
}
