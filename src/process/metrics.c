#include "process/metrics.h"

#include "base/escape.h"
#include "tls/tls_library.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const char metrics_content_type[] = "text/plain; version=0.0.4; charset=utf-8";

enum { US = 1000000 }; /* in a second */

/* ---- the format ---- */

struct label {
	const char *name;
	struct span value;
};

static void print_family(FILE *to, const char *name, const char *type, const char *help)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_label(FILE *to, const struct label *label)
{
	struct span value = label->value;

	fprintf(to, "%s=\"", label->name);
	while (value.len > 0) {
		char   out[ESCAPE_MAX];
		size_t len = escape_label(&value, out);

		fwrite(out, 1, len, to);
	}
	fputc('"', to);
}

static void print_sample_of(FILE *to, const char *name, const struct label *const *labels,
                            size_t count, uint64_t value)
{
	fputs(name, to);
	for (size_t i = 0; i < count; i++) {
		fputc(i == 0 ? '{' : ',', to);
		print_label(to, labels[i]);
	}
	fprintf(to, "%s %" PRIu64 "\n", count > 0 ? "}" : "", value);
}

/* With at most two labels. */
static void print_sample(FILE *to, const char *name, const struct label *first,
                         const struct label *second, uint64_t value)
{
	const struct label *labels[] = {first, second};

	print_sample_of(to, name, labels, (size_t)(first != NULL) + (size_t)(second != NULL),
	                value);
}

/* Of a value that is counted in millionths: bytes of *us* are seconds. */
static void print_seconds(FILE *to, const char *name, uint64_t us)
{
	fprintf(to, "%s %" PRIu64 ".%06" PRIu64 "\n", name, us / US, us % US);
}

static void print_lone(FILE *to, const char *name, const char *type, const char *help,
                       uint64_t value)
{
	print_family(to, name, type, help);
	print_sample(to, name, NULL, NULL, value);
}

/* ---- the process ---- */

static uint64_t us_of(struct timeval time)
{
	return (uint64_t)time.tv_sec * US + (uint64_t)time.tv_usec;
}

/* proc(5), statm: total and resident pages; 0 where there is no /proc. */
static uint64_t resident_bytes(void)
{
	FILE              *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void print_process(const struct metrics_view *view, FILE *to)
{
	static const struct label version = {
		"version", {(const uint8_t *)PENSTOCK_VERSION, sizeof(PENSTOCK_VERSION) - 1}};
	const struct label tls = {"tls", span_text(tls_library_name())};
	struct rusage      usage;

	print_family(to, "penstock_build_info", "gauge",
	             "Always 1; the labels tell the version and the TLS library.");
	print_sample(to, "penstock_build_info", &version, &tls, 1);
	print_family(to, "process_start_time_seconds", "gauge",
	             "When the program started, since 1970.");
	print_seconds(to, "process_start_time_seconds", view->began_ms * 1000);
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		print_family(to, "process_cpu_seconds_total", "counter",
		             "CPU time of all threads, the kernel's part included.");
		print_seconds(to, "process_cpu_seconds_total",
		              us_of(usage.ru_utime) + us_of(usage.ru_stime));
	}
	print_lone(to, "process_resident_memory_bytes", "gauge", "Resident memory.",
	           resident_bytes());
}

static void print_state(const struct metrics_view *view, FILE *to)
{
	struct label ok = {"result", span_text("ok")}, failed = {"result", span_text("failed")};

	print_lone(to, "penstock_config_generation", "gauge",
	           "Number of the configuration that is served; the first is 1.", view->generation);
	print_family(to, "penstock_reload_total", "counter", "Reloads by their result.");
	print_sample(to, "penstock_reload_total", &ok, NULL, view->reloads_ok);
	print_sample(to, "penstock_reload_total", &failed, NULL, view->reloads_failed);
	print_lone(to, "penstock_draining", "gauge", "1 while draining, else 0.",
	           view->is_draining);
	print_lone(to, "penstock_sessions", "gauge", "Connections that count for max_connections.",
	           GAUGE_GET(view->registry->sessions));
	print_lone(to, "penstock_sessions_max", "gauge", "max_connections.", view->max_connections);
	print_lone(to, "penstock_log_lines_dropped_total", "counter",
	           "Log lines lost because a destination was not ready.", view->log_lines_dropped);
}

