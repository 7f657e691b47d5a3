#include "tls/tls_tickets.h"

#include "base/clock.h"
#include "tls/tls_random.h"
#include "tls/tls_settings.h"
#include "tls/tls_store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/hmac.h>

/* A ticket from a machine whose clock is ahead of ours by more is not taken. */
enum { CLOCK_SKEW_S = 60, NONCE_SIZE = 12, TAG_SIZE = 16, NAME_SIZE = 16, IV_SIZE = 16 };

_Static_assert(sizeof(struct tls_ticket_key) == TLS_TICKET_WORDS * sizeof(uint64_t), "see slot");

/* HKDF-SHA256 (RFC 5869). *len* is at most 255 digests. */
static void derive(struct span secret, const char *salt, struct span info, void *out, size_t len)
{
	CHECK(wc_HKDF(WC_SHA256, secret.data, (word32)secret.len, (const byte *)salt,
	              (word32)strlen(salt), info.data, (word32)info.len, out, (word32)len) == 0);
}

/* ---- keys of our own ----
 *
 * Time is cut into periods of ssl_session_timeout, each with a key. The secret that it is derived
 * from goes through a one-way function when a period begins, so that a secret found in memory opens
 * no ticket older than the period before. Who comes first in a new period turns; the others go on
 * with the old key for that moment. A slot is written again only four periods later; that a reader
 * sleeps that long is not ruled out, hence the period is read before and behind the words: a word
 * of the new key can only be seen (release, acquire) after the slot was marked as being written. */

static bool read_slot(struct tls_tickets *tickets, uint64_t period, struct tls_ticket_key *key)
{
	struct tls_ticket_slot *slot = &tickets->slots[period % COUNT(tickets->slots)];
	uint64_t                words[TLS_TICKET_WORDS];

	if (atomic_load_explicit(&slot->period, memory_order_acquire) != period)
		return false;
	for (size_t i = 0; i < TLS_TICKET_WORDS; i++)
		words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
	memcpy(key, words, sizeof(words));
	return atomic_load_explicit(&slot->period, memory_order_relaxed) == period;
}

static void write_slot(struct tls_tickets *tickets, uint64_t period)
{
	struct tls_ticket_slot *slot = &tickets->slots[period % COUNT(tickets->slots)];
	uint64_t                words[TLS_TICKET_WORDS];

	derive(span_of(tickets->secret, sizeof(tickets->secret)), "penstock ticket key",
	       span_of(tickets->digest, TLS_DIGEST_SIZE), words, sizeof(words));
	atomic_store_explicit(&slot->period, UINT64_MAX, memory_order_release);
	for (size_t i = 0; i < TLS_TICKET_WORDS; i++)
		atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
	atomic_store_explicit(&slot->period, period, memory_order_release);
	atomic_store_explicit(&tickets->period, period, memory_order_release);
	explicit_bzero(words, sizeof(words));
}

static void turn(struct tls_tickets *tickets, uint64_t now_ms)
{
	uint64_t period = now_ms / tickets->timeout_ms;

	if (atomic_load_explicit(&tickets->period, memory_order_acquire) >= period)
		return;
	if (atomic_exchange_explicit(&tickets->turning, true, memory_order_acquire))
		return;
	if (atomic_load_explicit(&tickets->period, memory_order_acquire) < period) {
		derive(span_of(tickets->secret, sizeof(tickets->secret)), "penstock next period",
		       span_of(NULL, 0), tickets->secret, sizeof(tickets->secret));
		write_slot(tickets, period);
	}
	atomic_store_explicit(&tickets->turning, false, memory_order_release);
}

/* ---- which key ---- */

static bool newest_key(struct tls_tickets *tickets, uint64_t now_ms, struct tls_ticket_key *key)
{
	if (tickets->key_count > 0) {
		*key = tickets->keys[0];
		return true;
	}
	turn(tickets, now_ms);
	return read_slot(tickets, atomic_load_explicit(&tickets->period, memory_order_acquire),
	                 key);
}

