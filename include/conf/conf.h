/*
 * conf: an INI file, and what it includes, as checked and typed structs.
 *
 * Owns reading, substitution, defaults and every check that needs no other part of the program;
 * collects every error with its file and line instead of stopping at the first. Opens no port,
 * resolves no name. Called at start, by -t/-T/explain, and by reload. The keys are
 * the table in conf/keys.c.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "policy/acl.h"
#include "policy/balance.h"
#include "policy/router.h"
#include "proto/addr.h"
#include "proto/proxyproto.h"

#include <stdio.h>
#include <sys/un.h>

enum { CONF_PREREAD_BUFFER_MAX = 64 * 1024 }; /* of preread_buffer_size */

struct conf_pos {
	const char *file; /* as opened, so that an editor finds it */
	unsigned    line; /* 0 = no line: a default */
};

enum conf_mode { CONF_PASSTHROUGH, CONF_TERMINATE, CONF_REJECT };
enum conf_starttls { CONF_STARTTLS_OFF, CONF_STARTTLS_POSTGRESQL };
enum conf_verify_client { CONF_VERIFY_OFF, CONF_VERIFY_ON, CONF_VERIFY_OPTIONAL };
enum { CONF_TLS12 = BIT(0), CONF_TLS13 = BIT(1) };
enum conf_action { CONF_ACTION_UNSET, CONF_ACTION_DEFAULT, CONF_ACTION_REJECT };
enum conf_preread { CONF_PREREAD_AUTO, CONF_PREREAD_OFF };
enum conf_proxy_in { CONF_PROXY_OFF, CONF_PROXY_ON, CONF_PROXY_OPTIONAL };
enum conf_zero_copy {
	CONF_ZERO_COPY_AUTO,
	CONF_ZERO_COPY_SPLICE,
	CONF_ZERO_COPY_URING,
	CONF_ZERO_COPY_OFF
};
enum conf_hash_key { CONF_HASH_CLIENT_IP, CONF_HASH_SERVER_NAME };
enum conf_log_format { CONF_LOG_TEXT, CONF_LOG_JSON, CONF_LOG_TEMPLATE };
enum { CONF_WHEN_ALL, CONF_WHEN_ERRORS }; /* of conf_log.when; N above: every Nth connection */
enum conf_level {
	LEVEL_DEBUG,
	LEVEL_INFO,
	LEVEL_NOTICE,
	LEVEL_WARN,
	LEVEL_ERROR
}; /* = enum log_level */

enum conf_endpoint_kind {
	CONF_ENDPOINT_IP,
	CONF_ENDPOINT_HOST,
	CONF_ENDPOINT_UNIX,
	CONF_ENDPOINT_ANY,
	CONF_ENDPOINT_FD /* a socket that systemd has opened */
};

/* Where to listen or connect, as written. */
struct conf_endpoint {
	const char             *text; /* the whole value as written, for logs */
	struct conf_pos         pos;
	enum conf_endpoint_kind kind;
	struct addr addr; /* IP: address and port; ANY (a bare port, IPv4 and IPv6): port */
	const char *host; /* HOST: name to resolve; UNIX: path; FD: its name */
	uint16_t    port; /* HOST */
};

struct conf_log {
	const char          *name;
	struct conf_pos      pos;
	const char          *path; /* a file, "stdout", or see conf_log_target */
	enum conf_log_format format;
	const char *template; /* of CONF_LOG_TEMPLATE, else NULL; see conf/template.h */
	uint32_t when;        /* CONF_WHEN_... or N */
};

enum conf_log_target {
	CONF_LOG_TO_FILE, /* also stdout and stderr */
	CONF_LOG_TO_SYSLOG,
	CONF_LOG_TO_UDP,    /* syslog:ADDR:PORT */
	CONF_LOG_TO_NOWHERE /* syslog: and no address */
};

/* A file that another layer reads; path NULL = none. A relative one is relative to the file that
 * names it. */
struct conf_file {
	const char     *path;
	struct conf_pos pos;
};

/* A list that policy/ciphers or policy/curves takes apart, and has judged already. */
struct conf_text {
	const char     *text;
	struct conf_pos pos;
};

