#include "session/access.h"

#include "base/clock.h"
#include "session/conn.h"
#include "session/secure.h"

#include <string.h>

struct text {
	const void *data;
	uint16_t    len; /* ACCESS_ABSENT = none */
};

static struct text text_of(const char *string)
{
	return string ? (struct text){string, (uint16_t)strlen(string)}
	              : (struct text){NULL, ACCESS_ABSENT};
}

static void collect_texts(const struct conn *c, struct text texts[ACCESS_TEXTS])
{
	const struct upstream *upstream = c->route ? c->route->upstream : NULL;

	for (int i = 0; i < ACCESS_TEXTS; i++)
		texts[i] = text_of(NULL);
	texts[ACCESS_LISTENER] = text_of(c->listener->conf->name);
	if (c->name && c->name->name_len > 0)
		texts[ACCESS_SNI] = (struct text){c->name->name, c->name->name_len};
	if (c->name && c->name->alpn_len > 0)
		texts[ACCESS_ALPN] = (struct text){c->name->alpn, c->name->alpn_len};
	if (c->route)
		texts[ACCESS_ROUTE] = text_of(c->route->name);
	if (upstream)
		texts[ACCESS_UPSTREAM] = text_of(upstream->name);
	if (upstream && c->server >= 0)
		texts[ACCESS_SERVER] = text_of(upstream->servers[c->server].text);
}

enum { SUBJECT_MAX = 512 };

/* What was agreed on with the client; true: there is something. *subject*: room for its name. */
static bool collect_tls(const struct conn *c, struct text texts[ACCESS_TEXTS], char *subject,
                        bool *resumed)
{
	const struct secure *secure = c->client.secure;
	struct tls_agreed    agreed;

	if (!secure || !secure->is_established)
		return false;
	tls_session_agreed(secure->session, &agreed);
	*resumed = agreed.resumed;
	texts[ACCESS_TLS] = text_of(agreed.version);
	texts[ACCESS_CIPHER] = text_of(agreed.cipher);
	texts[ACCESS_GROUP] = text_of(agreed.group);
	if (!agreed.has_peer_certificate)
		return true;
	tls_session_peer_subject(secure->session, subject, SUBJECT_MAX);
	texts[ACCESS_CLIENT_CERT] = text_of(subject);
	return true;
}

static uint8_t mode_of(const struct conn *c)
{
	if (!c->route)
		return UINT8_MAX;
	switch (c->route->mode) {
	case CONF_PASSTHROUGH:
		break;
	case CONF_REJECT:
		return 1;
	case CONF_TERMINATE:
		return 2;
	}
	return 0;
}

void access_write(const struct conn *c)
{
	uint16_t              log = c->route ? c->route->access_log : c->listener->access_log;
	struct text           texts[ACCESS_TEXTS];
	struct access_record *record;
	size_t                len = sizeof(*record);
	uint8_t              *at;
	char                  subject[SUBJECT_MAX];
	bool                  has_tls, resumed = false;

	if (log == SNAPSHOT_NO_LOG)
		return;
	collect_texts(c, texts);
	has_tls = collect_tls(c, texts, subject, &resumed);
	for (int i = 0; i < ACCESS_TEXTS; i++)
		len += texts[i].len == ACCESS_ABSENT ? 0 : texts[i].len;
	record = (struct access_record *)log_reserve(c->shard->log, (uint32_t)len);
	if (!record)
		return;
	*record = (struct access_record){
		.head = {.kind = LOG_KIND_ACCESS, .time_ms = clock_real_ms()},
		.id = c->id,
		.bytes_up = c->up.bytes,
		.bytes_down = c->down.bytes,
		.hello_ms = c->hello_ms,
		.connect_ms = c->connect_ms,
		.duration_ms = c->shard->now_ms - c->accepted_ms,
		.client = c->source,
		.peer = c->peer,
		.log = log,
		.mode = mode_of(c),
		.tries = c->tries,
		.reason = c->reason,
		.alert = c->alert,
		.relay = c->relay,
		.resumed = has_tls ? (resumed ? 2 : 1) : 0,
	};
	at = (uint8_t *)(record + 1);
	for (int i = 0; i < ACCESS_TEXTS; i++) {
		record->text_len[i] = texts[i].len;
		if (texts[i].len == ACCESS_ABSENT)
			continue;
		memcpy(at, texts[i].data, texts[i].len);
		at += texts[i].len;
	}
	log_commit(c->shard->log);
}

const char *access_relay_word(uint8_t relay)
{
	return relay > 0 && relay <= COUNTERS_STRATEGIES ? counters_strategy_word(relay - 1u)
	                                                 : NULL;
}