static enum tls_opened find_own_key(struct tls_tickets *tickets, const uint8_t *name,
                                    struct tls_ticket_key *key)
{
	uint64_t newest = atomic_load_explicit(&tickets->period, memory_order_acquire);

	if (read_slot(tickets, newest, key) && memcmp(key->name, name, NAME_SIZE) == 0)
		return TLS_OPENED;
	if (newest > 0 && read_slot(tickets, newest - 1, key) &&
	    memcmp(key->name, name, NAME_SIZE) == 0)
		return TLS_OPENED_OLD_KEY;
	return TLS_NOT_OPENED;
}

static enum tls_opened find_key(struct tls_tickets *tickets, const uint8_t *name, uint64_t now_ms,
                                struct tls_ticket_key *key)
{
	if (tickets->key_count == 0) {
		turn(tickets, now_ms);
		return find_own_key(tickets, name, key);
	}
	for (size_t i = 0; i < tickets->key_count; i++) {
		if (memcmp(tickets->keys[i].name, name, NAME_SIZE) == 0) {
			*key = tickets->keys[i];
			return i == 0 ? TLS_OPENED : TLS_OPENED_OLD_KEY;
		}
	}
	return TLS_NOT_OPENED;
}

/* ---- sealing ----
 *
 * AES-256-GCM; the key's name and the nonce are authenticated too. Behind the library's bytes goes
 * the time, so that ssl_session_timeout holds in TLS 1.2 as in 1.3, and for keys from files. */

static void write_time(uint8_t out[TLS_TICKET_OVERHEAD], uint64_t seconds)
{
	for (size_t i = 0; i < TLS_TICKET_OVERHEAD; i++)
		out[i] = (uint8_t)(seconds >> (56 - 8 * i));
}

static uint64_t read_time(const uint8_t in[TLS_TICKET_OVERHEAD])
{
	uint64_t seconds = 0;

	for (size_t i = 0; i < TLS_TICKET_OVERHEAD; i++)
		seconds = seconds << 8 | in[i];
	return seconds;
}

static void gather_aad(const struct tls_sealed *sealed, uint8_t aad[NAME_SIZE + IV_SIZE])
{
	memcpy(aad, sealed->name, NAME_SIZE);
	memcpy(aad + NAME_SIZE, sealed->iv, IV_SIZE);
}

static bool crypt_in_place(const struct tls_ticket_key *key, struct tls_sealed *sealed, bool seal)
{
	uint8_t aad[NAME_SIZE + IV_SIZE];
	Aes     aes;
	int     result;

	gather_aad(sealed, aad);
	if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0)
		return false;
	result = wc_AesGcmSetKey(&aes, key->secret, sizeof(key->secret));
	if (result == 0 && seal)
		result = wc_AesGcmEncrypt(&aes, sealed->data, sealed->data, sealed->len, sealed->iv,
		                          NONCE_SIZE, sealed->mac, TAG_SIZE, aad, sizeof(aad));
	else if (result == 0)
		result = wc_AesGcmDecrypt(&aes, sealed->data, sealed->data, sealed->len, sealed->iv,
		                          NONCE_SIZE, sealed->mac, TAG_SIZE, aad, sizeof(aad));
	wc_AesFree(&aes);
	return result == 0;
}

bool tls_tickets_seal(struct tls_tickets *tickets, struct tls_sealed *sealed,
                      struct tls_ticket_time time)
{
	struct tls_ticket_key key;
	bool                  ok;

	if (!newest_key(tickets, time.now_ms, &key))
		return false;
	memcpy(sealed->name, key.name, NAME_SIZE);
	memset(sealed->iv + NONCE_SIZE, 0, IV_SIZE - NONCE_SIZE);
	memset(sealed->mac + TAG_SIZE, 0, 32 - TAG_SIZE);
	write_time(sealed->data + sealed->len, time.now_s);
	sealed->len += TLS_TICKET_OVERHEAD;
	ok = crypt_in_place(&key, sealed, true);
	explicit_bzero(&key, sizeof(key));
	return ok;
}

