/* Values that are addresses: to listen on, to connect to, to believe, to allow. */
#include "conf/arena.h"
#include "conf/keys.h"
#include "conf/values.h"

static bool starts_with(struct span text, const char *with)
{
	size_t len = strlen(with);

	return text.len >= len && memcmp(text.data, with, len) == 0;
}

/* The last colon that is not inside an address's brackets; data NULL: none. */
static struct span after_colon(struct span text, struct span *before)
{
	for (size_t i = text.len; i-- > 0 && text.data[i] != ']';) {
		if (text.data[i] != ':')
			continue;
		*before = span_of(text.data, i);
		return span_of(text.data + i + 1, text.len - i - 1);
	}
	return (struct span){0};
}

static bool parse_port(struct span text, uint16_t *port)
{
	uint32_t number;

	if (!value_parse_number(text, 65535, &number) || number == 0)
		return false;
	*port = (uint16_t)number;
	return true;
}

/* "192.0.2.1" or "[2001:db8::1]" */
static bool parse_ip(struct span text, struct addr *addr)
{
	bool is_bracketed = text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';

	if (is_bracketed)
		text = span_of(text.data + 1, text.len - 2);
	if (is_bracketed != (memchr(text.data, ':', text.len) != 0))
		return false;
	return addr_parse_ip(text, addr);
}

bool value_parse_ip_port(struct span text, struct addr *addr)
{
	struct span host = {0}, port = after_colon(text, &host);

	return port.data && parse_ip(host, addr) && parse_port(port, &addr->port);
}

static bool is_all_digits(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return text.len != 0;
}

static bool is_host_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

/* A host's name; one whose last label is a number is a mistyped IPv4 address (RFC 3696 2). */
static bool is_host(struct span text)
{
	size_t last = text.len;

	if (text.len == 0 || text.len > 253 || text.data[0] == '.' || text.data[0] == '-')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!is_host_byte(text.data[i]) ||
		    (text.data[i] == '.' && i && text.data[i - 1] == '.'))
			return false;
	if (text.data[last - 1] == '.')
		last--;
	text.len = last;
	while (last && text.data[last - 1] != '.')
		last--;
	return !is_all_digits(span_of(text.data + last, text.len - last));
}

enum { PATH_LONGEST = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

static bool is_socket_path(struct span path)
{
	return path.len >= 2 && path.data[0] == '/' && path.len <= PATH_LONGEST;
}

static bool read_unix(struct reading *reading, struct span text, struct conf_endpoint *endpoint)
{
	enum { PATH_AT = 5 };
	struct span path = span_of(text.data + PATH_AT, text.len - PATH_AT);

	if (!is_socket_path(path))
		return reading_refuse(reading, "unix:/path, an absolute path of at most %d bytes",
		                      PATH_LONGEST);
	endpoint->kind = CONF_ENDPOINT_UNIX;
	endpoint->host = arena_copy(reading->arena, path);
	return true;
}

/* The name of a systemd socket (FileDescriptorName=, sd_listen_fds_with_names(3)). */
static bool read_fd(struct reading *reading, struct span text, struct conf_endpoint *endpoint)
{
	enum { NAME_AT = 3, NAME_LONGEST = 255 };
	struct span name = span_of(text.data + NAME_AT, text.len - NAME_AT);

	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] >= 0x7f || name.data[i] == ':')
			name.len = 0;
	if (name.len == 0 || name.len > NAME_LONGEST)
		return reading_refuse(
			reading,
			"fd:NAME, the FileDescriptorName of a systemd socket, at most %d bytes",
			NAME_LONGEST);
	endpoint->kind = CONF_ENDPOINT_FD;
	endpoint->host = arena_copy(reading->arena, name);
	return true;
}

static void begin_endpoint(struct reading *reading, struct span text,
                           struct conf_endpoint *endpoint)
{
	*endpoint = (struct conf_endpoint){.pos = reading->pos};
	endpoint->text = arena_copy(reading->arena, text);
}

static bool refuse_listen(struct reading *reading)
{
	return reading_refuse(reading, "a port (443), ADDR:PORT, [V6]:PORT, unix:/path or fd:NAME");
}

static bool read_listen(struct reading *reading, void *field)
{
	struct conf_endpoint *endpoint = field;
	struct span           text = span_text(reading->value), host = {0};
	struct span           port = after_colon(text, &host);

	begin_endpoint(reading, text, endpoint);
	if (starts_with(text, "unix:"))
		return read_unix(reading, text, endpoint);
	if (starts_with(text, "fd:"))
		return read_fd(reading, text, endpoint);
	if (!port.data) {
		endpoint->kind = CONF_ENDPOINT_ANY;
		return parse_port(text, &endpoint->addr.port) ? true : refuse_listen(reading);
	}
	endpoint->kind = CONF_ENDPOINT_IP;
	if (!parse_ip(host, &endpoint->addr) || !parse_port(port, &endpoint->addr.port))
		return refuse_listen(reading);
	return true;
}