/* ---- listeners ---- */

/* What is told of one listener is summed up once, so that it adds up within a scrape. */
struct listener_sum {
	struct label           label;
	struct listener_totals totals;
};

static size_t count_listeners(struct registry *registry)
{
	const struct listener_state *state = NULL;
	size_t                       count = 0;

	while ((state = registry_next_listener(registry, state)))
		count++;
	return count;
}

static void sum_listeners(struct registry *registry, struct listener_sum *sums, size_t count)
{
	uint32_t                     workers = GAUGE_GET(registry->worker_count);
	const struct listener_state *state = NULL;

	for (size_t i = 0; i < count; i++) {
		state = registry_next_listener(registry, state);
		sums[i] = (struct listener_sum){
			.label = {"listener", state->name},
			.totals = counters_of_listener(state->counters, workers),
		};
	}
}

static void print_ends(const struct listener_sum *sums, size_t count, FILE *to)
{
	print_family(to, "penstock_ended_total", "counter",
	             "Connections that have ended, by their reason in the access log.");
	for (size_t i = 0; i < count; i++) {
		for (size_t reason = 0; reason < REASON_COUNT; reason++) {
			struct label word = {"reason", span_text(reason_word((enum reason)reason))};

			print_sample(to, "penstock_ended_total", &sums[i].label, &word,
			             sums[i].totals.ended[reason]);
		}
	}
}

static void print_handshakes(const struct listener_sum *sums, size_t count, FILE *to)
{
	static const struct label resumed[] = {{"resumed", {(const uint8_t *)"no", 2}},
	                                       {"resumed", {(const uint8_t *)"yes", 3}}};

	print_family(to, "penstock_handshakes_total", "counter",
	             "TLS handshakes with clients that were done.");
	for (size_t i = 0; i < count; i++) {
		for (enum counters_tls at = 0; at < COUNTERS_TLS_VERSIONS; at++) {
			struct label version = {"version", span_text(counters_tls_word(at))};

			for (size_t j = 0; j < COUNT(resumed); j++) {
				const struct label *labels[] = {&sums[i].label, &version,
				                                &resumed[j]};

				print_sample_of(to, "penstock_handshakes_total", labels,
				                COUNT(labels), sums[i].totals.handshakes[at][j]);
			}
		}
	}
}

static void print_sums(const struct listener_sum *sums, size_t count, FILE *to)
{
	static const struct label up = {"direction", {(const uint8_t *)"up", 2}};
	static const struct label down = {"direction", {(const uint8_t *)"down", 4}};

	print_family(to, "penstock_connections_total", "counter",
	             "Connections accepted, those included that were refused.");
	for (size_t i = 0; i < count; i++)
		print_sample(to, "penstock_connections_total", &sums[i].label, NULL,
		             sums[i].totals.accepted);
	print_family(to, "penstock_connections_active", "gauge",
	             "Connections that have not ended.");
	for (size_t i = 0; i < count; i++)
		print_sample(to, "penstock_connections_active", &sums[i].label, NULL,
		             sums[i].totals.active);
	print_ends(sums, count, to);
	print_family(to, "penstock_bytes_total", "counter",
	             "Bytes relayed: up to the servers, down to the clients; as the servers saw "
	             "them.");
	for (size_t i = 0; i < count; i++) {
		print_sample(to, "penstock_bytes_total", &sums[i].label, &up,
		             sums[i].totals.bytes[COUNTERS_UP]);
		print_sample(to, "penstock_bytes_total", &sums[i].label, &down,
		             sums[i].totals.bytes[COUNTERS_DOWN]);
	}
}

static bool print_listeners(const struct metrics_view *view, FILE *to)
{
	size_t               count = count_listeners(view->registry);
	struct listener_sum *sums = calloc(count + 1, sizeof(*sums));

	if (!sums)
		return false;
	sum_listeners(view->registry, sums, count);
	print_sums(sums, count, to);
	print_handshakes(sums, count, to);
	free(sums);
	return true;
}

