#include "session/preread.h"

#include "proto/proxyproto.h"
#include "session/starttls.h"

#include <errno.h>

uint32_t preread_limit(const struct conn *c)
{
	const struct conf_listener *conf = c->listener->conf;

	if (c->state != CONN_PREAMBLE)
		return conf->preread_buffer_size;
	return conf->preread_buffer_size + PROXYPROTO_IN_MAX;
}

struct span preread_bytes(const struct conn *c)
{
	return span_of(c->hello ? c->hello + HELLO_HEADROOM + c->hello_start : NULL, c->hello_len);
}

void preread_skip(struct conn *c, size_t len)
{
	CHECK(len <= c->hello_len);
	c->hello_start += (uint32_t)len;
	c->hello_len -= (uint32_t)len;
	/* The limit counts from here on again. */
	if (c->hello_len == 0)
		c->hello_start = 0;
}

void preread_cut(struct conn *c, size_t len)
{
	CHECK(len <= c->hello_len);
	c->hello_len = (uint32_t)len;
}

void preread_fini(struct conn *c)
{
	struct shard *shard = c->shard;

	if (!c->hello)
		return;
	slab_put(c->hello_size == HELLO_SMALL_SIZE ? &shard->hellos_small : &shard->hellos_large,
	         c->hello);
	c->hello = NULL;
}

static uint8_t *preread_memory(struct conn *c, uint32_t size)
{
	struct shard *shard = c->shard;
	uint8_t      *memory;

	memory = slab_get(size == HELLO_SMALL_SIZE ? &shard->hellos_small : &shard->hellos_large);
	CHECK(memory); /* there are as many of each as connections */
	return memory;
}

/* Room for *len* more bytes behind those that are there. */
static uint8_t *preread_room(struct conn *c, uint32_t len)
{
	uint32_t need = c->hello_start + c->hello_len + len;

	if (!c->hello) {
		c->hello_size = need <= HELLO_SMALL_SIZE ? HELLO_SMALL_SIZE : HELLO_LARGE_SIZE;
		c->hello = preread_memory(c, c->hello_size);
	} else if (need > c->hello_size) {
		uint8_t *large = preread_memory(c, HELLO_LARGE_SIZE);

		memcpy(large + HELLO_HEADROOM, c->hello + HELLO_HEADROOM,
		       c->hello_start + c->hello_len);
		preread_fini(c);
		c->hello = large;
		c->hello_size = HELLO_LARGE_SIZE;
	}
	CHECK(need <= c->hello_size);
	return c->hello + HELLO_HEADROOM + c->hello_start + c->hello_len;
}

void preread_append(struct conn *c, struct span bytes)
{
	if (bytes.len == 0)
		return;
	memcpy(preread_room(c, (uint32_t)bytes.len), bytes.data, bytes.len);
	c->hello_len += (uint32_t)bytes.len;
}

void preread_more(struct conn *c)
{
	uint32_t limit = preread_limit(c);

	CHECK(c->hello_len < limit);
	side_recv(c, &c->client, min_u32(limit - c->hello_len, c->shard->buffers.size));
}

enum preread_result preread_take(struct conn *c)
{
	struct side *client = &c->client;
	int          res = client->input_res;

	if (client->input.busy)
		return PREREAD_NOTHING;
	if (!(client->facts & SIDE_INPUT)) {
		preread_more(c); /* a buffer came back */
		return PREREAD_NOTHING;
	}
	if (res > 0) {
		memcpy(preread_room(c, (uint32_t)res),
		       bufring_data(&c->shard->buffers, client->lease), (size_t)res);
		c->hello_len += (uint32_t)res;
	}
	side_drop_input(c, client);
	if (res > 0)
		return PREREAD_BYTES;
	if (res == -ENOBUFS) {
		conn_starve(c);
		return PREREAD_NOTHING;
	}
	if (res == -EAGAIN || res == -EINTR) {
		preread_more(c);
		return PREREAD_NOTHING;
	}
	return PREREAD_GONE;
}

uint32_t preread_put_in_front(struct conn *c, const uint8_t *bytes, size_t len)
{
	uint32_t offset = HELLO_HEADROOM + c->hello_start - (uint32_t)len;

	if (len > 0) {
		(void)preread_room(c, 0);
		memcpy(c->hello + offset, bytes, len);
	}
	return offset;
}

void preread_greet(struct conn *c, uint32_t *offset, uint32_t *len)
{
	uint8_t front[PROXYPROTO_OUT_MAX + PGWIRE_REQUEST_SIZE];
	size_t  front_len;
	bool    asks = starttls_asks_server(c);

	_Static_assert(sizeof(front) <= HELLO_HEADROOM, "there is room for it");

	front_len = proxyproto_write(c->route->upstream->send_proxy_protocol, &c->source, &c->local,
	                             front);
	if (asks) {
		pgwire_write_ssl_request(front + front_len);
		front_len += PGWIRE_REQUEST_SIZE;
	}
	*offset = preread_put_in_front(c, front, front_len);
	*len = (uint32_t)front_len + (asks ? 0 : c->hello_len);
}
