/*
 * values: how each type of value is read and written.
 *
 * A reader takes the text of one value and fills in one field, or says what is allowed. What a
 * printer writes, the reader of the same kind reads back to the same field. Readers see one value
 * at a time; what spans keys is conf/check's. Used by conf alone.
 */
#ifndef CONF_VALUES_H
#define CONF_VALUES_H

#include "conf/conf.h"

struct arena;
struct build;
struct key;

struct reading {
	struct build     *build;
	struct arena     *arena;
	const struct key *key;
	const char       *name; /* the key as written */
	const char       *value;
	struct conf_pos   pos;
	char              refused[512]; /* what is allowed instead */
};

struct value_kind {
	size_t item_size;
	/* False: *refused* says what is allowed. */
	bool (*read)(struct reading *reading, void *field);
	/* NULL: never printed. Writes the value as it would stand behind `key = `. */
	void (*print)(const struct key *key, const void *field, FILE *to);
	/* True: there is nothing to print: none was given and there is no default. NULL: there
	 * always is. */
	bool (*is_unset)(const void *field);
	/* In the reference: what such a value looks like. */
	const char *syntax;
};

extern const struct value_kind value_switch, value_number, value_size, value_word, value_starttls;
extern const struct value_kind value_time, value_short_time; /* milliseconds; microseconds */
extern const struct value_kind value_text, value_cpus, value_include;
extern const struct value_kind value_error_log, value_log_path, value_template, value_when;
extern const struct value_kind value_listen, value_server, value_bind, value_socket, value_ip_port;
extern const struct value_kind value_rule, value_cidr;
extern const struct value_kind value_name, value_alpn, value_version;
extern const struct value_kind value_listener, value_proxy_pass, value_access_log;
extern const struct value_kind value_tls, value_file, value_protocols, value_alpn_list, value_host;
extern const struct value_kind value_ciphers, value_ciphersuites, value_curves;
extern const struct value_kind value_later;

/* Says what is allowed; always false, so that a reader can return it. */
bool reading_refuse(struct reading *reading, const char *format, ...) PRINTF(2, 3);

/* `500ms`, `16k`: as short as it can be said. */
void value_print_time(uint32_t ms, FILE *to);

/* Strictly digits, no sign; false: not a number or above *max*. */
MUST_CHECK bool value_parse_number(struct span text, uint32_t max, uint32_t *out);
MUST_CHECK bool value_parse_time(struct span text, uint32_t *ms);
/* `192.0.2.1:443` or `[2001:db8::1]:443`, no name. */
MUST_CHECK bool value_parse_ip_port(struct span text, struct addr *addr);

/* Reads and prints a field that is a text, of at most the key's max bytes. */
MUST_CHECK bool value_read_text(struct reading *reading, void *field);
void            value_print_text(const struct key *key, const void *field, FILE *to);
bool            value_is_unset_text(const void *field);

/* The server name of a route or of an [sni] line, checked and folded. */
MUST_CHECK bool value_read_name(struct reading *reading, const char *text, struct conf_name *name);
void            value_print_name(const struct conf_name *name, FILE *to);

/* An address to connect to: HOST:PORT or unix:/path. */
MUST_CHECK bool value_read_server_endpoint(struct reading *reading, struct span text,
                                           struct conf_endpoint *endpoint);

#endif