/* A [tls] section, or the ssl_* keys of a listener or route. */
struct conf_tls {
	const char *name; /* of the [tls] section; NULL: its keys stand in a listener or route */
	const char
		*section; /* "tls NAME", "listener NAME", "route NAME": unique; tickets go by it */
	struct conf_pos   pos;
	struct conf_file *certificates, *keys; /* the Nth key belongs to the Nth certificate */
	size_t            certificate_count, key_count; /* equal, as checked */
	struct conf_file  certificate_dir, password_file;
	unsigned          protocols; /* CONF_TLS12 | CONF_TLS13; never 0 */
	struct conf_text  ciphers, ciphersuites, curves;
	bool              prefer_server_ciphers;
	struct span      *alpn; /* in the server's order */
	size_t            alpn_count;
	uint32_t          handshake_timeout_ms, session_timeout_ms;
	bool              session_tickets;
	struct conf_file *ticket_keys; /* the first encrypts, all decrypt; none = random ones */
	size_t            ticket_key_count;
	enum conf_verify_client verify_client;
	struct conf_file        client_certificate, crl, stapling_file, key_log;
	uint32_t                verify_depth;
	bool                    strict_sni;
};

/* The proxy_ssl_* keys of an upstream. */
struct conf_tls_client {
	const char      *section; /* "upstream NAME" */
	struct conf_pos  pos;
	bool             verify;
	struct conf_file trusted_certificate; /* path NULL = the system's */
	const char      *name;                /* NULL = the client's SNI, else the server's host */
	struct conf_file certificate, key;    /* both or none */
	struct span     *alpn;
	size_t           alpn_count;
};

struct conf_server {
	struct conf_endpoint endpoint;
	uint32_t             weight, max_conns, max_fails, fail_timeout_ms;
	bool                 backup, down, fastopen;
};

struct conf_upstream {
	const char             *name; /* for a proxy_pass of HOST:PORT: that text */
	struct conf_pos         pos;
	bool                    implied; /* made from a proxy_pass of HOST:PORT or unix:/path */
	struct conf_server     *servers;
	size_t                  server_count;
	enum balance_kind       balance;
	enum conf_hash_key      hash_key;
	uint32_t                connect_timeout_ms;
	uint32_t                next_tries;
	enum proxyproto_version send_proxy_protocol;
	struct addr             bind; /* ADDR_NONE = the system's choice */
	bool                    so_keepalive;
	uint32_t                user_timeout_ms; /* 0 = the system's */
	bool                    proxy_ssl;
	struct conf_tls_client  ssl_keys; /* as written; read *ssl* */
	struct conf_tls_client *ssl;      /* NULL = proxy_ssl is off */
	enum conf_starttls      starttls; /* OFF where *ssl* is NULL */
};

/* Keys that a listener and a route share; a route's unset ones are already filled from its listener
 * only where INTERFACE.md says "the listener's" and the route has one listener; see
 * conf_route.set. */
struct conf_session {
	struct acl_rule *acl;
	size_t           acl_count;
	uint32_t         max_conns; /* 0 = none */
	uint32_t         proxy_timeout_ms, half_close_timeout_ms;
	struct conf_log *access_log; /* NULL = none */
};

enum conf_session_set {
	CONF_SET_ACL = BIT(0),
	CONF_SET_MAX_CONNS = BIT(1),
	CONF_SET_PROXY_TIMEOUT = BIT(2),
	CONF_SET_HALF_CLOSE_TIMEOUT = BIT(3),
	CONF_SET_ACCESS_LOG = BIT(4),
	CONF_SET_MODE = BIT(5)
};

struct conf_listener {
	const char           *name;
	struct conf_pos       pos;
	struct conf_endpoint *listens;
	size_t                listen_count;
	enum conf_mode        mode;
	struct conf_upstream *proxy_pass; /* the default route, or NULL */
	bool reads_hello; /* ssl_preread resolved: mode is terminate, a route or [sni] names this
	                   * listener, or a route names none and reaches it; see choose_readers */
	enum conf_preread   ssl_preread;
	enum conf_action    on_no_match, on_no_sni; /* resolved: DEFAULT or REJECT */
	enum conf_action    on_plaintext;
	uint32_t            preread_timeout_ms, preread_buffer_size;
	uint32_t            backlog, fastopen; /* fastopen 0 = off, else the queue length */
	bool                deferred, ipv6only, so_keepalive;
	const char         *interface;                       /* NULL = any */
	uint32_t            user_timeout_ms, rcvbuf, sndbuf; /* 0 = the system's */
	enum conf_proxy_in  accept_proxy_protocol;
	struct cidr        *set_real_ip_from;
	size_t              set_real_ip_from_count;
	uint32_t            max_conns_per_ip;   /* 0 = none */
	uint32_t            session_timeout_ms; /* 0 = none */
	enum conf_starttls  starttls;
	struct conf_tls    *tls; /* NULL = none; never NULL where mode is terminate */
	struct conf_session session;
};

