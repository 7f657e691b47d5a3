#include "process/metrics.h"

#include "snapshot_text.h"
#include "test.h"
#include "tls/tls_library.h"

#include <stdlib.h>

/* A site, two workers' gauges, and what they look like to a scraper. */
struct scraped {
	struct site           site;
	struct worker_gauges  gauges[2];
	struct metrics_worker workers[2];
	struct metrics_view   view;
	char                 *text;
};

static void begin(struct scraped *scraped, const char *text)
{
	*scraped = (struct scraped){0};
	if (!site_init(&scraped->site, text))
		abort();
	scraped->workers[0] = (struct metrics_worker){0, &scraped->gauges[0]};
	scraped->workers[1] = (struct metrics_worker){7, &scraped->gauges[1]};
	scraped->view = (struct metrics_view){
		.registry = scraped->site.registry,
		.snapshot = scraped->site.snapshot,
		.workers = scraped->workers,
		.worker_count = 2,
		.now_ms = 1000,
		.began_ms = 1700000000123,
		.max_connections = 500,
		.generation = 3,
		.reloads_ok = 2,
		.reloads_failed = 1,
		.log_lines_dropped = 4,
	};
}

static void scrape(struct scraped *scraped)
{
	size_t len;
	FILE  *to;

	free(scraped->text);
	scraped->text = NULL;
	to = open_memstream(&scraped->text, &len);
	if (!to || !metrics_print(&scraped->view, to) || fclose(to) != 0)
		abort();
}

static void end(struct scraped *scraped)
{
	free(scraped->text);
	site_fini(&scraped->site);
}

/* How often *line* stands there as a whole line. */
static unsigned count_lines(const char *text, const char *line)
{
	size_t   len = strlen(line);
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, line)); at += len)
		count += (at == text || at[-1] == '\n') && at[len] == '\n';
	return count;
}

#define EXPECT_LINE(scraped, line)                                                                 \
	do {                                                                                       \
		if (count_lines((scraped)->text, line) != 1)                                       \
			printf("  %u times: %s\n", count_lines((scraped)->text, line), line);      \
		EXPECT(count_lines((scraped)->text, line) == 1);                                   \
	} while (0)

#define CONF                                                                                       \
	"[listener web]\nlisten = 1\nproxy_pass = up\n"                                            \
	"[listener other]\nlisten = 2\nproxy_pass = unix:/run/a\"b\\c\n"                           \
	"[upstream up]\nserver = 127.0.0.1:5\nserver = 127.0.0.1:6 down\nserver = 127.0.0.1:7\n"

/* Is there but one sample of the series that *line* begins with? */
static bool is_alone(const char *text, const char *line)
{
	size_t   len = (size_t)(strrchr(line, ' ') - line) + 1;
	unsigned count = 0;

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		count += strncmp(at, line, len) == 0;
	}
	return count == 1;
}

TEST(every_sample_follows_the_head_of_its_family_and_no_two_are_alike)
{
	struct scraped scraped;
	char          *lines, *rest, *line;
	char           family[128] = "";
	size_t         samples = 0;

	begin(&scraped, CONF);
	scrape(&scraped);
	lines = rest = strdup(scraped.text);
	while ((line = strsep(&rest, "\n")) && rest) {
		if (sscanf(line, "# HELP %127s", family) == 1) {
			EXPECT(strlen(line) > strlen("# HELP ") + strlen(family) + 1);
			EXPECT(is_alone(scraped.text, line));
			line = strsep(&rest, "\n");
			EXPECT(strncmp(line, "# TYPE ", 7) == 0);
			EXPECT(strncmp(line + 7, family, strlen(family)) == 0);
			continue;
		}
		samples++;
		EXPECT(strncmp(line, family, strlen(family)) == 0);
		EXPECT(strspn(strrchr(line, ' '), " 0123456789.") == strlen(strrchr(line, ' ')));
		EXPECT(is_alone(scraped.text, line));
	}
	EXPECT(*line == '\0');
	EXPECT(samples > 60);
	free(lines);
	end(&scraped);
}

