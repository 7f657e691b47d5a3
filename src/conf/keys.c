/*
 * The table. Rows stand in the order in which they are printed; a row without a preset has no
 * default. Where one key may stand in several kinds of section it has a row for each.
 */
#include "conf/keys.h"
#include "conf/template.h"
#include "policy/curves.h"

#define IN_GLOBAL(field)   SECTION_GLOBAL, .offset = offsetof(struct conf_global, field)
#define IN_LISTENER(field) SECTION_LISTENER, .offset = offsetof(struct conf_listener, field)
#define IN_ROUTE(field)    SECTION_ROUTE, .offset = offsetof(struct conf_route, field)
#define IN_UPSTREAM(field) SECTION_UPSTREAM, .offset = offsetof(struct conf_upstream, field)
#define IN_TLS(field)      SECTION_TLS, .offset = offsetof(struct conf_tls, field)
#define IN_LOG(field)      SECTION_LOG, .offset = offsetof(struct conf_log, field)

#define MANY(type, counted) .flags = KEY_MANY, .count_offset = offsetof(struct type, counted)
#define NEEDED(type, counted)                                                                      \
	.flags = KEY_MANY | KEY_REQUIRED, .count_offset = offsetof(struct type, counted)
#define AUTO(value)        .word = "auto", .word_value = (value), .preset = "auto"
#define RANGE(least, most) .min = (least), .max = (most)

/* Known, and for a later version; the words are what means the same as leaving it out. */
#define LATER(name, section, flag, text)                                                           \
	{                                                                                          \
		name, section, .kind = &value_later, .flags = (flag), .help = text                 \
	}
#define LATER_BUT(name, section, flag, allowed, text)                                              \
	{                                                                                          \
		name, section, .kind = &value_later, .flags = (flag), .words = (allowed),          \
			       .help = text                                                        \
	}

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
enum { KIB = 1024, MIB = 1024 * KIB, TUNED = -1 };

static const struct word zero_copies[] = {{"auto", CONF_ZERO_COPY_AUTO, false},
                                          {"splice", CONF_ZERO_COPY_SPLICE, false},
                                          {"uring_splice", CONF_ZERO_COPY_URING, false},
                                          {"copy", CONF_ZERO_COPY_OFF, false},
                                          {0}};
static const struct word listener_modes[] = {
	{"passthrough", CONF_PASSTHROUGH, false}, {"terminate", CONF_TERMINATE, false}, {0}};
static const struct word route_modes[] = {{"passthrough", CONF_PASSTHROUGH, false},
                                          {"terminate", CONF_TERMINATE, false},
                                          {"reject", CONF_REJECT, false},
                                          {0}};
static const struct word prereads[] = {
	{"auto", CONF_PREREAD_AUTO, false}, {"off", CONF_PREREAD_OFF, false}, {0}};
static const struct word actions[] = {
	{"default", CONF_ACTION_DEFAULT, false}, {"reject", CONF_ACTION_REJECT, false}, {0}};
static const struct word proxy_ins[] = {{"off", CONF_PROXY_OFF, false},
                                        {"on", CONF_PROXY_ON, false},
                                        {"optional", CONF_PROXY_OPTIONAL, false},
                                        {0}};
static const struct word proxy_outs[] = {{"off", PROXYPROTO_OFF, false},
                                         {"v1", PROXYPROTO_V1, false},
                                         {"v2", PROXYPROTO_V2, false},
                                         {0}};
static const struct word balances[] = {{"round_robin", BALANCE_ROUND_ROBIN, false},
                                       {"least_conn", BALANCE_LEAST_CONN, false},
                                       {"hash", BALANCE_HASH, false},
                                       {"random", BALANCE_RANDOM, false},
                                       {0}};
static const struct word hash_keys[] = {{"client_ip", CONF_HASH_CLIENT_IP, false},
                                        {"server_name", CONF_HASH_SERVER_NAME, false},
                                        {0}};
static const struct word starttls[] = {
	{"off", CONF_STARTTLS_OFF, false}, {"postgresql", CONF_STARTTLS_POSTGRESQL, false}, {0}};
