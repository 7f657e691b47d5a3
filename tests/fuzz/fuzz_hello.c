/*
 * fuzz_hello: any bytes as what a client sent, and the same bytes as a hello's body behind a true
 * header. Both laws must hold. The first two bytes of the input choose the limit.
 */
#include "../unit/hello_laws.h"

enum { INPUT_MAX = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct span bytes, size_t limit)
{
	struct reading reading;
	struct span    protocol;
	char           folded[HELLO_NAME_MAX];

	reading_take(&reading, bytes, limit);
	if (reading.result == HELLO_OK) {
		if (hello_fold_name(reading.hello.name, folded) > reading.hello.name.len)
			abort();
		while (hello_next_alpn(&reading.hello.alpn, &protocol))
			if (protocol.len == 0)
				abort();
		if (reading.hello.alpn.len > 0)
			abort();
	}
	reading_drop(&reading);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct made message;
	size_t             limit, step = 1 + size / 64;
	struct span        bytes;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	limit = (size_t)data[0] << 8 | data[1];
	bytes = span_of(data + 2, size - 2);
	check_name(bytes, limit);
	if (!prefix_law_holds(bytes, limit, step) || !prefix_law_holds(bytes, limit, 1 + size / 7))
		abort();

	/* Where a record came first, its header and the message's are dropped: the body is what
	 * counts. */
	if (bytes.len > 9)
		bytes = span_of(bytes.data + 9, bytes.len - 9);
	message.len = 0;
	maker_put(&message, 1);
	for (unsigned i = 0; i < 3; i++)
		maker_put(&message, 0);
	for (size_t i = 0; i < bytes.len; i++)
		maker_put(&message, bytes.data[i]);
	maker_close(&message, 1, 3);
	if (!split_law_holds(span_of(message.bytes, message.len), step))
		abort();
	return 0;
}