enum tls_opened tls_tickets_open(struct tls_tickets *tickets, struct tls_sealed *sealed,
                                 struct tls_ticket_time time)
{
	struct tls_ticket_key key;
	enum tls_opened       found = find_key(tickets, sealed->name, time.now_ms, &key);
	bool                  ok;
	uint64_t              born;

	if (found == TLS_NOT_OPENED || sealed->len < TLS_TICKET_OVERHEAD)
		return TLS_NOT_OPENED;
	ok = crypt_in_place(&key, sealed, false);
	explicit_bzero(&key, sizeof(key));
	if (!ok)
		return TLS_NOT_OPENED;
	sealed->len -= TLS_TICKET_OVERHEAD;
	born = read_time(sealed->data + sealed->len);
	if (born > time.now_s + CLOCK_SKEW_S ||
	    time.now_s > born + (tickets->timeout_ms + 999) / 1000)
		return TLS_NOT_OPENED;
	return found;
}

/* ---- the library's side ---- */

/* In TLS 1.3 RET_CREATE would mean a full handshake; a new ticket is sent there anyway. */
static int answer(const WOLFSSL *ssl, enum tls_opened opened)
{
	switch (opened) {
	case TLS_OPENED:
		return WOLFSSL_TICKET_RET_OK;
	case TLS_OPENED_OLD_KEY:
		return wolfSSL_GetVersion(ssl) == WOLFSSL_TLSV1_3 ? WOLFSSL_TICKET_RET_OK
		                                                  : WOLFSSL_TICKET_RET_CREATE;
	case TLS_NOT_OPENED:
		break;
	}
	return WOLFSSL_TICKET_RET_REJECT;
}

static int on_ticket(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                     unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                     unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int seal, unsigned char *data,
                     int len, int *out_len, void *context)
{
	struct tls_ticket_time time = {clock_real_ms() / 1000, clock_ms()};
	struct tls_sealed      sealed = {name, iv, mac, data, (uint32_t)len};
	enum tls_opened        opened;

	if (seal) {
		if (*out_len < len + TLS_TICKET_OVERHEAD ||
		    penstock_random_block(iv, NONCE_SIZE) != 0 ||
		    !tls_tickets_seal(context, &sealed, time))
			return WOLFSSL_TICKET_RET_FATAL;
		*out_len = (int)sealed.len;
		return WOLFSSL_TICKET_RET_OK;
	}
	opened = tls_tickets_open(context, &sealed, time);
	if (opened != TLS_NOT_OPENED)
		*out_len = (int)sealed.len;
	return answer(ssl, opened);
}

bool tls_tickets_install(struct tls_tickets *tickets, WOLFSSL_CTX *library)
{
	int hint = (int)(tickets->timeout_ms / 1000);

	/* A lifetime of more than seven days is forbidden (RFC 8446 4.6.1). */
	if (hint > 604800)
		hint = 604800;
	/* A client whose ticket was not taken is given a new one in TLS 1.2 only if the extension
	 * is set here; without one some try the old one for ever. */
	return wolfSSL_CTX_UseSessionTicket(library) == WOLFSSL_SUCCESS &&
	       wolfSSL_CTX_set_TicketEncCb(library, on_ticket) == WOLFSSL_SUCCESS &&
	       wolfSSL_CTX_set_TicketEncCtx(library, tickets) == WOLFSSL_SUCCESS &&
	       wolfSSL_CTX_set_TicketHint(library, hint) == WOLFSSL_SUCCESS;
}

/* ---- making them ---- */

void tls_tickets_free(struct tls_tickets *tickets)
{
	if (tickets->keys)
		explicit_bzero(tickets->keys, tickets->key_count * sizeof(*tickets->keys));
	free(tickets->keys);
	explicit_bzero(tickets, sizeof(*tickets));
	free(tickets);
}

static bool read_files(const struct conf_tls *conf, struct tls_file *files,
                       struct conf_report *report)
{
	bool ok = true;

