#include "process/explain.h"

#include "base/clock.h"
#include "proto/alert.h"
#include "proto/hello.h"
#include "site/reason.h"

#include <string.h>

enum {
	HELLO_BYTES_MAX = 8192, /* of one that we make */
	ALPN_MAX = 1024,
	SNI_MAX = 4096, /* beyond HELLO_NAME_MAX, so that a name too long is judged by the reader */
};

/* ---- a hello of our own making ---- */

struct writer {
	uint8_t bytes[HELLO_BYTES_MAX];
	size_t  len;
};

static void put(struct writer *writer, const void *data, size_t len)
{
	CHECK(len <= sizeof(writer->bytes) - writer->len);
	memcpy(writer->bytes + writer->len, data, len);
	writer->len += len;
}

static void put_u8(struct writer *writer, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	put(writer, &byte, 1);
}

static void put_u16(struct writer *writer, unsigned value)
{
	put_u8(writer, value >> 8);
	put_u8(writer, value & 0xff);
}

/* Lengths are filled in when what they count has been written. */
static size_t open_block(struct writer *writer, size_t width)
{
	for (size_t i = 0; i < width; i++)
		put_u8(writer, 0);
	return writer->len;
}

static void close_block(struct writer *writer, size_t start, size_t width)
{
	size_t len = writer->len - start;

	for (size_t i = 0; i < width; i++)
		writer->bytes[start - 1 - i] = (uint8_t)(len >> 8 * i);
}

/* RFC 6066 3. */
static void put_server_name(struct writer *writer, const char *name)
{
	size_t extension, list, host;

	put_u16(writer, 0);
	extension = open_block(writer, 2);
	list = open_block(writer, 2);
	put_u8(writer, 0);
	host = open_block(writer, 2);
	put(writer, name, strlen(name));
	close_block(writer, host, 2);
	close_block(writer, list, 2);
	close_block(writer, extension, 2);
}

/* RFC 7301 3.1. False: an empty protocol, or one of more than 255 bytes. */
static bool put_alpn(struct writer *writer, const char *list)
{
	size_t extension, protocols;

	put_u16(writer, 16);
	extension = open_block(writer, 2);
	protocols = open_block(writer, 2);
	for (;;) {
		size_t len = strcspn(list, ",");

		if (len == 0 || len > 255)
			return false;
		put_u8(writer, (unsigned)len);
		put(writer, list, len);
		list += len;
		if (*list++ == '\0')
			break;
	}
	close_block(writer, protocols, 2);
	close_block(writer, extension, 2);
	return true;
}

/* RFC 8446 4.2.1: TLS 1.3 and 1.2, what clients of today offer. */
static void put_versions(struct writer *writer)
{
	static const uint8_t versions[] = {0x00, 0x2b, 0x00, 0x05, 0x04, 0x03, 0x04, 0x03, 0x03};

	put(writer, versions, sizeof(versions));
}

/* RFC 8446 4.1.2, in one record. */
static bool make_hello(struct writer *writer, const char *name, const char *alpn)
{
	static const uint8_t random[32];
	static const uint8_t session_and_ciphers[] = {0x00, 0x00, 0x02, 0x13, 0x01, 0x01, 0x00};
	size_t               record, message, extensions;

	writer->len = 0;
	put_u8(writer, 0x16);
	put_u16(writer, 0x0301);
	record = open_block(writer, 2);
	put_u8(writer, 0x01);
	message = open_block(writer, 3);
	put_u16(writer, 0x0303);
	put(writer, random, sizeof(random));
	put(writer, session_and_ciphers, sizeof(session_and_ciphers));
	extensions = open_block(writer, 2);
	if (*name)
		put_server_name(writer, name);
	if (alpn && !put_alpn(writer, alpn))
		return false;
	put_versions(writer);
	close_block(writer, extensions, 2);
	close_block(writer, message, 3);
	close_block(writer, record, 2);
	return true;
}

/* ---- what becomes of it ---- */

struct subject {
	const struct snapshot      *snapshot;
	const struct listener_site *site;
	const struct options       *options;
	struct router_query         query;
	enum hello_result           read;
	FILE                       *to;
};

enum { LABEL_WIDTH = 10 };

static void print_label(const struct subject *subject, const char *label)
{
	fprintf(subject->to, "  %-*s ", LABEL_WIDTH, label);
}

static void refused(const struct subject *subject, enum reason reason, enum alert alert,
                    const char *why)
{
	print_label(subject, "refused");
	fprintf(subject->to, "%s, alert %u: %s\n", reason_word(reason), (unsigned)alert, why);
}

/* By the registry: in a running program more than the configuration says. */
static const char *condition_text(const struct balance_server *server)
{
	uint64_t until_ms;

	switch (balance_condition_of(server, clock_ms(), &until_ms)) {
	case BALANCE_USABLE:
		return "";
	case BALANCE_EJECTED:
		return " ejected";
	case BALANCE_DRAINING:
		return " draining";
	case BALANCE_DOWN:
		break;
	}
	return " down";
}