TEST(a_listener_sums_up_its_workers)
{
	struct listener_counters *counters;
	struct scraped            scraped;

	begin(&scraped, CONF);
	counters = registry_listener(scraped.site.registry, "web")->counters;
	(void)registry_worker(scraped.site.registry, 0);
	(void)registry_worker(scraped.site.registry, 1);
	GAUGE_ADD(counters[0].accepted, 5);
	GAUGE_ADD(counters[1].accepted, 7);
	GAUGE_ADD(counters[1].bytes[COUNTERS_UP], 1ull << 40);
	GAUGE_ADD(counters[0].bytes[COUNTERS_DOWN], 9);
	counters_end(&counters[0], REASON_OK);
	counters_end(&counters[1], REASON_OK);
	counters_end(&counters[1], REASON_UPSTREAM_RESET);
	scrape(&scraped);
	EXPECT_LINE(&scraped, "penstock_connections_total{listener=\"web\"} 12");
	EXPECT_LINE(&scraped, "penstock_connections_active{listener=\"web\"} 9");
	EXPECT_LINE(&scraped, "penstock_ended_total{listener=\"web\",reason=\"ok\"} 2");
	EXPECT_LINE(&scraped, "penstock_ended_total{listener=\"web\",reason=\"upstream_reset\"} 1");
	EXPECT_LINE(&scraped, "penstock_ended_total{listener=\"web\",reason=\"internal\"} 0");
	EXPECT_LINE(&scraped,
	            "penstock_bytes_total{listener=\"web\",direction=\"up\"} 1099511627776");
	EXPECT_LINE(&scraped, "penstock_bytes_total{listener=\"web\",direction=\"down\"} 9");
	end(&scraped);
}

TEST(every_reason_of_every_listener_is_there_before_it_happens)
{
	struct scraped scraped;
	unsigned       count = 0;

	begin(&scraped, CONF);
	scrape(&scraped);
	for (const char *at = scraped.text; (at = strstr(at, "penstock_ended_total{")); at++)
		count++;
	EXPECT_EQ(count, 2 * REASON_COUNT);
	end(&scraped);
}

TEST(a_listener_that_is_gone_keeps_its_counters)
{
	struct scraped scraped;

	begin(&scraped, CONF);
	(void)registry_worker(scraped.site.registry, 0);
	GAUGE_ADD(registry_listener(scraped.site.registry, "old")->counters[0].accepted, 3);
	scrape(&scraped);
	EXPECT_LINE(&scraped, "penstock_connections_total{listener=\"old\"} 3");
	end(&scraped);
}

TEST(a_path_cannot_end_its_label)
{
	struct scraped scraped;

	begin(&scraped, CONF);
	scrape(&scraped);
	EXPECT_LINE(&scraped, "penstock_upstream_up{upstream=\"unix:/run/a\\\"b\\\\c\","
	                      "server=\"unix:/run/a\\\"b\\\\c\"} 1");
	end(&scraped);
}

TEST(a_server_is_up_when_it_may_be_chosen)
{
	struct balance_server *servers;
	struct scraped         scraped;

	begin(&scraped, CONF);
	servers = scraped.site.snapshot->upstreams[0].states;
	if (strcmp(scraped.site.snapshot->upstreams[0].name, "up") != 0)
		servers = scraped.site.snapshot->upstreams[1].states;
	servers[2].state->ejected_until_ms = 1001;
	servers[0].state->active = 5;
	servers[0].state->chosen_total = 50;
	servers[0].state->failed_total = 6;
	scrape(&scraped);
	EXPECT_LINE(&scraped, "penstock_upstream_up{upstream=\"up\",server=\"127.0.0.1:5\"} 1");
	EXPECT_LINE(&scraped, "penstock_upstream_up{upstream=\"up\",server=\"127.0.0.1:6\"} 0");
	EXPECT_LINE(&scraped, "penstock_upstream_up{upstream=\"up\",server=\"127.0.0.1:7\"} 0");
	EXPECT_LINE(&scraped, "penstock_upstream_connections_active{upstream=\"up\","
	                      "server=\"127.0.0.1:5\"} 5");
	EXPECT_LINE(&scraped,
	            "penstock_upstream_chosen_total{upstream=\"up\",server=\"127.0.0.1:5\"} 50");
	EXPECT_LINE(&scraped,
	            "penstock_upstream_failed_total{upstream=\"up\",server=\"127.0.0.1:5\"} 6");
	scraped.view.now_ms = 1001;
	scrape(&scraped);
	EXPECT_LINE(&scraped, "penstock_upstream_up{upstream=\"up\",server=\"127.0.0.1:7\"} 1");
	end(&scraped);
}

