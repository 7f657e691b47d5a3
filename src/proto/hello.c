#include "proto/hello.h"

#include "proto/addr.h"

enum {
	CONTENT_CHANGE_CIPHER_SPEC = 0x14,
	CONTENT_ALERT = 0x15,
	CONTENT_HANDSHAKE = 0x16,
	CONTENT_APPLICATION_DATA = 0x17,

	RECORD_HEADER = 5,
	RECORD_MAX = 1 << 14,
	CLIENT_HELLO = 1,
	MESSAGE_HEADER = 4,
	SESSION_ID_MAX = 32,
	RANDOM_SIZE = 32,
	/* version, random, empty session id, one cipher suite, one compression method */
	BODY_MIN = 2 + RANDOM_SIZE + 1 + 2 + 2 + 1 + 1,
};

enum extension {
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_SUPPORTED_GROUPS = 10,
	EXTENSION_SIGNATURE_ALGORITHMS = 13,
	EXTENSION_ALPN = 16,
	EXTENSION_SUPPORTED_VERSIONS = 43,
	EXTENSION_ECH = 0xfe0d,
};

/* ---- The flight: records around one handshake message
 * ------------------------------------------- */

/* What the records seen so far say. */
struct flight {
	uint8_t head[MESSAGE_HEADER + 1]; /* the message's first bytes, as far as version's major */
	size_t  head_len;
	size_t  records;
	size_t  announced; /* handshake bytes in these records, whether or not they have arrived */
	size_t  end;       /* where the last of these records ends on the wire */
};

/* The message's length, its header included; the least it can be while that is not known. */
static size_t message_len(const struct flight *flight)
{
	size_t len = 0;

	/* Bytes that have not come are 0 in *head*. */
	for (size_t i = 1; i < MESSAGE_HEADER; i++)
		len = len << 8 | flight->head[i];
	return MESSAGE_HEADER + (len < BODY_MIN ? (size_t)BODY_MIN : len);
}

/* Can what is known so far still become a ClientHello within *limit* bytes? HELLO_MORE: it can. */
static enum hello_result flight_judge(const struct flight *flight, size_t limit)
{
	const uint8_t *head = flight->head;
	size_t         len = message_len(flight), missing, headers;

	if (flight->head_len > 0 && head[0] != CLIENT_HELLO)
		return HELLO_BAD;
	if (flight->head_len >= MESSAGE_HEADER) {
		if (!head[1] && !head[2] && head[3] < BODY_MIN)
			return HELLO_BAD;
		/* Nothing may follow the ClientHello in its record: RFC 8446 5.1. */
		if (flight->announced > len)
			return HELLO_BAD;
	}
	if (flight->head_len > MESSAGE_HEADER && head[MESSAGE_HEADER] != 3)
		return HELLO_BAD;
	missing = flight->announced < len ? len - flight->announced : 0;
	headers = (missing + RECORD_MAX - 1) / RECORD_MAX * RECORD_HEADER;
	return flight->end + headers + missing <= limit ? HELLO_MORE : HELLO_TOO_LONG;
}

/* Judges as much of a record's header as is there. */
static bool record_is_sane(struct span header)
{
	const uint8_t *byte = header.data;

	if (header.len > 0 && byte[0] != CONTENT_HANDSHAKE)
		return false;
	if (header.len > 1 && byte[1] != 3)
		return false;
	if (header.len > 3 && byte[3] > RECORD_MAX >> 8)
		return false;
	if (header.len >= RECORD_HEADER) {
		size_t len = (size_t)byte[3] << 8 | byte[4];

		return len > 0 && len <= RECORD_MAX;
	}
	return true;
}

/*
 * Adds the record that *rest* begins with; *arrived*: how many of its handshake bytes are there.
 * The message's first bytes are judged one by one, as they would be had they come one by one: which
 * of two things is wrong first must not hang on the segments.
 */
static enum hello_result flight_add_record(struct flight *flight, struct span rest, size_t limit,
                                           size_t *arrived)
{
	size_t            len = (size_t)rest.data[3] << 8 | rest.data[4];
	enum hello_result result;

	*arrived = min_size(len, rest.len - RECORD_HEADER);
	flight->records++;
	flight->announced += len;
	flight->end += RECORD_HEADER + len;
	result = flight_judge(flight, limit);
	for (size_t i = 0; i < *arrived && flight->head_len < sizeof(flight->head); i++) {
		if (result != HELLO_MORE)
			break;
		flight->head[flight->head_len++] = rest.data[RECORD_HEADER + i];
		result = flight_judge(flight, limit);
	}
	return result;
}

/*
 * Walks the record headers, which is all that is done for an incomplete hello. Each call starts
 * anew: every bound is the least that the bytes so far allow, so it only grows, and a verdict
 * stays.
 */
static enum hello_result flight_walk(struct span bytes, size_t limit, struct flight *flight)
{
	enum hello_result result;