/* ---- what all workers did together ---- */

static void print_histogram(FILE *to, const char *name, const uint64_t *buckets, uint64_t sum_us)
{
	uint64_t total = 0;

	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		total += buckets[i];
		fprintf(to, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
		        (double)histogram_bounds_us[i] / (double)US, total);
	}
	total += buckets[HISTOGRAM_BOUNDS];
	fprintf(to, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, total);
	fprintf(to, "%s_sum %" PRIu64 ".%06" PRIu64 "\n", name, sum_us / US, sum_us % US);
	fprintf(to, "%s_count %" PRIu64 "\n", name, total);
}

static void print_totals(const struct metrics_view *view, FILE *to)
{
	struct worker_totals totals = counters_of_workers(view->registry->workers,
	                                                  GAUGE_GET(view->registry->worker_count));

	print_family(to, "penstock_connect_seconds", "histogram",
	             "From connecting to a server to its answer, where it accepted.");
	print_histogram(to, "penstock_connect_seconds", totals.connect, totals.connect_sum_us);
	print_family(to, "penstock_handshake_seconds", "histogram",
	             "From a client's whole hello to the end of its TLS handshake.");
	print_histogram(to, "penstock_handshake_seconds", totals.handshake,
	                totals.handshake_sum_us);
	print_family(to, "penstock_relay_bytes_total", "counter",
	             "Bytes relayed, both directions, by how they were moved.");
	for (enum counters_strategy i = 0; i < COUNTERS_STRATEGIES; i++) {
		struct label strategy = {"strategy", span_text(counters_strategy_word(i))};

		print_sample(to, "penstock_relay_bytes_total", &strategy, NULL, totals.relayed[i]);
	}
}

/* ---- upstreams ---- */

struct server_row {
	struct label         upstream, server;
	struct server_state *state;
	bool                 is_up;
};

static bool is_up(const struct metrics_view *view, const struct balance_server *server)
{
	uint64_t until_ms;

	return balance_condition_of(server, view->now_ms, &until_ms) == BALANCE_USABLE;
}

/* An upstream may have a server twice; its series must not. Up if it can be chosen as either. */
static size_t add_upstream(const struct metrics_view *view, const struct upstream *upstream,
                           struct server_row *rows)
{
	size_t count = 0;

	for (size_t i = 0; i < upstream->server_count; i++) {
		const struct balance_server *server = &upstream->states[i];
		size_t                       at = 0;

		while (at < count && rows[at].state != server->state)
			at++;
		if (at == count)
			rows[count++] = (struct server_row){
				.upstream = {"upstream", span_text(upstream->name)},
				.server = {"server", span_text(upstream->servers[i].text)},
				.state = server->state,
			};
		rows[at].is_up |= is_up(view, server);
	}
	return count;
}

static void print_rows(const struct server_row *rows, size_t count, FILE *to)
{
	print_family(to, "penstock_upstream_up", "gauge",
	             "1 if the server may be chosen now: not down by configuration or order, not "
	             "left out by max_fails.");
	for (size_t i = 0; i < count; i++)
		print_sample(to, "penstock_upstream_up", &rows[i].upstream, &rows[i].server,
		             rows[i].is_up);
	print_family(to, "penstock_upstream_connections_active", "gauge",
	             "Sessions on the server, those that still connect included.");
	for (size_t i = 0; i < count; i++)
		print_sample(to, "penstock_upstream_connections_active", &rows[i].upstream,
		             &rows[i].server, GAUGE_GET(rows[i].state->active));
	print_family(to, "penstock_upstream_chosen_total", "counter",
	             "Sessions for which the server was chosen.");
	for (size_t i = 0; i < count; i++)
		print_sample(to, "penstock_upstream_chosen_total", &rows[i].upstream,
		             &rows[i].server, GAUGE_GET(rows[i].state->chosen_total));
	print_family(to, "penstock_upstream_failed_total", "counter",
	             "Connects to the server that failed.");
	for (size_t i = 0; i < count; i++)
		print_sample(to, "penstock_upstream_failed_total", &rows[i].upstream,
		             &rows[i].server, GAUGE_GET(rows[i].state->failed_total));
}

