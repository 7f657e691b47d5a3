#include "tls/tls_reuse.h"

#include "tls/tls_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { KEPT_MAX = 64 };

struct kept {
	uint64_t         key, number; /* when it was kept; a plain count */
	WOLFSSL_SESSION *session;     /* NULL = free */
};

struct tls_reuse {
	atomic_uint     users;
	pthread_mutex_t lock;
	uint64_t        count;
	struct kept     kept[KEPT_MAX];
};

struct tls_reuse *tls_reuse_new(void)
{
	struct tls_reuse *reuse = calloc(1, sizeof(*reuse));

	if (!reuse)
		return NULL;
	atomic_init(&reuse->users, 1);
	pthread_mutex_init(&reuse->lock, NULL);
	return reuse;
}

struct tls_reuse *tls_reuse_get(struct tls_reuse *reuse)
{
	if (reuse)
		atomic_fetch_add_explicit(&reuse->users, 1, memory_order_relaxed);
	return reuse;
}

void tls_reuse_put(struct tls_reuse *reuse)
{
	if (!reuse || atomic_fetch_sub_explicit(&reuse->users, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < KEPT_MAX; i++)
		wolfSSL_SESSION_free(reuse->kept[i].session);
	pthread_mutex_destroy(&reuse->lock);
	free(reuse);
}

WOLFSSL_SESSION *tls_reuse_take(struct tls_reuse *reuse, uint64_t key)
{
	struct kept     *last = NULL;
	WOLFSSL_SESSION *session = NULL;

	if (!reuse)
		return NULL;
	pthread_mutex_lock(&reuse->lock);
	for (struct kept *kept = reuse->kept; kept < reuse->kept + KEPT_MAX; kept++)
		if (kept->session && kept->key == key && (!last || kept->number > last->number))
			last = kept;
	if (last) {
		session = last->session;
		last->session = NULL;
	}
	pthread_mutex_unlock(&reuse->lock);
	return session;
}

void tls_reuse_keep(struct tls_reuse *reuse, uint64_t key, WOLFSSL_SESSION *session)
{
	struct kept     *place = reuse->kept;
	WOLFSSL_SESSION *displaced;

	pthread_mutex_lock(&reuse->lock);
	for (struct kept *kept = reuse->kept; kept < reuse->kept + KEPT_MAX; kept++)
		if (!kept->session || (place->session && kept->number < place->number))
			place = kept;
	displaced = place->session;
	*place = (struct kept){key, ++reuse->count, session};
	pthread_mutex_unlock(&reuse->lock);
	wolfSSL_SESSION_free(displaced);
}
