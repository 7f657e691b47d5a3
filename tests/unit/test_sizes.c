#include "process/sizes.h"

#include "report_text.h"
#include "test.h"

/* What is as in a configuration without a [global] section. */
static struct conf plain_conf(void)
{
	return (struct conf){
		.path = "site.ini",
		.global = {.cpu_affinity = "auto",
	                   .splice_min = UINT32_MAX,
	                   .pipe_pool = UINT32_MAX,
	                   .pipe_size = UINT32_MAX},
	};
}

static struct host big_host(unsigned cpus)
{
	struct host host = {
		.nofile = 100000, .pipe_budget = UINT64_MAX, .pipe_size_max = UINT64_MAX};

	for (unsigned cpu = 0; cpu < cpus; cpu++)
		CPU_SET(cpu, &host.usable);
	return host;
}

static bool plan(const struct conf *conf, const struct host *host, struct sizes *sizes)
{
	struct conf_report *report = conf_report_new();
	bool                ok = sizes_plan(conf, host, report, sizes);

	if (!ok)
		conf_report_print(report, stdout);
	EXPECT(ok == (conf_report_errors(report) == 0));
	conf_report_free(report);
	return ok;
}

static bool plan_fails(const struct conf *conf, const struct host *host, const char *wanted)
{
	struct conf_report *report = conf_report_new();
	struct sizes        sizes;
	bool fails = !sizes_plan(conf, host, report, &sizes) && report_says(report, wanted);

	EXPECT_EQ(conf_report_errors(report), 1);
	conf_report_free(report);
	return fails;
}

TEST(auto_is_one_worker_per_usable_cpu)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(3);
	struct sizes sizes;

	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.workers, 3);
}

TEST(a_cpu_quota_bounds_the_workers)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(8);
	struct sizes sizes;

	host.cpu_quota = 2;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.workers, 2);
	host.cpu_quota = 20;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.workers, 8);
}

TEST(a_number_of_workers_is_taken_as_it_is)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(2);
	struct sizes sizes;

	host.cpu_quota = 1;
	conf.global.workers = 4;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.workers, 4);
}

TEST(affinity_auto_and_off_pin_nothing)
{
	static const char *const words[] = {"auto", "off"};

	struct conf  conf = plain_conf();
	struct host  host = big_host(2);
	struct sizes sizes;

	for (size_t i = 0; i < COUNT(words); i++) {
		conf.global.cpu_affinity = words[i];
		EXPECT(plan(&conf, &host, &sizes));
		EXPECT_EQ(sizes.workers, 2);
		EXPECT_EQ(sizes.cpus[0], -1);
		EXPECT_EQ(sizes.cpus[1], -1);
	}
}

TEST(a_cpu_list_is_followed_in_its_order_and_begun_again)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(8);
	struct sizes sizes;

	conf.global.workers = 5;
	conf.global.cpu_affinity = "6, 1-2,4";
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.cpus[0], 6);
	EXPECT_EQ(sizes.cpus[1], 1);
	EXPECT_EQ(sizes.cpus[2], 2);
	EXPECT_EQ(sizes.cpus[3], 4);
	EXPECT_EQ(sizes.cpus[4], 6);
}

TEST(a_cpu_list_that_is_none_is_an_error_with_its_line)
{
	static const char *const bad[] = {"",    "a",  "1-", "3-1",  "1,,2",
	                                  "1;2", "-1", "0,", "4096", "0x1"};
	struct conf              conf = plain_conf();
	struct host              host = big_host(8);

	conf.global.cpu_affinity_pos = (struct conf_pos){"site.ini", 7};
	for (size_t i = 0; i < COUNT(bad); i++) {
		conf.global.cpu_affinity = bad[i];
		EXPECT(plan_fails(&conf, &host, "site.ini:7: [global] cpu_affinity = "));
	}
}

TEST(a_cpu_we_may_not_use_is_an_error)
{
	struct conf conf = plain_conf();
	struct host host = big_host(2);

	conf.global.cpu_affinity = "0-2";
	EXPECT(plan_fails(&conf, &host, "CPU 2 is not one"));
}

/* (nofile - reserve - 4 x pipes x workers) / 2, the reserve being 32 + logs + listening sockets + 4
 * a worker + 20 for the metrics. */