static bool print_upstreams(const struct metrics_view *view, FILE *to)
{
	const struct snapshot *snapshot = view->snapshot;
	struct server_row     *rows;
	size_t                 room = 1, count = 0;

	for (size_t i = 0; i < snapshot->conf->upstream_count; i++)
		room += snapshot->upstreams[i].server_count;
	rows = calloc(room, sizeof(*rows));
	if (!rows)
		return false;
	for (size_t i = 0; i < snapshot->conf->upstream_count; i++)
		count += add_upstream(view, &snapshot->upstreams[i], &rows[count]);
	print_rows(rows, count, to);
	free(rows);
	return true;
}

/* ---- certificates ---- */

struct certificate_row {
	const struct listener_site *site;
	const char                 *name;
	int64_t                     expires;
};

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t left = (uintptr_t) * (const void *const *)a;
	uintptr_t right = (uintptr_t) * (const void *const *)b;

	return left < right ? -1 : left > right;
}

static int compare_certificates(const void *a, const void *b)
{
	const struct certificate_row *left = a, *right = b;
	int                           order;

	if (left->site != right->site)
		return left->site < right->site ? -1 : 1;
	order = strcmp(left->name, right->name);
	if (order != 0)
		return order;
	return left->expires < right->expires ? -1 : left->expires > right->expires;
}

/* Of the routes of *site*, each once; *found* has room for its rules and one more. */
static size_t find_contexts(const struct snapshot *snapshot, const struct listener_site *site,
                            const struct tls_context **found)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < site->rule_count; i++)
		found[count++] = snapshot->routes[site->rules[i].target].tls;
	if (site->fallback)
		found[count++] = site->fallback->tls;
	qsort(found, count, sizeof(struct tls_context *), compare_pointers);
	for (size_t i = 0; i < count; i++)
		if (found[i] && (kept == 0 || found[kept - 1] != found[i]))
			found[kept++] = found[i];
	return kept;
}

struct certificate_rows {
	struct certificate_row *rows;
	size_t                  count, room;
};

static bool add_certificates(struct certificate_rows *all, const struct listener_site *site,
                             const struct tls_context *context)
{
	struct certificate_row row = {.site = site};

	for (size_t i = 0; tls_context_certificate(context, i, &row.name, &row.expires); i++) {
		if (all->count == all->room) {
			size_t                  room = all->room ? all->room * 2 : 16;
			struct certificate_row *grown = realloc(all->rows, room * sizeof(*grown));

			if (!grown)
				return false;
			all->rows = grown;
			all->room = room;
		}
		all->rows[all->count++] = row;
	}
	return true;
}

static bool gather_certificates(const struct snapshot *snapshot, struct certificate_rows *all)
{
	bool ok = true;

	for (size_t i = 0; ok && i < snapshot->conf->listener_count; i++) {
		const struct listener_site *site = &snapshot->listeners[i];
		const struct tls_context  **found = calloc(site->rule_count + 1,
		                                           sizeof(struct tls_context *));
		size_t count = found ? find_contexts(snapshot, site, found) : 0;

		ok = found != NULL;
		for (size_t j = 0; ok && j < count; j++)
			ok = add_certificates(all, site, found[j]);
		free(found);
	}
	return ok;
}

/* Two certificates of one name, RSA and ECDSA, are one series: that which ends first is the one to
 * be warned of. */