static void print_upstream(const struct subject *subject, const struct upstream *upstream)
{
	print_label(subject, "upstream");
	fputs(upstream->name, subject->to);
	for (size_t i = 0; i < upstream->server_count; i++)
		fprintf(subject->to, "%s%s%s%s", i == 0 ? " (" : ", ", upstream->servers[i].text,
		        upstream->states[i].backup ? " backup" : "",
		        condition_text(&upstream->states[i]));
	fputs(")\n", subject->to);
}

static const char *mode_word(enum conf_mode mode)
{
	switch (mode) {
	case CONF_PASSTHROUGH:
		return "passthrough";
	case CONF_TERMINATE:
		return "terminate";
	case CONF_REJECT:
		return "reject";
	}
	return "?";
}

/* True: a connection would be passed on. */
static bool take_route(const struct subject *subject, const struct route *route,
                       const char *because)
{
	const struct addr *from = &subject->query.client;

	print_label(subject, "route");
	fputs(route->name, subject->to);
	if (route->conf)
		fprintf(subject->to, " (%s:%u)", route->conf->pos.file, route->conf->pos.line);
	fprintf(subject->to, "%s\n", because);
	print_label(subject, "mode");
	fprintf(subject->to, "%s\n", mode_word(route->mode));
	if (route->mode == CONF_REJECT) {
		refused(subject, REASON_REJECTED, ALERT_UNRECOGNIZED_NAME, "mode = reject");
		return false;
	}
	print_upstream(subject, route->upstream);
	if (from->family == ADDR_NONE || acl_allows(&route->acl, from))
		return true;
	refused(subject, REASON_DENIED, ALERT_ACCESS_DENIED, "by the route's allow and deny");
	return false;
}

static bool take_no_rule(const struct subject *subject)
{
	const struct conf_listener *conf = subject->site->conf;
	bool                        has_name = subject->query.name.len > 0;
	enum conf_action            action = has_name ? conf->on_no_match : conf->on_no_sni;

	if (action == CONF_ACTION_DEFAULT && subject->site->fallback)
		return take_route(subject, subject->site->fallback,
		                  has_name ? ": no rule matches"
		                           : ": no rule for a hello without a name");
	print_label(subject, "route");
	fputs("none\n", subject->to);
	if (has_name)
		refused(subject, REASON_NO_MATCH, ALERT_UNRECOGNIZED_NAME,
		        "no rule matches, on_no_match = reject");
	else
		refused(subject, REASON_NO_SNI, ALERT_UNRECOGNIZED_NAME, "on_no_sni = reject");
	return false;
}

/* ---- the rules ---- */

struct rules {
	const struct subject *subject;
	size_t                seen;
};

static const char *verdict_text(enum router_verdict verdict, const struct subject *subject)
{
	switch (verdict) {
	case ROUTER_WON:
		return "";
	case ROUTER_LOST:
		return ": a better rule won";
	case ROUTER_ALPN_FAILED:
		return subject->query.alpn.len > 0
		               ? ": none of its alpn is offered"
		               : ": its alpn is not offered (--alpn offers some)";
	case ROUTER_SOURCE_FAILED:
		return subject->query.client.family != ADDR_NONE
		               ? ": not from its source"
		               : ": source unknown (--from gives one)";
	case ROUTER_VERSION_FAILED:
		return ": none of its tls_version is offered";
	}
	return "";
}

static const char *verdict_word(enum router_verdict verdict)
{
	switch (verdict) {
	case ROUTER_WON:
		return "won";
	case ROUTER_LOST:
		return "lost";
	case ROUTER_ALPN_FAILED:
	case ROUTER_SOURCE_FAILED:
	case ROUTER_VERSION_FAILED:
		break;
	}
	return "failed";
}

static void print_rule_name(const struct router_rule *rule, FILE *to)
{
	int len = (int)rule->name.len;

	switch (rule->kind) {
	case ROUTER_EXACT:
		fprintf(to, "%.*s", len, (const char *)rule->name.data);
		return;
	case ROUTER_BELOW:
		fprintf(to, "*.%.*s", len, (const char *)rule->name.data);
		return;
	case ROUTER_APEX:
		fprintf(to, ".%.*s", len, (const char *)rule->name.data);
		return;
	case ROUTER_ANY_NAME:
		fputs("any name", to);
		return;
	case ROUTER_NO_NAME:
		fputs("none", to);
		return;
	}
}

/* A route's rules stand side by side, one for each of its names. */
static struct conf_pos rule_position(const struct listener_site *site, const struct route *route,
                                     size_t index)
{
	size_t first = index;

	while (first > 0 && site->rules[first - 1].target == site->rules[index].target)
		first--;
	if (index - first < route->conf->name_count && route->conf->names[index - first].pos.file)
		return route->conf->names[index - first].pos;
	return route->conf->pos;
}

static void print_rule(const struct router_rule *rule, size_t index, enum router_verdict verdict,
                       void *context)
{
	struct rules         *rules = context;
	const struct subject *subject = rules->subject;
	const struct route   *route = &subject->snapshot->routes[rule->target];
	struct conf_pos       pos = rule_position(subject->site, route, index);

	print_label(subject, rules->seen++ == 0 ? "rules" : "");
	fprintf(subject->to, "%-6s ", verdict_word(verdict));
	print_rule_name(rule, subject->to);
	fprintf(subject->to, " -> route %s (%s:%u)%s\n", route->name, pos.file, pos.line,
	        verdict_text(verdict, subject));
}