	for (size_t i = 0; i < conf->ticket_key_count; i++) {
		const struct conf_file *from = &conf->ticket_keys[i];

		if (!tls_read_file(conf->section, "ssl_session_ticket_key", from, &files[i],
		                   report)) {
			ok = false;
			continue;
		}
		if (files[i].len == 48 || files[i].len == 80)
			continue;
		conf_error(report, from->pos,
		           "[%s] ssl_session_ticket_key = %s holds %zu bytes, it must be 80 or 48: "
		           "openssl rand 80 > FILE",
		           conf->section, from->path, files[i].len);
		ok = false;
	}
	return ok;
}

/* What is the same for the same keys: a reload then finds them again. */
static void digest_of(const struct conf_tls *conf, const uint8_t demands[TLS_DIGEST_SIZE],
                      const struct tls_file *files, uint8_t out[TLS_DIGEST_SIZE])
{
	struct tls_digest digest;

	tls_digest_start(&digest);
	tls_digest_add(&digest, span_text("penstock tickets"));
	tls_digest_add(&digest, span_of(demands, TLS_DIGEST_SIZE));
	tls_digest_add_number(&digest, conf->session_timeout_ms);
	for (size_t i = 0; i < conf->ticket_key_count; i++)
		tls_digest_add(&digest, tls_file_span(&files[i]));
	tls_digest_end(&digest, out);
}

static struct tls_tickets *make(const struct conf_tls *conf, const uint8_t demands[TLS_DIGEST_SIZE],
                                const struct tls_file *files, const uint8_t digest[TLS_DIGEST_SIZE])
{
	struct tls_tickets *tickets = calloc(1, sizeof(*tickets));

	if (!tickets)
		return NULL;
	memcpy(tickets->digest, digest, TLS_DIGEST_SIZE);
	tickets->timeout_ms = conf->session_timeout_ms > 0 ? conf->session_timeout_ms : 1;
	for (size_t i = 0; i < COUNT(tickets->slots); i++)
		atomic_init(&tickets->slots[i].period, UINT64_MAX);
	if (conf->ticket_key_count == 0) {
		if (penstock_random_block(tickets->secret, sizeof(tickets->secret)) == 0) {
			write_slot(tickets, clock_ms() / tickets->timeout_ms);
			return tickets;
		}
		free(tickets);
		return NULL;
	}
	tickets->keys = calloc(conf->ticket_key_count, sizeof(*tickets->keys));
	if (!tickets->keys) {
		free(tickets);
		return NULL;
	}
	tickets->key_count = conf->ticket_key_count;
	for (size_t i = 0; i < tickets->key_count; i++)
		derive(tls_file_span(&files[i]), "penstock ticket file",
		       span_of(demands, TLS_DIGEST_SIZE), &tickets->keys[i],
		       sizeof(tickets->keys[i]));
	return tickets;
}

struct tls_tickets *tls_tickets_get(const struct conf_tls *conf,
                                    const uint8_t demands[TLS_DIGEST_SIZE], struct tls_store *store,
                                    struct conf_report *report)
{
	struct tls_file    *files = calloc(conf->ticket_key_count + 1, sizeof(*files));
	struct tls_tickets *tickets = NULL;
	uint8_t             digest[TLS_DIGEST_SIZE];

	if (files && read_files(conf, files, report)) {
		digest_of(conf, demands, files, digest);
		tickets = tls_store_find_tickets(store, digest);
		if (!tickets) {
			tickets = make(conf, demands, files, digest);
			if (tickets)
				tls_store_add_tickets(store, tickets);
			else
				conf_error(report, conf->pos,
				           "[%s]: no memory left for ticket keys", conf->section);
		}
	} else if (!files) {
		conf_error(report, conf->pos, "[%s]: no memory left", conf->section);
	}
	for (size_t i = 0; files && i < conf->ticket_key_count; i++)
		tls_file_wipe(&files[i]);
	free(files);
	return tickets;
}