static bool print_certificates(const struct metrics_view *view, FILE *to)
{
	static const char       name[] = "penstock_certificate_expiry_seconds";
	struct certificate_rows all = {0};
	bool                    ok = gather_certificates(view->snapshot, &all);

	if (ok && all.count > 0) {
		qsort(all.rows, all.count, sizeof(*all.rows), compare_certificates);
		print_family(to, name, "gauge",
		             "When the certificate shown on the listener ends, in seconds since "
		             "1970.");
	}
	for (size_t i = 0; ok && i < all.count; i++) {
		const struct certificate_row *row = &all.rows[i];
		const struct label listener = {"listener", span_text(row->site->conf->name)};
		const struct label subject = {"name", span_text(row->name)};

		if (i > 0 && row[-1].site == row->site && strcmp(row[-1].name, row->name) == 0)
			continue;
		print_sample(to, name, &listener, &subject,
		             row->expires > 0 ? (uint64_t)row->expires : 0);
	}
	free(all.rows);
	return ok;
}

/* ---- each worker ---- */

struct worker_family {
	const char *name, *type, *help;
	size_t      offset; /* of the gauge */
	bool        is_narrow;
};

#define NARROW(name, field, help)                                                                  \
	{                                                                                          \
		name, "gauge", help, offsetof(struct worker_gauges, field), true                   \
	}
#define WIDE(name, field, help)                                                                    \
	{                                                                                          \
		name, "counter", help, offsetof(struct worker_gauges, field), false                \
	}

static const struct worker_family worker_families[] = {
	NARROW("penstock_worker_sessions", sessions,
               "Connections that the worker holds, lingering refusals included."),
	WIDE("penstock_worker_accepted_total", accepted_total,
             "Connections that the worker took, whichever accepted them."),
	WIDE("penstock_worker_handed_over_total", handed_over_total,
             "Connections that the worker accepted and gave to one that had fewer."),
	NARROW("penstock_hellos_pending", hellos_pending,
               "Connections that wait for a PROXY header or a ClientHello."),
	WIDE("penstock_hellos_dropped_total", hellos_dropped_total,
             "Oldest waiting hellos dropped, because too many waited."),
	NARROW("penstock_lingering", lingering, "Refused clients whose end is waited for."),
	WIDE("penstock_lingers_skipped_total", lingers_skipped_total,
             "Refused clients closed at once, because too many lingered."),
	WIDE("penstock_accept_pauses_total", accept_pauses_total,
             "Pauses in accepting: max_connections, no file descriptors, too many hellos."),
	WIDE("penstock_cancel_requests_total", cancels_total,
             "CancelRequests of PostgreSQL's clients passed on."),
	NARROW("penstock_pipes_in_use", pipes_in_use, "Pipes that hold bytes."),
	WIDE("penstock_pipes_exhausted_total", pipes_exhausted_total,
             "Times that bytes were copied for want of a pipe."),
	NARROW("penstock_buffers_in_use", leases_in_use, "Receive buffers in use."),
	WIDE("penstock_buffers_exhausted_total", buffers_exhausted_total,
             "Times that a connection had to wait for a receive buffer."),
	WIDE("penstock_cq_overflow_total", cq_overflow_total,
             "Turns in which the completion queue had overflowed."),
};

static uint64_t read_gauge(const struct worker_gauges *gauges, const struct worker_family *family)
{
	const char *at = (const char *)gauges + family->offset;

	return family->is_narrow ? GAUGE_GET(*(const _Atomic uint32_t *)(const void *)at)
	                         : GAUGE_GET(*(const _Atomic uint64_t *)(const void *)at);
}

static void print_workers(const struct metrics_view *view, FILE *to)
{
	for (size_t i = 0; i < COUNT(worker_families); i++) {
		const struct worker_family *family = &worker_families[i];

		print_family(to, family->name, family->type, family->help);
		for (size_t at = 0; at < view->worker_count; at++) {
			const struct metrics_worker *worker = &view->workers[at];

			fprintf(to, "%s{worker=\"%" PRIu32 "\"} %" PRIu64 "\n", family->name,
			        worker->index, read_gauge(worker->gauges, family));
		}
	}
}

bool metrics_print(const struct metrics_view *view, FILE *to)
{
	print_process(view, to);
	print_state(view, to);
	if (!print_listeners(view, to))
		return false;
	print_totals(view, to);
	if (!print_upstreams(view, to) || !print_certificates(view, to))
		return false;
	print_workers(view, to);
	return true;
}
