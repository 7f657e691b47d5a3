#include "tls/tls_context.h"
#include "tls/tls_library.h"
#include "tls/tls_session.h"

/* The whole layer where penstock is built without a TLS library: see src/meson.build. */

const char *tls_library_name(void)
{
	return "none";
}

bool tls_library_is_present(void)
{
	return false;
}

bool tls_library_has_assembly(void)
{
	return false;
}

int tls_library_start(void)
{
	return 0;
}

void tls_library_stop(void)
{
}

/* What was never built is never used. */
#define NEVER() die(__FILE__, __LINE__, "TLS in a build without it")

/* There is nothing to keep, but NULL means that memory is short. */
struct tls_store *tls_store_new(void)
{
	static char nothing;

	return (struct tls_store *)(void *)&nothing;
}

void tls_store_free(struct tls_store *store)
{
	(void)store;
}

size_t tls_store_loaded(const struct tls_store *store)
{
	(void)store;
	return 0;
}

struct tls_context *tls_context_build(const struct conf_tls *conf, struct tls_store *store,
                                      struct conf_report *report)
{
	(void)store;
	conf_error(report, conf->pos,
	           "[%s]: this build has no TLS library, it only passes TLS through (mode = "
	           "passthrough)",
	           conf->section);
	return NULL;
}

void tls_context_free(struct tls_context *context)
{
	CHECK(!context);
}

struct tls_client *tls_client_build(const struct conf_tls_client *conf, struct tls_store *store,
                                    struct conf_report *report)
{
	(void)store;
	conf_error(report, conf->pos, "[%s] proxy_ssl = on: this build has no TLS library",
	           conf->section);
	return NULL;
}

void tls_client_free(struct tls_client *client)
{
	CHECK(!client);
}

enum alert tls_context_choose(const struct tls_context *context, const struct hello *hello,
                              struct span name, struct tls_choice *choice)
{
	(void)context, (void)hello, (void)name, (void)choice;
	NEVER();
}

bool tls_context_certificate(const struct tls_context *context, size_t index, const char **name,
                             int64_t *expires)
{
	(void)context, (void)index, (void)name, (void)expires;
	NEVER();
}

bool tls_context_covers(const struct tls_context *context, struct span name)
{
	(void)context, (void)name;
	NEVER();
}

/* ---- sessions: no context can be built that one could begin with ---- */

struct tls_session *tls_session_accept(const struct tls_context *context,
                                       const struct tls_choice  *choice)
{
	(void)context, (void)choice;
	NEVER();
}

struct tls_session *tls_session_connect(const struct tls_client *client, struct span name,
                                        uint64_t resume_key)
{
	(void)client, (void)name, (void)resume_key;
	NEVER();
}

void tls_session_free(struct tls_session *session)
{
	CHECK(!session);
}

enum tls_result tls_session_handshake(struct tls_session *session, struct span *input,
                                      struct tls_output *output)
{
	(void)session, (void)input, (void)output;
	NEVER();
}

enum tls_result tls_session_read(struct tls_session *session, struct span *input,
                                 struct tls_output *output, uint8_t *plain, uint32_t size,
                                 uint32_t *len)
{
	(void)session, (void)input, (void)output, (void)plain, (void)size, (void)len;
	NEVER();
}

enum tls_result tls_session_write(struct tls_session *session, struct span *plain, uint64_t now_ms,
                                  struct tls_output *output)
{
	(void)session, (void)plain, (void)now_ms, (void)output;
	NEVER();
}

uint32_t tls_session_wire_size(uint32_t len)
{
	return len;
}

enum tls_result tls_session_close(struct tls_session *session, struct tls_output *output)
{
	(void)session, (void)output;
	NEVER();
}

enum tls_result tls_session_refuse(struct tls_session *session, enum alert alert,
                                   struct tls_output *output)
{
	(void)session, (void)alert, (void)output;
	NEVER();
}

enum tls_failure tls_session_failure(const struct tls_session *session)
{
	(void)session;
	NEVER();
}

const char *tls_session_failure_text(const struct tls_session *session)
{
	(void)session;
	NEVER();
}

uint8_t tls_session_alert(const struct tls_session *session)
{
	(void)session;
	NEVER();
}

void tls_session_agreed(const struct tls_session *session, struct tls_agreed *agreed)
{
	(void)session, (void)agreed;
	NEVER();
}

void tls_session_peer_subject(const struct tls_session *session, char *text, size_t size)
{
	(void)session, (void)text, (void)size;
	NEVER();
}