/* ---- one listener ---- */

static bool explain_hello(const struct subject *subject)
{
	const struct listener_site *site = subject->site;
	struct rules                rules = {.subject = subject};
	bool                        routed;
	int                         rule;

	if (subject->read != HELLO_OK) {
		refused(subject, REASON_MALFORMED, ALERT_DECODE_ERROR,
		        "no well-formed hello can carry this name");
		return false;
	}
	rule = router_find(site->router, &subject->query);
	routed = rule == ROUTER_NO_RULE
	                 ? take_no_rule(subject)
	                 : take_route(subject, &subject->snapshot->routes[site->rules[rule].target],
	                              "");
	router_explain(site->router, &subject->query, print_rule, &rules);
	return routed;
}

static bool explain_listener(const struct subject *subject)
{
	const struct listener_site *site = subject->site;
	const struct addr          *from = &subject->query.client;

	fprintf(subject->to, "\nlistener %s (", site->conf->name);
	for (size_t i = 0; i < site->conf->listen_count; i++)
		fprintf(subject->to, "%s%s", i == 0 ? "" : ", ", site->conf->listens[i].text);
	fputs(")\n", subject->to);
	if (from->family != ADDR_NONE && !acl_allows(&site->acl, from)) {
		refused(subject, REASON_DENIED, ALERT_ACCESS_DENIED,
		        "by the listener's allow and deny");
		return false;
	}
	if (site->router)
		return explain_hello(subject);
	if (site->fallback)
		return take_route(subject, site->fallback, ": this listener reads no hello");
	return false;
}

/* ---- the whole ---- */

static void print_subject(const struct subject *subject)
{
	const struct options *options = subject->options;
	char                  from[ADDR_TEXT_MAX];

	fputs("hello", subject->to);
	if (subject->read == HELLO_OK && subject->query.name.len > 0)
		fprintf(subject->to, " with the name %.*s", (int)subject->query.name.len,
		        (const char *)subject->query.name.data);
	else if (subject->read == HELLO_OK)
		fprintf(subject->to, " without a name%s",
		        *options->name ? " (an address counts as none)" : "");
	if (options->alpn)
		fprintf(subject->to, ", alpn %s", options->alpn);
	if (options->from.family != ADDR_NONE) {
		addr_format_ip(&options->from, from);
		fprintf(subject->to, ", from %s", from);
	}
	fputs(", TLS 1.2 and 1.3\n", subject->to);
}

static bool has_listener(const struct snapshot *snapshot, const char *name)
{
	for (size_t i = 0; i < snapshot->conf->listener_count; i++)
		if (strcmp(snapshot->conf->listeners[i]->name, name) == 0)
			return true;
	return false;
}

static bool are_options_sound(const struct snapshot *snapshot, const struct options *options,
                              FILE *errors)
{
	if (options->listener && !has_listener(snapshot, options->listener)) {
		fprintf(errors,
		        "penstock: --listener %s: the configuration has no listener of that name\n",
		        options->listener);
		return false;
	}
	if (options->alpn && strlen(options->alpn) > ALPN_MAX) {
		fprintf(errors, "penstock: --alpn: at most %d bytes\n", ALPN_MAX);
		return false;
	}
	return true;
}

enum explain_result explain(const struct snapshot *snapshot, const struct options *options,
                            FILE *to, FILE *errors)
{
	struct subject subject = {.snapshot = snapshot, .options = options, .to = to};
	struct writer  bytes;
	uint8_t        scratch[HELLO_BYTES_MAX];
	char           name[HELLO_NAME_MAX];
	struct hello   hello;
	bool           routed = false;

	if (!are_options_sound(snapshot, options, errors))
		return EXPLAIN_WRONG;
	subject.read = HELLO_BAD;
	if (strlen(options->name) <= SNI_MAX) {
		if (!make_hello(&bytes, options->name, options->alpn)) {
			fprintf(errors,
			        "penstock: --alpn %s: protocols of 1 to 255 bytes, separated by commas\n",
			        options->alpn);
			return EXPLAIN_WRONG;
		}
		subject.read = hello_parse(span_of(bytes.bytes, bytes.len), sizeof(scratch),
		                           scratch, &hello);
	}
	subject.query.client = options->from;
	if (subject.read == HELLO_OK) {
		subject.query.name = span_of(name, hello_fold_name(hello.name, name));
		subject.query.alpn = hello.alpn;
		subject.query.versions = hello.versions;
	}
	print_subject(&subject);
	for (size_t i = 0; i < snapshot->conf->listener_count; i++) {
		subject.site = &snapshot->listeners[i];
		if (!options->listener || strcmp(subject.site->conf->name, options->listener) == 0)
			routed = explain_listener(&subject) || routed;
	}
	return routed ? EXPLAIN_ROUTED : EXPLAIN_REFUSED;
}