static void print_endpoint(const struct key *key, const void *field, FILE *to)
{
	const struct conf_endpoint *endpoint = field;

	(void)key;
	fputs(endpoint->text, to);
}

const struct value_kind value_listen = {sizeof(struct conf_endpoint), read_listen, print_endpoint,
                                        0, "443, ADDR:PORT, [V6]:PORT, unix:/path, fd:NAME"};

static bool read_socket(struct reading *reading, void *field)
{
	struct span path = span_text(reading->value);

	if (!is_socket_path(path))
		return reading_refuse(reading, "an absolute path of at most %d bytes",
		                      PATH_LONGEST);
	*(const char **)field = arena_copy(reading->arena, path);
	return true;
}

const struct value_kind value_socket = {sizeof(const char *), read_socket, value_print_text,
                                        value_is_unset_text, "an absolute path"};

bool value_read_server_endpoint(struct reading *reading, struct span text,
                                struct conf_endpoint *endpoint)
{
	struct span host = {0}, port = after_colon(text, &host);

	begin_endpoint(reading, text, endpoint);
	if (starts_with(text, "unix:"))
		return read_unix(reading, text, endpoint);
	if (!port.data || !parse_port(port, &endpoint->port))
		return reading_refuse(reading, "HOST:PORT, [V6]:PORT or unix:/path");
	if (parse_ip(host, &endpoint->addr)) {
		endpoint->kind = CONF_ENDPOINT_IP;
		endpoint->addr.port = endpoint->port;
		return true;
	}
	if (!is_host(host))
		return reading_refuse(
			reading,
			"HOST:PORT, [V6]:PORT or unix:/path; this is neither an address nor a name");
	endpoint->kind = CONF_ENDPOINT_HOST;
	endpoint->host = arena_copy(reading->arena, host);
	return true;
}

/* One word of a server's line, behind its address. */
struct server_option {
	const char *name; /* with `=` where a value follows */
	size_t      offset;
	uint32_t    min, max;
	enum { OPTION_NUMBER, OPTION_TIME, OPTION_FLAG, OPTION_LATER } type;
};

enum { HOUR_MS = 3600000, WEIGHT_MAX = 1000 };

static const struct server_option server_options[] = {
	{"weight=", offsetof(struct conf_server, weight), 1, WEIGHT_MAX, OPTION_NUMBER},
	{"max_conns=", offsetof(struct conf_server, max_conns), 0, UINT32_MAX, OPTION_NUMBER},
	{"max_fails=", offsetof(struct conf_server, max_fails), 0, 1000000, OPTION_NUMBER},
	{"fail_timeout=", offsetof(struct conf_server, fail_timeout_ms), 1, 24 * HOUR_MS,
         OPTION_TIME},
	{"backup", offsetof(struct conf_server, backup), 0, 0, OPTION_FLAG},
	{"down", offsetof(struct conf_server, down), 0, 0, OPTION_FLAG},
	{"fastopen", offsetof(struct conf_server, fastopen), 0, 0, OPTION_FLAG},
	{"resolve", 0, 0, 0, OPTION_LATER},
	{"slow_start=", 0, 0, 0, OPTION_LATER},
};

static bool refuse_option(struct reading *reading, struct span text)
{
	return reading_refuse(
		reading,
		"`%.*s`: behind the address may stand weight=1..%d, max_conns=N, max_fails=N, "
		"fail_timeout=10s, backup, down, fastopen",
		(int)min_size(text.len, 64), (const char *)text.data, WEIGHT_MAX);
}

static bool read_option(struct reading *reading, const struct server_option *option,
                        struct span text, void *server)
{
	void       *field = (char *)server + option->offset;
	size_t      name_len = strlen(option->name);
	struct span value = span_of(text.data + name_len, text.len - name_len);
	uint32_t    number = 0;

	switch (option->type) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return true;
	case OPTION_LATER:
		return reading_refuse(reading, "`%.*s` is not supported yet",
		                      (int)min_size(text.len, 64), (const char *)text.data);
	case OPTION_NUMBER:
		if (!value_parse_number(value, option->max, &number) || number < option->min)
			return refuse_option(reading, text);
		break;
	case OPTION_TIME:
		if (!value_parse_time(value, &number) || number < option->min ||
		    number > option->max)
			return refuse_option(reading, text);
		break;
	}
	*(uint32_t *)field = number;
	return true;
}

static const struct server_option *find_option(struct span text)
{
	for (size_t i = 0; i < COUNT(server_options); i++) {
		const struct server_option *option = &server_options[i];
		bool has_value = option->name[strlen(option->name) - 1] == '=';

		if (has_value ? starts_with(text, option->name)
		              : span_equal(text, span_text(option->name)))
			return option;
	}
	return 0;
}