TEST(auto_connections_follow_the_documented_formula)
{
	struct conf_endpoint  listens[2] = {{.kind = CONF_ENDPOINT_ANY},
	                                    {.kind = CONF_ENDPOINT_UNIX}};
	struct conf_listener  listener = {.listens = listens, .listen_count = 2};
	struct conf_listener *listeners[] = {&listener};
	struct conf           conf = plain_conf();
	struct host           host = big_host(2);
	struct sizes          sizes;

	conf.listeners = listeners;
	conf.listener_count = 1;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pipe_pool, 256);
	EXPECT_EQ(sizes.worker.max_connections, (100000 - (32 + 3 + 8) - 4 * 256 * 2) / 2);
	EXPECT_EQ(sizes.nofile, 100000);
	conf.global.metrics_listen = (struct addr){.family = ADDR_IP4, .port = 9};
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.max_connections, (100000 - (32 + 3 + 8 + 20) - 4 * 256 * 2) / 2);
}

TEST(a_tiny_file_limit_still_leaves_connections)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(2);
	struct sizes sizes;

	host.nofile = 256;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pipe_pool, 8);
	EXPECT(sizes.worker.max_connections >= 32);
	EXPECT(2 * sizes.worker.max_connections + 2 * 2 * sizes.worker.pipe_pool < 256 - 32);
}

TEST(a_file_limit_that_leaves_nothing_is_an_error)
{
	struct conf conf = plain_conf();
	struct host host = big_host(2);

	host.nofile = 32;
	EXPECT(plan_fails(&conf, &host, "open files leaves none"));
}

TEST(more_connections_than_files_allow_is_an_error_with_its_line)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(1);
	struct sizes sizes;
	uint32_t     most;

	host.nofile = 2000;
	EXPECT(plan(&conf, &host, &sizes));
	most = sizes.worker.max_connections;

	conf.global.max_connections_pos = (struct conf_pos){"other.ini", 3};
	conf.global.max_connections = most;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.max_connections, most);
	conf.global.max_connections = most + 1;
	EXPECT(plan_fails(&conf, &host, "other.ini:3: [global] max_connections = "));
}

TEST(auto_connections_end_at_a_million)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(1);
	struct sizes sizes;

	host.nofile = 1000000000;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.max_connections, SIZES_CONNECTIONS_MAX);
}

TEST(all_pipes_together_stay_within_the_users_budget)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(8);
	struct sizes sizes;

	host.pipe_budget = 64 << 20;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT(sizes.worker.pipe_pool > 0);
	EXPECT((uint64_t)sizes.worker.pipe_pool * sizes.worker.pipe_size * sizes.workers <
	       host.pipe_budget);
	EXPECT_EQ(sizes.pipes_wished, 256);

	host.pipe_budget = 4096;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pipe_pool, 0);
}

TEST(a_pipe_is_never_larger_than_the_host_allows)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(1);
	struct sizes sizes;

	host.pipe_size_max = 65536;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pipe_size, 65536);
}

TEST(no_pipes_are_held_where_none_are_used)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(1);
	struct sizes sizes;

	conf.global.zero_copy = CONF_ZERO_COPY_OFF;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pipe_pool, 0);
	EXPECT_EQ(sizes.pipes_wished, 0);
}

TEST(tuned_values_stand_where_nothing_is_set)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(1);
	struct sizes sizes;

	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.ring_entries, 1024);
	EXPECT_EQ(sizes.worker.recv_buffers, 512);
	EXPECT_EQ(sizes.worker.buffer_size, 16384);
	EXPECT_EQ(sizes.worker.pipe_size, 262144);
	EXPECT_EQ(sizes.worker.splice_min, 65536);
}

TEST(set_values_are_taken_and_rings_rounded_to_powers_of_two)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(1);
	struct sizes sizes;

	conf.global.ring_entries = 1000;
	conf.global.recv_buffers = 17;
	conf.global.buffer_size = 5000;
	conf.global.splice_min = 0;
	conf.global.pipe_pool = 3;
	conf.global.pipe_size = 131072;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.ring_entries, 1024);
	EXPECT_EQ(sizes.worker.recv_buffers, 32);
	EXPECT_EQ(sizes.worker.buffer_size, 5000);
	EXPECT_EQ(sizes.worker.splice_min, 0);
	EXPECT_EQ(sizes.worker.pipe_pool, 3);
	EXPECT_EQ(sizes.worker.pipe_size, 131072);
}