	*flight = (struct flight){0};
	result = flight_judge(flight, limit);
	while (result == HELLO_MORE) {
		struct span rest = span_of(bytes.data + flight->end, bytes.len - flight->end);
		size_t      arrived, end = flight->end + RECORD_HEADER;

		if (!record_is_sane(span_of(rest.data, min_size(rest.len, RECORD_HEADER))))
			return HELLO_BAD;
		if (rest.len < RECORD_HEADER)
			return HELLO_MORE;
		result = flight_add_record(flight, rest, limit, &arrived);
		if (result != HELLO_MORE || end + arrived < flight->end)
			return result;
		if (flight->head_len >= MESSAGE_HEADER && flight->announced == message_len(flight))
			return HELLO_OK;
	}
	return result;
}

/* The message as one run: in place when one record holds it, else joined in *scratch*. */
static struct span flight_message(const struct flight *flight, struct span bytes, uint8_t *scratch)
{
	size_t at = 0, joined = 0;

	if (flight->records == 1)
		return span_of(bytes.data + RECORD_HEADER, flight->announced);
	while (at < flight->end) {
		size_t len = (size_t)bytes.data[at + 3] << 8 | bytes.data[at + 4];

		memcpy(scratch + joined, bytes.data + at + RECORD_HEADER, len);
		joined += len;
		at += RECORD_HEADER + len;
	}
	return span_of(scratch, joined);
}

/* ---- Taking things off the front of a span
 * ------------------------------------------------------- */

static bool take(struct span *from, size_t len, struct span *taken)
{
	if (from->len < len)
		return false;
	*taken = span_of(from->data, len);
	from->data += len;
	from->len -= len;
	return true;
}

static bool take_number(struct span *from, size_t width, size_t *number)
{
	struct span bytes;

	if (!take(from, width, &bytes))
		return false;
	*number = 0;
	for (size_t i = 0; i < width; i++)
		*number = *number << 8 | bytes.data[i];
	return true;
}

/* A vector of TLS's presentation language: its length in *width* bytes, then that many bytes. */
static bool take_vector(struct span *from, size_t width, struct span *vector)
{
	size_t len;

	return take_number(from, width, &len) && take(from, len, vector);
}

/* A vector with nothing behind it and something in it. */
static bool take_only_vector(struct span from, size_t width, struct span *vector)
{
	return take_vector(&from, width, vector) && from.len == 0 && vector->len > 0;
}

static bool take_only_ids(struct span from, size_t width, struct span *ids)
{
	return take_only_vector(from, width, ids) && ids->len % 2 == 0;
}

/* ---- Extensions
 * ---------------------------------------------------------------------------------- */

/*
 * A set of extension types. A word counts only once its bit in *touched* is set: exact for all
 * 65,536 types and whatever number of them, without clearing 8 KiB for each hello.
 */
struct type_set {
	uint64_t touched[16];
	uint64_t words[1024];
};

/* False: it was in there. */
static bool type_set_add(struct type_set *set, size_t type)
{
	size_t   word = type / 64;
	uint64_t bit = (uint64_t)1 << type % 64, touch = (uint64_t)1 << word % 64;

	if (!(set->touched[word / 64] & touch)) {
		set->touched[word / 64] |= touch;
		set->words[word] = 0;
	}
	if (set->words[word] & bit)
		return false;
	set->words[word] |= bit;
	return true;
}

/* ASCII without NUL, no empty label but the root's behind one trailing dot. */
static bool name_is_sane(struct span name)
{
	uint8_t last = '.';

	if (name.len == 0 || name.len > HELLO_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t byte = name.data[i];

		if (byte == 0 || byte >= 0x80 || (byte == '.' && last == '.'))
			return false;
		last = byte;
	}
	return true;
}

/* RFC 6066 3. It gives no other name type a length, so a list that holds one cannot be read on; and
 * no two names of one type: what follows the first host_name is wrong, whatever it is. */
static bool read_server_name(struct span body, struct hello *hello)
{
	enum { HOST_NAME = 0 };
	struct span list;
	size_t      type;

	if (!take_only_vector(body, 2, &list) || !take_number(&list, 1, &type) || type != HOST_NAME)
		return false;
	return take_vector(&list, 2, &hello->name) && list.len == 0 && name_is_sane(hello->name);
}

static bool read_alpn(struct span body, struct hello *hello)
{
	struct span list, protocol;

	if (!take_only_vector(body, 2, &list))
		return false;
	hello->alpn = list;
	while (list.len > 0)
		if (!take_vector(&list, 1, &protocol) || protocol.len == 0)
			return false;
	return true;
}

static bool read_supported_versions(struct span body, struct hello *hello)
{
	struct span list;
	size_t      version;

	if (!take_only_ids(body, 1, &list))
		return false;
	hello->versions = 0;
	while (take_number(&list, 2, &version))
		if (version >= 0x0301 && version <= 0x0304) /* not GREASE, a draft or SSL 3.0 */
			hello->versions |= BIT(version - 0x0301);
	return true;
}