static bool next_word(struct span *text, struct span *word)
{
	size_t len = 0;

	while (text->len && (*text->data == ' ' || *text->data == '\t')) {
		text->data++;
		text->len--;
	}
	while (len < text->len && text->data[len] != ' ' && text->data[len] != '\t')
		len++;
	*word = span_of(text->data, len);
	text->data += len;
	text->len -= len;
	return len != 0;
}

static bool read_server(struct reading *reading, void *field)
{
	struct conf_server *server = field;
	struct span         rest = span_text(reading->value), word;
	unsigned            given = 0;

	*server = (struct conf_server){.weight = 1, .max_fails = 1, .fail_timeout_ms = 10000};
	if (!next_word(&rest, &word) ||
	    !value_read_server_endpoint(reading, word, &server->endpoint))
		return false;
	while (next_word(&rest, &word)) {
		const struct server_option *option = find_option(word);

		if (!option)
			return refuse_option(reading, word);
		if (given & BIT(option - server_options))
			return reading_refuse(reading, "`%s` is given twice", option->name);
		given |= BIT(option - server_options);
		if (!read_option(reading, option, word, server))
			return false;
	}
	if (server->fastopen && server->endpoint.kind == CONF_ENDPOINT_UNIX)
		return reading_refuse(reading, "`fastopen` is for TCP, not for unix:/path");
	return true;
}

static void print_server(const struct key *key, const void *field, FILE *to)
{
	const struct conf_server *server = field;

	(void)key;
	fprintf(to, "%s weight=%u", server->endpoint.text, server->weight);
	if (server->max_conns)
		fprintf(to, " max_conns=%u", server->max_conns);
	fprintf(to, " max_fails=%u fail_timeout=", server->max_fails);
	value_print_time(server->fail_timeout_ms, to);
	fputs(server->backup ? " backup" : "", to);
	fputs(server->down ? " down" : "", to);
	fputs(server->fastopen ? " fastopen" : "", to);
}

const struct value_kind value_server = {
	sizeof(struct conf_server), read_server, print_server, 0,
	"HOST:PORT or unix:/path, then weight=1 max_conns=N max_fails=1 "
	"fail_timeout=10s backup down fastopen"};

static bool read_bind(struct reading *reading, void *field)
{
	if (!addr_parse_ip(span_text(reading->value), field))
		return reading_refuse(reading, "an IPv4 or IPv6 address, without a port");
	return true;
}

static void print_bind(const struct key *key, const void *field, FILE *to)
{
	char text[ADDR_TEXT_MAX];

	(void)key;
	addr_format_ip(field, text);
	fputs(text, to);
}

static bool is_unset_addr(const void *field)
{
	return ((const struct addr *)field)->family == ADDR_NONE;
}

const struct value_kind value_bind = {sizeof(struct addr), read_bind, print_bind, is_unset_addr,
                                      "an address"};

static bool read_ip_port(struct reading *reading, void *field)
{
	if (!value_parse_ip_port(span_text(reading->value), field))
		return reading_refuse(reading, "ADDR:PORT or [V6]:PORT, an address and no name");
	return true;
}

static void print_ip_port(const struct key *key, const void *field, FILE *to)
{
	char text[ADDR_TEXT_MAX];

	(void)key;
	addr_format(field, text);
	fputs(text, to);
}

const struct value_kind value_ip_port = {sizeof(struct addr), read_ip_port, print_ip_port,
                                         is_unset_addr, "ADDR:PORT, [V6]:PORT"};

static bool read_cidr(struct reading *reading, void *field)
{
	if (!cidr_parse(span_text(reading->value), field))
		return reading_refuse(reading,
		                      "an address, a prefix such as 192.0.2.0/24 or 2001:db8::/32 "
		                      "(no bit set behind its length), or unix");
	return true;
}

static void print_cidr(const struct key *key, const void *field, FILE *to)
{
	const struct cidr *cidr = field;
	char               text[ADDR_TEXT_MAX];

	(void)key;
	addr_format_ip(&cidr->base, text);
	fputs(text, to);
	if (cidr->base.family != ADDR_UNIX)
		fprintf(to, "/%u", cidr->bits);
}

const struct value_kind value_cidr = {sizeof(struct cidr), read_cidr, print_cidr, 0,
                                      "192.0.2.0/24, 2001:db8::/32, an address, unix"};

static bool read_rule(struct reading *reading, void *field)
{
	struct acl_rule *rule = field;

	rule->allow = strcmp(reading->name, "allow") == 0;
	return read_cidr(reading, &rule->cidr);
}

static void print_rule(const struct key *key, const void *field, FILE *to)
{
	print_cidr(key, &((const struct acl_rule *)field)->cidr, to);
}

const struct value_kind value_rule = {sizeof(struct acl_rule), read_rule, print_rule, 0,
                                      "192.0.2.0/24, 2001:db8::/32, an address, unix"};