static const struct word formats[] = {{"text", CONF_LOG_TEXT, false},
                                      {"json", CONF_LOG_JSON, false},
                                      {"template", CONF_LOG_TEMPLATE, false},
                                      {0}};

static const struct word off[] = {{"off", 0, false}, {0}};
static const struct word keep[] = {{"keep", 0, false}, {0}};
static const struct word auto_or_off[] = {{"auto", 0, false}, {"off", 0, false}, {0}};
static const struct word five_seconds[] = {{"5s", 0, false}, {0}};
static const struct word two_seconds[] = {{"2s", 0, false}, {0}};
static const struct word two[] = {{"2", 0, false}, {0}};
static const struct word three[] = {{"3", 0, false}, {0}};

static const struct word verify_clients[] = {{"off", CONF_VERIFY_OFF, false},
                                             {"on", CONF_VERIFY_ON, false},
                                             {"optional", CONF_VERIFY_OPTIONAL, false},
                                             {0}};

const struct key keys[] = {
	/* [global] */
	{"workers", IN_GLOBAL(workers), .kind = &value_number, RANGE(1, CONF_WORKERS_MAX), AUTO(0),
         .help = "Threads, one ring each; auto = the CPUs this process may use, a cgroup's quota honoured."},
	{"cpu_affinity", IN_GLOBAL(cpu_affinity), .flags = KEY_FIXED,
         .pos_offset = offsetof(struct conf_global, cpu_affinity_pos), .kind = &value_cpus,
         .max = 4096, .preset = "auto",
         .help = "Which CPUs the workers run on, one each; auto = where the scheduler puts them."},
	{"max_connections", IN_GLOBAL(max_connections), .flags = KEY_FIXED,
         .pos_offset = offsetof(struct conf_global, max_connections_pos), .kind = &value_number,
         RANGE(1, 100000000), AUTO(0),
         .help = "Sessions, over the whole process; auto = what the limit of open files allows. At 100 % accepting "
                 "pauses, at 95 % it resumes."},
	{"ring_entries", IN_GLOBAL(ring_entries), .flags = KEY_FIXED, .kind = &value_number,
         RANGE(64, 32768), AUTO(0), .help = "Entries of each worker's submission queue."},
	{"recv_buffers", IN_GLOBAL(recv_buffers), .flags = KEY_FIXED, .kind = &value_number,
         RANGE(16, 32768), AUTO(0), .help = "Receive buffers of each worker."},
	{"buffer_size", IN_GLOBAL(buffer_size), .flags = KEY_FIXED, .kind = &value_size,
         RANGE(4 * KIB, MIB), AUTO(0), .help = "Bytes of one of them."},
	{"zero_copy", IN_GLOBAL(zero_copy), .flags = KEY_FIXED, .kind = &value_word,
         .words = zero_copies, .preset = "auto",
         .help = "How bytes are relayed; auto = copied until a direction has moved splice_min, then spliced."},
	{"splice_min", IN_GLOBAL(splice_min), .flags = KEY_FIXED, .kind = &value_size,
         RANGE(0, 1024 * MIB), AUTO((uint32_t)TUNED),
         .help = "Bytes in one direction before it may be spliced."},
	{"pipe_pool", IN_GLOBAL(pipe_pool), .flags = KEY_FIXED, .kind = &value_number,
         RANGE(0, 65536), AUTO((uint32_t)TUNED),
         .help = "Pipes of each worker; their sum stays within pipe-user-pages-soft."},
	{"pipe_size", IN_GLOBAL(pipe_size), .flags = KEY_FIXED, .kind = &value_size,
         RANGE(4 * KIB, 16 * MIB), AUTO((uint32_t)TUNED), .help = "Bytes of one pipe."},
	{"splice_wait", IN_GLOBAL(splice_wait_us), .flags = KEY_FIXED, .kind = &value_short_time,
         RANGE(1, 10000), .word = "off", .preset = "200us",
         .help = "How long a worker that serves nothing but bulk lets bytes gather before it splices on; off = each piece as "
                 "it comes. Nothing gathers while sessions come or go, or exchange messages; nor where rcvbuf or sndbuf is set, or "
                 "before Linux 6.12."},
	{"busy_poll", IN_GLOBAL(busy_poll_us), .flags = KEY_FIXED, .kind = &value_short_time,
         RANGE(1, 10000), .word = "off", .preset = "off",
         .help = "How long a worker that something has just come to looks for more before it sleeps: a quiet connection is "
                 "answered sooner, at the price of CPU. For a machine with CPUs to spare."},
	{"error_log", IN_GLOBAL(error_log), .kind = &value_error_log, .max = 4096,
         .preset = "stderr notice",
         .help = "Where the program's own messages go, and from which level: debug, info, notice, warn, error."},
	{"pid_file", IN_GLOBAL(pid_file), .flags = KEY_FIXED, .kind = &value_text, .max = 4095,
         .help = "A file for the process id."},
	{"user", IN_GLOBAL(user), .flags = KEY_FIXED,
         .pos_offset = offsetof(struct conf_global, user_pos), .kind = &value_text, .max = 255,
         .help = "Who to become once ports and logs are open, a name; only root can. That user must be able to open the logs "
                 "again (USR1)."},
	{"group", IN_GLOBAL(group), .flags = KEY_FIXED,
         .pos_offset = offsetof(struct conf_global, group_pos), .kind = &value_text, .max = 255,
         .help = "Its group, if not the user's own one."},
	{"drain_timeout", IN_GLOBAL(drain_timeout_ms), .kind = &value_time, RANGE(0, DAY),
         .preset = "60s", .help = "How long QUIT lets sessions end."},
	{"include", SECTION_GLOBAL, .kind = &value_include, .flags = KEY_MANY,
         .help = "Files to read here, a path or a pattern, relative to this file."},
	{"admin_socket", IN_GLOBAL(admin_socket), .kind = &value_socket, .flags = KEY_FIXED,
         .help = "A unix socket for penstock ctl; root's, and of the user that penstock runs as."},
	{"metrics_listen", IN_GLOBAL(metrics_listen), .flags = KEY_FIXED,
         .pos_offset = offsetof(struct conf_global, metrics_listen_pos), .kind = &value_ip_port,
         .help = "Where to answer HTTP: /metrics for Prometheus, /healthz, and /readyz, which is 503 while draining."},
	LATER("resolver", SECTION_GLOBAL, KEY_MANY, "Name servers."),
	LATER_BUT("sandbox", SECTION_GLOBAL, KEY_FIXED, auto_or_off,
                  "Gives up what is not needed after start."),

	/* [listener] */
	{"listen", IN_LISTENER(listens), .kind = &value_listen, NEEDED(conf_listener, listen_count),
         .help = "Where to accept; a bare port is IPv4 and IPv6. A port is listened on either at all addresses or at "
                 "single ones. Who may connect to a unix socket's file is what the umask says."},
	{"mode", IN_LISTENER(mode), .kind = &value_word, .words = listener_modes,
         .preset = "passthrough",
         .help = "Of connections that no route claims, and of routes that do not say: passthrough = TLS is the server's; "
                 "terminate = TLS ends here, the server gets what is in it."},
	{"proxy_pass", IN_LISTENER(proxy_pass), .kind = &value_proxy_pass,
         .help = "The default route: an upstream, or one server's address."},
	{"ssl_preread", IN_LISTENER(ssl_preread), .kind = &value_word, .words = prereads,
         .preset = "auto",
         .help = "auto = the hello is read when mode is terminate or a route or an [sni] section names this listener; off = no byte is "
                 "ever read, any TCP is passed, also where the server speaks first."},
	{"on_no_match", IN_LISTENER(on_no_match), .kind = &value_word, .words = actions,
         .help = "A name that no route has; by default: default where proxy_pass is set, else reject."},
	{"on_no_sni", IN_LISTENER(on_no_sni), .kind = &value_word, .words = actions,
         .help = "No name at all; likewise."},
	{"on_plaintext", IN_LISTENER(on_plaintext), .kind = &value_word, .words = actions,
         .preset = "reject", .help = "The first byte is not TLS."},
	{"preread_timeout", IN_LISTENER(preread_timeout_ms), .kind = &value_time,
         .flags = KEY_DEFAULTS, RANGE(1, HOUR), .preset = "5s",
         .help = "From accept to the whole hello, a PROXY header and PostgreSQL's SSLRequest included."},
	{"preread_buffer_size", IN_LISTENER(preread_buffer_size), .kind = &value_size,
         .flags = KEY_DEFAULTS, RANGE(KIB, CONF_PREREAD_BUFFER_MAX), .preset = "16k",
         .help = "A larger hello is malformed."},
	{"backlog", IN_LISTENER(backlog), .kind = &value_number, .flags = KEY_DEFAULTS,
         RANGE(1, 1048576), .preset = "4096", .help = "Connections that wait to be accepted."},
	{"fastopen", IN_LISTENER(fastopen), .kind = &value_number, .flags = KEY_DEFAULTS,
         RANGE(1, 65535), .word = "off", .preset = "off",
         .help = "TCP Fast Open, with a queue of this length."},
	{"deferred", IN_LISTENER(deferred), .kind = &value_switch, .flags = KEY_DEFAULTS,
         .preset = "off", .help = "Accept only once the client has sent something."},
	{"interface", IN_LISTENER(interface), .kind = &value_text, .max = 15,
         .help = "Accept only what comes in through this interface."},
	{"ipv6only", IN_LISTENER(ipv6only), .kind = &value_switch, .preset = "off",
         .help = "An IPv6 address does not accept IPv4."},
	{"so_keepalive", IN_LISTENER(so_keepalive), .kind = &value_switch, .flags = KEY_DEFAULTS,
         .preset = "on", .help = "TCP keep-alive, of sessions that last a second."},
	{"user_timeout", IN_LISTENER(user_timeout_ms), .kind = &value_time, .flags = KEY_DEFAULTS,
         RANGE(0, DAY), .help = "TCP_USER_TIMEOUT: how long sent data may stay unacknowledged."},
	{"rcvbuf", IN_LISTENER(rcvbuf), .kind = &value_size, RANGE(0, 1024 * MIB),
         .help = "The sockets' receive buffer; the system's otherwise."},
	{"sndbuf", IN_LISTENER(sndbuf), .kind = &value_size, RANGE(0, 1024 * MIB),
         .help = "The sockets' send buffer; the system's otherwise."},
	{"accept_proxy_protocol", IN_LISTENER(accept_proxy_protocol), .kind = &value_word,
         .words = proxy_ins, .preset = "off",
         .help = "Connections begin with a PROXY header (v1 or v2). on refuses all but the senders in "
                 "set_real_ip_from, optional takes theirs as data."},
	{"set_real_ip_from", IN_LISTENER(set_real_ip_from), .kind = &value_cidr,
         MANY(conf_listener, set_real_ip_from_count), .help = "Senders whose header is believed."},
	{"allow", IN_LISTENER(session.acl), .kind = &value_rule,
         MANY(conf_listener, session.acl_count),
         .help = "Clients; allow and deny in file order, the first that matches decides."},
	{"deny", IN_LISTENER(session.acl), .kind = &value_rule, .flags = KEY_MANY | KEY_JOINED,
         .count_offset = offsetof(struct conf_listener, session.acl_count), .help = "Likewise."},
	{"max_conns", IN_LISTENER(session.max_conns), .kind = &value_number, RANGE(0, UINT32_MAX),
         .help = "Sessions of this listener, over the whole process; 0 = no limit."},
	{"max_conns_per_ip", IN_LISTENER(max_conns_per_ip), .kind = &value_number,
         .flags = KEY_DEFAULTS, RANGE(0, UINT32_MAX),
         .help = "Sessions of one client (IPv6: of one /64); 0 = no limit."},
	LATER("conn_rate_per_ip", SECTION_LISTENER, KEY_DEFAULTS, "N/s burst=M."),
	LATER("handshake_rate_per_ip", SECTION_LISTENER, KEY_DEFAULTS, "N/s burst=M."),
	LATER("proxy_download_rate", SECTION_LISTENER, KEY_DEFAULTS, "Bytes/s of a session."),
	LATER("proxy_upload_rate", SECTION_LISTENER, KEY_DEFAULTS, "Bytes/s of a session."),
	{"proxy_timeout", IN_LISTENER(session.proxy_timeout_ms), .kind = &value_time,
         .flags = KEY_DEFAULTS, RANGE(1, 24 * DAY), .preset = "10m", .help = "No byte either way."},
	{"half_close_timeout", IN_LISTENER(session.half_close_timeout_ms), .kind = &value_time,
         .flags = KEY_DEFAULTS, RANGE(1, 24 * DAY), .preset = "30s",
         .help = "No byte either way once one side has ended."},
	{"session_timeout", IN_LISTENER(session_timeout_ms), .kind = &value_time,
         .flags = KEY_DEFAULTS, RANGE(0, 24 * DAY),
         .help = "How old a session may become; 0s = any age."},
	{"access_log", IN_LISTENER(session.access_log), .kind = &value_access_log,
         .flags = KEY_DEFAULTS, .help = "A [log]; off = none."},
	{"starttls", IN_LISTENER(starttls), .kind = &value_starttls, .words = starttls,
         .preset = "off",
         .help = "postgresql: PostgreSQL's clients ask before they speak TLS, and are answered; those that speak TLS "
                 "at once are served, too."},
	{"tls", IN_LISTENER(tls), .kind = &value_tls,
         .help = "The certificate and the rest of what mode = terminate needs, also for routes; or the keys of [tls] "
                 "written right here."},

	/* [route] */
	{"listener", IN_ROUTE(listeners), .kind = &value_listener, MANY(conf_route, listener_count),
         .help = "Where it holds; left out: on every listener that reads hellos."},
	{"server_name", IN_ROUTE(names), .kind = &value_name, MANY(conf_route, name_count),
         .help = "Names in the hello; left out: any name (but not: no name)."},
	{"alpn", IN_ROUTE(alpn), .kind = &value_alpn, MANY(conf_route, alpn_count),
         .help = "One of these must be offered."},
	{"source", IN_ROUTE(sources), .kind = &value_cidr, MANY(conf_route, source_count),
         .help = "The client must be in one of these."},
	{"tls_version", IN_ROUTE(versions), .kind = &value_version,
         .help = "This version must be offered."},
	{"mode", IN_ROUTE(mode), .kind = &value_word, .words = route_modes, .set = CONF_SET_MODE,
         .help = "As in a listener, or reject = refused with the alert unrecognized_name; left out: the listener's."},
	{"proxy_pass", IN_ROUTE(upstream), .kind = &value_proxy_pass,
         .help = "An upstream, or one server's address; required unless mode is reject."},
	{"allow", IN_ROUTE(session.acl), .kind = &value_rule, MANY(conf_route, session.acl_count),
         .set = CONF_SET_ACL, .help = "As in a listener, for this route."},
	{"deny", IN_ROUTE(session.acl), .kind = &value_rule, .flags = KEY_MANY | KEY_JOINED,
         .set = CONF_SET_ACL, .count_offset = offsetof(struct conf_route, session.acl_count),
         .help = "Likewise."},
	{"max_conns", IN_ROUTE(session.max_conns), .kind = &value_number, RANGE(0, UINT32_MAX),
         .set = CONF_SET_MAX_CONNS, .help = "Sessions of this route, over the whole process."},
	{"proxy_timeout", IN_ROUTE(session.proxy_timeout_ms), .kind = &value_time,
         RANGE(1, 24 * DAY), .set = CONF_SET_PROXY_TIMEOUT,
         .help = "As in a listener; left out: the listener's."},
	{"half_close_timeout", IN_ROUTE(session.half_close_timeout_ms), .kind = &value_time,
         RANGE(1, 24 * DAY), .set = CONF_SET_HALF_CLOSE_TIMEOUT, .help = "Likewise."},
	{"access_log", IN_ROUTE(session.access_log), .kind = &value_access_log,
         .set = CONF_SET_ACCESS_LOG, .help = "Likewise."},
	{"tls", IN_ROUTE(tls), .kind = &value_tls,
         .help = "As in a listener; left out: the listener's, whole."},

	/* [upstream] */
	{"server", IN_UPSTREAM(servers), .kind = &value_server, NEEDED(conf_upstream, server_count),
         .help = "A server and how it is used."},
	{"balance", IN_UPSTREAM(balance), .kind = &value_word, .words = balances,
         .preset = "round_robin",
         .help = "Which server takes the next session; random takes the less busy of two."},
	{"hash_key", IN_UPSTREAM(hash_key), .kind = &value_word, .words = hash_keys,
         .preset = "client_ip", .help = "What balance = hash goes by; consistent always."},
	{"proxy_connect_timeout", IN_UPSTREAM(connect_timeout_ms), .kind = &value_time,
         .flags = KEY_DEFAULTS, RANGE(1, HOUR), .preset = "5s",
         .help = "Until a server must have accepted."},
	{"proxy_next_upstream_tries", IN_UPSTREAM(next_tries), .kind = &value_number,
         .flags = KEY_DEFAULTS, RANGE(1, BALANCE_TRIES_MAX), .preset = "2",
         .help = "Servers tried for one session; only failures to connect are tried again."},
	{"send_proxy_protocol", IN_UPSTREAM(send_proxy_protocol), .kind = &value_word,
         .words = proxy_outs, .preset = "off", .help = "Tell the server who the client is."},
	{"proxy_bind", IN_UPSTREAM(bind), .kind = &value_bind,
         .help = "The address to connect from."},
	{"so_keepalive", IN_UPSTREAM(so_keepalive), .kind = &value_switch, .flags = KEY_DEFAULTS,
         .preset = "on", .help = "TCP keep-alive, of sessions that last a second."},
	{"user_timeout", IN_UPSTREAM(user_timeout_ms), .kind = &value_time, .flags = KEY_DEFAULTS,
         RANGE(0, DAY), .help = "TCP_USER_TIMEOUT."},
	LATER_BUT("check", SECTION_UPSTREAM, 0, off, "Health checks: tcp, tls, postgresql."),
	LATER_BUT("check_interval", SECTION_UPSTREAM, 0, five_seconds, "Between two."),
	LATER_BUT("check_timeout", SECTION_UPSTREAM, 0, two_seconds, "Of one."),
	LATER_BUT("check_rise", SECTION_UPSTREAM, 0, two, "Good ones until a server is up."),
	LATER_BUT("check_fall", SECTION_UPSTREAM, 0, three, "Bad ones until it is down."),
	LATER("check_server_name", SECTION_UPSTREAM, 0, "SNI of check = tls."),
	LATER_BUT("on_marked_down", SECTION_UPSTREAM, 0, keep,
                  "close = end the sessions of a server that is down."),
	LATER("proxy_protocol_tlv", SECTION_UPSTREAM, KEY_MANY,
              "alpn, authority, ssl, unique_id, crc32c."),
	{"proxy_ssl", IN_UPSTREAM(proxy_ssl), .kind = &value_switch, .preset = "off",
         .help = "Speak TLS to the server; behind a PROXY header, if one is sent."},
	{"proxy_ssl_verify", IN_UPSTREAM(ssl_keys.verify), .flags = KEY_SSL, .kind = &value_switch,
         .preset = "on",
         .help = "Its certificate must be trusted, in date, and for the name that was asked for."},
	{"proxy_ssl_trusted_certificate", IN_UPSTREAM(ssl_keys.trusted_certificate),
         .flags = KEY_SSL, .kind = &value_file,
         .help = "Authorities for that, PEM; left out: the system's."},
	{"proxy_ssl_name", IN_UPSTREAM(ssl_keys.name), .flags = KEY_SSL, .kind = &value_host,
         .help = "The name asked for and checked; left out: the one that the client asked for, else the server's host."},
	{"proxy_ssl_certificate", IN_UPSTREAM(ssl_keys.certificate), .flags = KEY_SSL,
         .kind = &value_file,
         .help = "Our own certificate for servers that ask for one, PEM, with its chain."},
	{"proxy_ssl_certificate_key", IN_UPSTREAM(ssl_keys.key), .flags = KEY_SSL,
         .kind = &value_file, .help = "Its key."},
	{"proxy_ssl_alpn", IN_UPSTREAM(ssl_keys.alpn), .flags = KEY_SSL, .kind = &value_alpn_list,
         .count_offset = offsetof(struct conf_upstream, ssl_keys.alpn_count),
         .help = "Protocols offered, the most wanted first."},
	{"proxy_starttls", IN_UPSTREAM(starttls), .kind = &value_starttls, .words = starttls,
         .preset = "off",
         .help = "postgresql: the server is asked with an SSLRequest before TLS is spoken to it."},

	/* [tls], and listeners and routes */
	{"ssl_certificate", IN_TLS(certificates), .kind = &value_file,
         MANY(conf_tls, certificate_count),
         .help = "A certificate and its chain, PEM. Several, such as RSA and ECDSA, or of several names: the client's "
                 "hello chooses."},
	{"ssl_certificate_key", IN_TLS(keys), .kind = &value_file, MANY(conf_tls, key_count),
         .help = "Its key, PEM; the first is the first certificate's, and so on."},
	{"ssl_certificate_dir", IN_TLS(certificate_dir), .kind = &value_file,
         .help = "A folder of PEM files of certificate, chain and key; chosen by the names in them."},
	{"ssl_password_file", IN_TLS(password_file), .kind = &value_file,
         .help = "Passwords of encrypted keys, one a line, tried in order."},
	{"ssl_protocols", IN_TLS(protocols), .kind = &value_protocols, .flags = KEY_DEFAULTS,
         .preset = "TLSv1.2 TLSv1.3", .help = "Versions that are spoken."},
	{"ssl_ciphers", IN_TLS(ciphers), .kind = &value_ciphers, .flags = KEY_DEFAULTS,
         .preset = "DEFAULT",
         .help = "Ciphers of TLS 1.2, as OpenSSL writes them; DEFAULT = forward secrecy and AES-GCM or ChaCha20. Words for "
                 "what is not here, such as MD5, aNULL, DHE, mean no cipher."},
	{"ssl_ciphersuites", IN_TLS(ciphersuites), .kind = &value_ciphersuites,
         .flags = KEY_DEFAULTS, .preset = "DEFAULT",
         .help = "Ciphers of TLS 1.3; DEFAULT = all three."},
	{"ssl_prefer_server_ciphers", IN_TLS(prefer_server_ciphers), .kind = &value_switch,
         .flags = KEY_DEFAULTS, .preset = "on",
         .help = "The order here counts; off = the client's."},
	{"ssl_ecdh_curve", IN_TLS(curves), .kind = &value_curves, .flags = KEY_DEFAULTS,
         .preset = CURVES_DEFAULT,
         .help = "Groups of the key exchange, the most wanted first; there is P-521 too."},
	{"ssl_alpn", IN_TLS(alpn), .kind = &value_alpn_list,
         .count_offset = offsetof(struct conf_tls, alpn_count),
         .help = "Protocols spoken, the most wanted first; a client that offers others alone is refused "
                 "(no_application_protocol)."},
	{"ssl_handshake_timeout", IN_TLS(handshake_timeout_ms), .kind = &value_time,
         .flags = KEY_DEFAULTS, RANGE(1, HOUR), .preset = "10s",
         .help = "From accept to the end of the handshake."},
	{"ssl_session_tickets", IN_TLS(session_tickets), .kind = &value_switch,
         .flags = KEY_DEFAULTS, .preset = "on",
         .help = "A client may resume its session, without the work of a full handshake."},
	{"ssl_session_ticket_key", IN_TLS(ticket_keys), .kind = &value_file,
         MANY(conf_tls, ticket_key_count),
         .help = "Files of 48 or 80 random bytes; the first encrypts, all decrypt: the same on several hosts, a client "
                 "resumes on each. Left out: random ones, changed by themselves. A ticket never counts under another section."},
	{"ssl_session_timeout", IN_TLS(session_timeout_ms), .kind = &value_time,
         .flags = KEY_DEFAULTS, RANGE(SECOND, 7 * DAY), .preset = "1h",
         .help = "How long a session can be resumed."},
	{"ssl_verify_client", IN_TLS(verify_client), .kind = &value_word, .words = verify_clients,
         .preset = "off",
         .help = "on = a client needs a certificate; optional = it may have none, but not a wrong one."},
	{"ssl_client_certificate", IN_TLS(client_certificate), .kind = &value_file,
         .help = "Authorities of clients' certificates, PEM."},
	{"ssl_crl", IN_TLS(crl), .kind = &value_file,
         .help = "Certificates of clients that are revoked, PEM, a list of each authority."},
	{"ssl_verify_depth", IN_TLS(verify_depth), .kind = &value_number, RANGE(1, 9),
         .preset = "2",
         .help = "Certificates between the client's and the authority's, and the latter."},
	{"ssl_stapling_file", IN_TLS(stapling_file), .kind = &value_file,
         .help = "The authority's OCSP response for the certificate, DER, sent to clients that ask for one."},
	{"ssl_strict_sni", IN_TLS(strict_sni), .kind = &value_switch, .preset = "off",
         .help = "A name that no certificate covers is refused (unrecognized_name); off = the first certificate answers."},
	{"ssl_key_log", IN_TLS(key_log), .kind = &value_file,
         .help = "A file that takes every session's secrets, for Wireshark: whoever has it reads all traffic."},
	LATER_BUT("ktls", SECTION_TLS, KEY_DEFAULTS, auto_or_off, "TLS in the kernel."),

	/* [log] */
	{"path", IN_LOG(path), .kind = &value_log_path, .flags = KEY_REQUIRED, .max = 4095,
         .help = "Where to write. A file, a FIFO; syslog = this host's, as daemon.info; a server's by UDP, its address "
                 "in numbers."},
	{"format", IN_LOG(format), .kind = &value_word, .words = formats, .preset = "text",
         .help = "text = key=value, json = an object a line, template = as you like it."},
	{"template", IN_LOG(template), .kind = &value_template, .max = TEMPLATE_LONGEST,
         .help = "The line of format = template: {key} is one of the access log's keys, each once at most, escaped as in "
                 "text; {key|text} writes the text where there is no value, otherwise that is a dash; {{ and }} are "
                 "braces."},
	{"when", IN_LOG(when), .kind = &value_when, .preset = "all",
         .help = "Which connections: errors = every reason but ok; sample=1/N = every Nth."},
};