TEST(a_server_that_stands_twice_in_an_upstream_is_one_series)
{
	struct scraped scraped;

	begin(&scraped, "[listener a]\nlisten = 1\nproxy_pass = up\n[upstream up]\n"
	                "server = 127.0.0.1:5 down\nserver = 127.0.0.1:5\n");
	scrape(&scraped);
	EXPECT_LINE(&scraped, "penstock_upstream_up{upstream=\"up\",server=\"127.0.0.1:5\"} 1");
	end(&scraped);
}

TEST(a_histogram_is_cumulative_and_in_seconds)
{
	struct worker_counters *counters;
	struct scraped          scraped;

	begin(&scraped, CONF);
	counters = registry_worker(scraped.site.registry, 1);
	histogram_observe(&counters->connect, 400);
	histogram_observe(&registry_worker(scraped.site.registry, 0)->connect, 700);
	histogram_observe(&counters->connect, 2000000);
	histogram_observe(&counters->connect, 60000000);
	GAUGE_ADD(counters->relayed[COUNTERS_SPLICE], 11);
	scrape(&scraped);
	EXPECT(strstr(scraped.text, "# TYPE penstock_connect_seconds histogram\n"
	                            "penstock_connect_seconds_bucket{le=\"0.0005\"} 1\n"
	                            "penstock_connect_seconds_bucket{le=\"0.001\"} 2\n"
	                            "penstock_connect_seconds_bucket{le=\"0.0025\"} 2\n"));
	EXPECT_LINE(&scraped, "penstock_connect_seconds_bucket{le=\"1\"} 2");
	EXPECT_LINE(&scraped, "penstock_connect_seconds_bucket{le=\"2.5\"} 3");
	EXPECT_LINE(&scraped, "penstock_connect_seconds_bucket{le=\"10\"} 3");
	EXPECT_LINE(&scraped, "penstock_connect_seconds_bucket{le=\"+Inf\"} 4");
	EXPECT_LINE(&scraped, "penstock_connect_seconds_sum 62.001100");
	EXPECT_LINE(&scraped, "penstock_connect_seconds_count 4");
	EXPECT_LINE(&scraped, "penstock_relay_bytes_total{strategy=\"splice\"} 11");
	EXPECT_LINE(&scraped, "penstock_relay_bytes_total{strategy=\"copy\"} 0");
	EXPECT_LINE(&scraped, "penstock_relay_bytes_total{strategy=\"uring_splice\"} 0");
	end(&scraped);
}

TEST(workers_go_by_their_numbers)
{
	struct scraped scraped;

	begin(&scraped, CONF);
	GAUGE_SET(scraped.gauges[1].pipes_in_use, 6);
	GAUGE_SET(scraped.gauges[1].buffers_exhausted_total, 1ull << 33);
	GAUGE_SET(scraped.gauges[0].cq_overflow_total, 2);
	scrape(&scraped);
	EXPECT_LINE(&scraped, "penstock_pipes_in_use{worker=\"0\"} 0");
	EXPECT_LINE(&scraped, "penstock_pipes_in_use{worker=\"7\"} 6");
	EXPECT_LINE(&scraped, "penstock_buffers_exhausted_total{worker=\"7\"} 8589934592");
	EXPECT_LINE(&scraped, "penstock_cq_overflow_total{worker=\"0\"} 2");
	end(&scraped);
}

TEST(the_process_tells_of_itself)
{
	struct scraped scraped;
	char           build[128];

	begin(&scraped, CONF);
	scraped.view.is_draining = true;
	atomic_store(&scraped.site.registry->sessions, 44);
	scrape(&scraped);
	snprintf(build, sizeof(build),
	         "penstock_build_info{version=\"" PENSTOCK_VERSION "\",tls=\"%s\"} 1",
	         tls_library_name());
	EXPECT_LINE(&scraped, build);
	EXPECT_LINE(&scraped, "penstock_config_generation 3");
	EXPECT_LINE(&scraped, "penstock_reload_total{result=\"ok\"} 2");
	EXPECT_LINE(&scraped, "penstock_reload_total{result=\"failed\"} 1");
	EXPECT_LINE(&scraped, "penstock_log_lines_dropped_total 4");
	EXPECT_LINE(&scraped, "penstock_draining 1");
	EXPECT_LINE(&scraped, "penstock_sessions 44");
	EXPECT_LINE(&scraped, "penstock_sessions_max 500");
	EXPECT_LINE(&scraped, "process_start_time_seconds 1700000000.123000");
	end(&scraped);
}

int main(void)
{
	return test_main();
}