TEST(pending_hellos_and_lingering_refusals_have_bounds)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(2);
	struct sizes sizes;

	conf.global.max_connections = 8000;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pending_hellos, 1000);
	EXPECT_EQ(sizes.worker.lingering, 500);
	conf.global.max_connections = 10;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pending_hellos, 16);
	EXPECT_EQ(sizes.worker.lingering, 16);
	conf.global.max_connections = 0;
	host.nofile = 1000000;
	EXPECT(plan(&conf, &host, &sizes));
	EXPECT_EQ(sizes.worker.pending_hellos, 4096);
	EXPECT_EQ(sizes.worker.lingering, 1024);
}

TEST(the_description_fits_whatever_room_it_gets)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(2);
	struct sizes sizes;
	char         text[40];

	EXPECT(plan(&conf, &host, &sizes));
	sizes_describe(&sizes, text, sizeof(text));
	EXPECT(strncmp(text, "penstock: 2 workers", 19) == 0);
	EXPECT(strlen(text) < sizeof(text));
}

TEST(the_description_tells_what_a_side_in_tls_may_hold)
{
	struct conf  conf = plain_conf();
	struct host  host = big_host(2);
	struct sizes sizes;
	char         text[512];

	conf.global.buffer_size = 1 << 20;
	EXPECT(plan(&conf, &host, &sizes));
	sizes_describe(&sizes, text, sizeof(text));
	/* Three buffers, each a receive buffer and two records of 16 KiB and what TLS adds. */
	EXPECT(strstr(text, "for each side in TLS at most 3169 KiB"));
}

TEST(workers_that_are_added_share_what_the_process_started_with)
{
	struct conf         conf = plain_conf();
	struct host         host = big_host(8);
	struct conf_report *report = conf_report_new();
	struct sizes        first, second;

	conf.global.workers = 2;
	host.pipe_budget = 64 << 20;
	EXPECT(plan(&conf, &host, &first));
	conf.global.workers = 8;
	host.nofile = 4000;
	EXPECT(sizes_plan_again(&conf, &host, &first, report, &second));
	EXPECT_EQ(second.workers, 8);
	EXPECT_EQ(second.nofile, 100000);
	EXPECT_EQ(second.worker.max_connections, first.worker.max_connections);
	EXPECT_EQ(second.worker.pending_hellos,
	          min_u32(first.worker.max_connections / 4 / 8, 4096));
	EXPECT(second.worker.pipe_pool <= first.worker.pipe_pool / 4);
	EXPECT_EQ(second.worker.recv_buffers, first.worker.recv_buffers);
	conf_report_free(report);
}

TEST(more_workers_than_the_files_carry_are_refused_where_connections_are_set)
{
	struct conf         conf = plain_conf();
	struct host         host = big_host(8);
	struct conf_report *report = conf_report_new();
	struct sizes        first, second;

	conf.global.workers = 1;
	conf.global.max_connections = (100000 - 32 - 4 - 4 * 256) / 2;
	EXPECT(plan(&conf, &host, &first));
	conf.global.workers = 2;
	EXPECT(!sizes_plan_again(&conf, &host, &first, report, &second));
	EXPECT(report_says(report, "[global] max_connections = "));
	conf_report_free(report);
}

TEST(fast_open_that_the_host_does_not_allow_is_told_once)
{
	struct conf_server    servers[2] = {{.endpoint = {.text = "a:1"}, .fastopen = true},
	                                    {.endpoint = {.text = "b:1"}, .fastopen = true}};
	struct conf_upstream  upstream = {.name = "up", .servers = servers, .server_count = 2};
	struct conf_upstream *upstreams[] = {&upstream};
	struct conf           conf = plain_conf();
	struct host           host = big_host(1);

	conf.upstreams = upstreams;
	conf.upstream_count = 1;
	for (int denies = 0; denies < 2; denies++) {
		struct conf_report *report = conf_report_new();
		struct sizes        sizes;

		host.denies_fastopen = denies;
		EXPECT(sizes_plan(&conf, &host, report, &sizes));
		EXPECT(report_says(report, "server = a:1 fastopen: this host allows none") ==
		       (denies == 1));
		EXPECT(!report_says(report, "server = b:1"));
		conf_report_free(report);
	}
}

int main(void)
{
	return test_main();
}