const size_t keys_count = COUNT(keys);

_Static_assert(COUNT(keys) <= KEYS_MAX, "a table beside this one has KEYS_MAX places");

static const struct {
	const char *type;
	bool        is_named;
} sections[SECTION_KINDS] = {
	[SECTION_GLOBAL] = {"global", false},    [SECTION_DEFAULTS] = {"defaults", false},
	[SECTION_LISTENER] = {"listener", true}, [SECTION_SNI] = {"sni", true},
	[SECTION_ROUTE] = {"route", true},       [SECTION_UPSTREAM] = {"upstream", true},
	[SECTION_TLS] = {"tls", true},           [SECTION_LOG] = {"log", true},
};

const char *keys_section_type(enum section_kind kind)
{
	return sections[kind].type;
}

bool keys_section_kind(const char *type, enum section_kind *kind)
{
	for (unsigned i = 0; i < SECTION_KINDS; i++) {
		if (strcmp(sections[i].type, type) == 0) {
			*kind = (enum section_kind)i;
			return true;
		}
	}
	return false;
}

bool keys_section_is_named(enum section_kind kind)
{
	return sections[kind].is_named;
}

bool keys_holds_tls(enum section_kind kind)
{
	return kind == SECTION_LISTENER || kind == SECTION_ROUTE;
}

bool keys_is_default_of(const struct key *key, const char *name)
{
	return (key->flags & KEY_DEFAULTS) && strcmp(key->name, name) == 0;
}

const struct key *keys_find(enum section_kind kind, const char *name)
{
	for (const struct key *key = keys; key < keys + keys_count; key++)
		if (kind == SECTION_DEFAULTS ? keys_is_default_of(key, name)
		                             : key->section == kind && strcmp(key->name, name) == 0)
			return key;
	return 0;
}
