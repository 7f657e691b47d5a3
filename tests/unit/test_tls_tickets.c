#include "tls_files.h"

#include "tls/tls_store.h"
#include "tls/tls_tickets.h"

/* AHEAD: more periods than any machine is up; time only goes on from the first. */
enum { TIMEOUT_S = 3600, TIMEOUT_MS = TIMEOUT_S * 1000, AHEAD = 1000000 };

static const char secret[] = "a session's master secret, and more";

struct ticket {
	uint8_t           name[16], iv[16], mac[32], data[sizeof(secret) + TLS_TICKET_OVERHEAD];
	struct tls_sealed sealed;
};

static struct tls_tickets *tickets_of(struct tls_store *store, const char *key_file)
{
	static const uint8_t demands[TLS_DIGEST_SIZE];
	struct conf_report  *report = conf_report_new();
	struct conf_file     file = {key_file, {"test.ini", 1}};
	struct conf_tls      conf = {.section = "tls a",
	                             .session_timeout_ms = TIMEOUT_MS,
	                             .ticket_keys = &file,
	                             .ticket_key_count = key_file != NULL};
	struct tls_tickets  *tickets = tls_tickets_get(&conf, demands, store, report);

	EXPECT(tickets != NULL);
	conf_report_free(report);
	return tickets;
}

static struct tls_ticket_time at(uint64_t seconds)
{
	return (struct tls_ticket_time){1000000 + seconds,
	                                AHEAD * (uint64_t)TIMEOUT_MS + seconds * 1000};
}

static void seal(struct tls_tickets *tickets, struct ticket *ticket, struct tls_ticket_time time)
{
	memset(ticket->iv, 7, sizeof(ticket->iv));
	memcpy(ticket->data, secret, sizeof(secret));
	ticket->sealed = (struct tls_sealed){ticket->name, ticket->iv, ticket->mac, ticket->data,
	                                     sizeof(secret)};
	EXPECT(tls_tickets_seal(tickets, &ticket->sealed, time));
	EXPECT_EQ(ticket->sealed.len, sizeof(secret) + TLS_TICKET_OVERHEAD);
	EXPECT(memcmp(ticket->data, secret, 8) != 0);
}

/* Of a copy, for opening is in place. */
static enum tls_opened opened(struct tls_tickets *tickets, const struct ticket *ticket,
                              struct tls_ticket_time time)
{
	struct ticket     copy = *ticket;
	struct tls_sealed sealed = {copy.name, copy.iv, copy.mac, copy.data, ticket->sealed.len};
	enum tls_opened   result = tls_tickets_open(tickets, &sealed, time);

	if (result != TLS_NOT_OPENED) {
		EXPECT_EQ(sealed.len, sizeof(secret));
		EXPECT(memcmp(copy.data, secret, sizeof(secret)) == 0);
	}
	return result;
}

TEST(a_ticket_opens_until_its_time_is_over)
{
	struct tls_store *store = tls_store_new();
	char              bytes[80] = "key";
	const char *const files[] = {NULL, file_of("key", bytes, sizeof(bytes))};

	for (size_t i = 0; i < COUNT(files); i++) {
		struct tls_tickets *tickets = tickets_of(store, files[i]);
		struct ticket       ticket;

		seal(tickets, &ticket, at(10));
		EXPECT_EQ(opened(tickets, &ticket, at(10)), TLS_OPENED);
		EXPECT(opened(tickets, &ticket, at(TIMEOUT_S + 9)) != TLS_NOT_OPENED);
		EXPECT_EQ(opened(tickets, &ticket, at(TIMEOUT_S + 12)), TLS_NOT_OPENED);
	}
	tls_store_free(store);
}

TEST(a_ticket_from_the_future_does_not_open)
{
	struct tls_store   *store = tls_store_new();
	char                bytes[48] = "key";
	struct tls_tickets *tickets = tickets_of(store, file_of("key", bytes, sizeof(bytes)));
	struct ticket       ticket;

	seal(tickets, &ticket, at(500));
	EXPECT_EQ(opened(tickets, &ticket, at(480)), TLS_OPENED);
	EXPECT_EQ(opened(tickets, &ticket, at(400)), TLS_NOT_OPENED);
	tls_store_free(store);
}

TEST(a_ticket_with_one_bit_changed_does_not_open)
{
	struct tls_store   *store = tls_store_new();
	struct tls_tickets *tickets = tickets_of(store, NULL);
	struct ticket       ticket;

	seal(tickets, &ticket, at(0));
	for (size_t i = 0; i < 16 + 16 + 16 + ticket.sealed.len; i++) {
		struct ticket changed = ticket;
		uint8_t      *byte = i < 16   ? &changed.name[i]
		                     : i < 32 ? &changed.iv[i - 16]
		                     : i < 48 ? &changed.mac[i - 32]
		                              : &changed.data[i - 48];

		*byte ^= 0x10;
		EXPECT_EQ(opened(tickets, &changed, at(0)), TLS_NOT_OPENED);
	}
	tls_store_free(store);
}

TEST(our_own_keys_turn_and_the_one_before_still_opens)
{
	struct tls_store   *store = tls_store_new();
	struct tls_tickets *tickets = tickets_of(store, NULL);
	struct ticket       first, second, third;

	seal(tickets, &first, at(TIMEOUT_S - 5));
	seal(tickets, &second, at(TIMEOUT_S + 5));
	EXPECT(memcmp(first.name, second.name, sizeof(first.name)) != 0);
	EXPECT_EQ(opened(tickets, &first, at(TIMEOUT_S + 5)), TLS_OPENED_OLD_KEY);
	EXPECT_EQ(opened(tickets, &second, at(TIMEOUT_S + 5)), TLS_OPENED);
	/* two periods on its key is forgotten, whatever the clock of days says */
	seal(tickets, &third, at(2 * TIMEOUT_S + 5));
	EXPECT_EQ(
		opened(tickets, &first,
	               (struct tls_ticket_time){at(TIMEOUT_S).now_s, at(2 * TIMEOUT_S + 5).now_ms}),
		TLS_NOT_OPENED);
	EXPECT_EQ(opened(tickets, &third, at(2 * TIMEOUT_S + 5)), TLS_OPENED);
	tls_store_free(store);
}

TEST(a_reload_finds_our_own_keys_again)
{
	struct tls_store   *store = tls_store_new(), *other = tls_store_new();
	struct tls_tickets *tickets = tickets_of(store, NULL);
	struct ticket       ticket;

	seal(tickets, &ticket, at(0));
	EXPECT_EQ(opened(tickets_of(store, NULL), &ticket, at(1)), TLS_OPENED);
	/* and nobody else does */
	EXPECT_EQ(opened(tickets_of(other, NULL), &ticket, at(1)), TLS_NOT_OPENED);
	tls_store_free(store);
	tls_store_free(other);
}

int main(void)
{
	return files_test_main();
}