static bool read_extension(size_t type, struct span body, struct hello *hello)
{
	switch (type) {
	case EXTENSION_SERVER_NAME:
		return read_server_name(body, hello);
	case EXTENSION_SUPPORTED_GROUPS:
		return take_only_ids(body, 2, &hello->groups);
	case EXTENSION_SIGNATURE_ALGORITHMS:
		return take_only_ids(body, 2, &hello->signature_algorithms);
	case EXTENSION_ALPN:
		return read_alpn(body, hello);
	case EXTENSION_SUPPORTED_VERSIONS:
		return read_supported_versions(body, hello);
	case EXTENSION_ECH:
		hello->ech = true;
		return true;
	}
	return true;
}

static bool read_extensions(struct span list, struct hello *hello)
{
	struct type_set seen;
	struct span     body;
	size_t          type;

	memset(seen.touched, 0, sizeof(seen.touched));
	while (list.len > 0) {
		if (!take_number(&list, 2, &type) || !take_vector(&list, 2, &body))
			return false;
		if (!type_set_add(&seen, type) || !read_extension(type, body, hello))
			return false;
	}
	return true;
}

/* ---- The hello
 * ----------------------------------------------------------------------------------- */

/* Everything up to legacy_version, which says no more than 1.2: RFC 8446 4.2.1. */
static unsigned versions_up_to(size_t legacy_version)
{
	unsigned versions = 0;

	if (legacy_version >= 0x0301)
		versions |= HELLO_TLS10;
	if (legacy_version >= 0x0302)
		versions |= HELLO_TLS11;
	if (legacy_version >= 0x0303)
		versions |= HELLO_TLS12;
	return versions;
}

static bool read_body(struct span body, struct hello *hello)
{
	struct span random, session_id, compressions, extensions;
	size_t      version;

	*hello = (struct hello){0};
	if (!take_number(&body, 2, &version) || version >> 8 != 3)
		return false;
	hello->versions = versions_up_to(version);
	if (!take(&body, RANDOM_SIZE, &random) || !take_vector(&body, 1, &session_id))
		return false;
	if (session_id.len > SESSION_ID_MAX || !take_vector(&body, 2, &hello->ciphers))
		return false;
	if (hello->ciphers.len == 0 || hello->ciphers.len % 2 ||
	    !take_vector(&body, 1, &compressions))
		return false;
	if (compressions.len == 0 || !memchr(compressions.data, 0, compressions.len))
		return false;
	if (body.len == 0)
		return true;
	return take_vector(&body, 2, &extensions) && body.len == 0 &&
	       read_extensions(extensions, hello);
}

/* What the first bytes mean; HELLO_OK: they are a TLS handshake's. */
static enum hello_result classify(struct span bytes)
{
	if (bytes.len == 0)
		return HELLO_MORE;
	switch (bytes.data[0]) {
	case CONTENT_HANDSHAKE:
		return HELLO_OK;
	case CONTENT_CHANGE_CIPHER_SPEC:
	case CONTENT_ALERT:
	case CONTENT_APPLICATION_DATA:
		return HELLO_BAD;
	}
	/* SSLv2: two bytes of length with the high bit set, then client-hello (RFC 5246 E.2). */
	if (bytes.data[0] < 0x80)
		return HELLO_PLAINTEXT;
	if (bytes.len < 3)
		return HELLO_MORE;
	return bytes.data[2] == CLIENT_HELLO ? HELLO_BAD : HELLO_PLAINTEXT;
}

enum hello_result hello_parse(struct span bytes, size_t limit, uint8_t *scratch,
                              struct hello *hello)
{
	enum hello_result result = classify(bytes);
	struct flight     flight;
	struct span       message;

	if (result != HELLO_OK)
		return result;
	result = flight_walk(bytes, limit, &flight);
	if (result != HELLO_OK)
		return result;
	message = flight_message(&flight, bytes, scratch);
	if (!read_body(span_of(message.data + MESSAGE_HEADER, message.len - MESSAGE_HEADER), hello))
		return HELLO_BAD;
	hello->message = message;
	hello->wire_len = flight.end;
	return HELLO_OK;
}

static bool is_ip_literal(struct span name)
{
	struct addr addr;

	if (name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']')
		name = span_of(name.data + 1, name.len - 2);
	return addr_parse_ip(name, &addr);
}

size_t hello_fold_name(struct span name, char out[HELLO_NAME_MAX])
{
	if (name.len > 0 && name.data[name.len - 1] == '.')
		name.len--;
	if (name.len > HELLO_NAME_MAX || is_ip_literal(name))
		return 0;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t byte = name.data[i];

		out[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
	}
	return name.len;
}

bool hello_next_alpn(struct span *list, struct span *protocol)
{
	return take_vector(list, 1, protocol);
}