struct conf_name {
	enum router_name_kind kind;
	struct span           name; /* folded, without "*." or "." */
	struct conf_pos       pos;
};

/* A [route], or one line of an [sni] section (then it names one listener and one name). */
struct conf_route {
	const char            *name; /* the section's; for an [sni] line the name as written */
	struct conf_pos        pos;  /* routes come in file order */
	bool                   from_sni;
	struct conf_listener **listeners; /* resolved; never empty */
	size_t                 listener_count;
	struct conf_name      *names; /* never empty: no server_name = one of ROUTER_ANY_NAME */
	size_t                 name_count;
	struct span           *alpn;
	size_t                 alpn_count;
	struct cidr           *sources;
	size_t                 source_count;
	unsigned               versions;
	enum conf_mode         mode;     /* resolved: its own, or that of all its listeners */
	struct conf_upstream  *upstream; /* NULL only for CONF_REJECT */
	/* Its own [tls] or ssl_* keys; NULL = each listener's, which then has one where mode is
	 * terminate. */
	struct conf_tls *tls;
	unsigned         set; /* enum conf_session_set: which of *session* the route gives itself */
	struct conf_session session;
};

enum { CONF_WORKERS_MAX = 1024 };

struct conf_global {
	uint32_t        workers;      /* 0 = auto */
	const char     *cpu_affinity; /* "auto", "off" or a list */
	struct conf_pos cpu_affinity_pos,
		max_connections_pos;         /* where set; file NULL = a default */
	uint32_t            max_connections; /* 0 = auto */
	uint32_t            ring_entries, recv_buffers, buffer_size; /* 0 = tuned */
	enum conf_zero_copy zero_copy;
	uint32_t            splice_min, pipe_pool, pipe_size; /* UINT32_MAX = tuned */
	uint32_t            splice_wait_us, busy_poll_us;     /* 0 = off */
	const char         *error_log; /* a path, "stderr", or see conf_log_target */
	enum conf_level     error_level;
	const char         *admin_socket; /* a unix path; NULL = none */
	const char         *pid_file;     /* NULL = none */
	const char         *user, *group; /* NULL = stay who we are; the user's own group */
	struct conf_pos     user_pos, group_pos;
	uint32_t            drain_timeout_ms;
	struct addr         metrics_listen; /* ADDR_NONE = none */
	struct conf_pos     metrics_listen_pos;
};

struct conf {
	const char            *path;
	struct conf_global     global;
	struct conf_listener **listeners;
	size_t                 listener_count;
	struct conf_route    **routes;
	size_t                 route_count;
	struct conf_upstream **upstreams; /* the implied ones too */
	size_t                 upstream_count;
	struct conf_tls      **tls; /* those of listeners and routes too */
	size_t                 tls_count;
	struct conf_log      **logs;
	size_t                 log_count;
};

/* Errors and lints, in the order of file and line. */
struct conf_report;

struct conf_report *conf_report_new(void);
void                conf_report_free(struct conf_report *report);
/* `FILE:LINE: text`; also for what later stages find (a name that does not resolve). */
void conf_error(struct conf_report *report, struct conf_pos pos, const char *format, ...)
	PRINTF(3, 4);
void   conf_warn(struct conf_report *report, struct conf_pos pos, unsigned lint, const char *format,
                 ...) PRINTF(4, 5);
size_t conf_report_errors(const struct conf_report *report);
void   conf_report_print(const struct conf_report *report, FILE *to);

/* Reads and checks. Always returns; with errors in *report* the result must not be used for more
 * than conf_free, and for global.admin_socket: a file that is being edited still tells where the
 * program that runs can be spoken to. NULL: no memory. */
struct conf *conf_read(const char *path, struct conf_report *report);
void         conf_free(struct conf *conf);

/* The same for a process that runs by *running* and cannot change some keys (KEY_FIXED): the result
 * holds the running values of those, and *report* a warning for each that the file gives another.
 * Refers to nothing of *running* afterwards. */
struct conf *conf_read_again(const char *path, const struct conf_global *running,
                             struct conf_report *report);

/* The same of text in memory, which cannot include files; *name* stands for its path in
 * messages. */
struct conf *conf_read_text(const char *name, struct span text, struct conf_report *report);

/* The effective file, all defaults filled in; itself a valid file that prints the same again. */
void conf_print(const struct conf *conf, FILE *to);

/* Where a log of this path goes; *to* is filled in for UDP alone. */
MUST_CHECK enum conf_log_target conf_log_target(const char *path, struct addr *to);

/* Every key as a page of Markdown: config/reference.md. */
void conf_print_reference(FILE *to);

#endif
