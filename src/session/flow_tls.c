#include "session/flow_parts.h"

#include "io/sock.h"
#include "session/conn.h"
#include "session/secure.h"

#include <errno.h>

/* Of a source in bulk: what is there already, into memory that serves only for this call. What is
 * not a count of bytes is noted as what a receive would have said, for its turn. */
static struct span flow_take_more(struct conn *c, struct flow *flow, struct side *from)
{
	struct shard *shard = c->shard;
	ssize_t       n;

	_Static_assert((int)SECURE_MORE_MAX <= (int)HELLO_LARGE_SIZE, "it fits into the scratch");
	if (!flow->was_full || from->input.busy || (from->facts & SIDE_INPUT))
		return span_of(NULL, 0);
	n = sock_recv_now(from->fd, shard->scratch, SECURE_MORE_MAX);
	if (n > 0)
		return span_of(shard->scratch, (size_t)n);
	if (n != -EAGAIN && n != -EINTR) {
		from->input_res = (int32_t)n;
		from->facts |= SIDE_INPUT;
	}
	return span_of(NULL, 0);
}

void flow_encrypt_more(struct conn *c, struct flow *flow, struct side *from, struct side *to)
{
	struct span plain;

	if (!to->secure || from->secure || flow->held > 0 || flow->has_ended ||
	    !secure_has_room(c, to, SECURE_MORE_MAX))
		return;
	plain = flow_take_more(c, flow, from);
	if (plain.len == 0)
		return;
	flow->held = (uint32_t)plain.len;
	if (secure_write(c, to, &plain) == TLS_DONE)
		flow_wrote(c, flow, flow->held);
	else
		flow_lose(c, flow, to);
}

enum flow_verdict flow_encrypt(struct conn *c, struct flow *flow, struct side *to)
{
	struct span     plain = span_of(flow_data(c, flow), flow->held);
	enum tls_result result = secure_write(c, to, &plain);

	flow_wrote(c, flow, flow->held - (uint32_t)plain.len);
	if (result == TLS_FAILED)
		flow_lose(c, flow, to);
	else if (flow->held == 0)
		flow_release(c, flow);
	else
		flow_stall(c, flow);
	return FLOW_GOES_ON;
}

bool flow_is_sent(struct conn *c, struct flow *flow, struct side *from, struct side *to)
{
	if (!secure_flush(c, to)) {
		if (to->is_blocked)
			side_watch(c, from);
		return false;
	}
	if (to->is_reset)
		flow_lose(c, flow, to);
	return true;
}

/* As flow_encrypt_more: behind the *len* bytes that are in *plain* already. */
static enum tls_result flow_decrypt_more(struct conn *c, struct flow *flow, struct side *from,
                                         uint8_t *plain, uint32_t *len)
{
	uint32_t        room = c->shard->records_size - *len, got;
	struct span     received;
	enum tls_result result;

	if (room < SECURE_MORE_MAX + 2 * TLS_RECORD_MAX)
		return TLS_MORE;
	received = flow_take_more(c, flow, from);
	if (received.len == 0)
		return TLS_MORE;
	result = secure_read(c, from, received, plain + *len, room, &got);
	*len += got;
	return result;
}

enum flow_verdict flow_decrypt(struct conn *c, struct flow *flow, struct side *from,
                               struct span received)
{
	uint8_t        *plain = shard_records(c->shard);
	uint32_t        len;
	enum tls_result result;

	result = secure_read(c, from, received, plain, c->shard->records_size, &len);
	if (result == TLS_MORE && received.len > 0)
		result = flow_decrypt_more(c, flow, from, plain, &len);
	if (len > 0)
		flow_hold_records(flow, plain, len);
	else
		slab_put(&c->shard->records, plain);
	flow->has_eof = result == TLS_CLOSED;
	return result == TLS_FULL && len == 0 ? FLOW_WAITS : FLOW_GOES_ON;
}
