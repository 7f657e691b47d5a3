#include "base/log.h"
#include "base/clock.h"
#include "base/futex.h"

#include <stdarg.h>
#include <stdio.h>

_Atomic int log_threshold = LOG_LEVEL_NOTICE;

/* The text may hold what a peer sent: a newline would forge a line, an escape sequence would drive
 * the reader's terminal. */
static bool needs_escape(unsigned char byte)
{
	return byte < 0x20 || byte == 0x7f;
}

/* Bytes of *text* once escaped, at most LOG_LINE_MAX; *len* shrinks to the part of it that fits. */
static uint32_t escaped_len(const char *text, size_t *len)
{
	uint32_t escaped = 0;

	for (size_t i = 0; i < *len; i++) {
		uint32_t step = needs_escape((unsigned char)text[i]) ? 4 : 1;

		if (escaped + step > LOG_LINE_MAX) {
			*len = i;
			break;
		}
		escaped += step;
	}
	return escaped;
}

static void escape(char *to, const char *text, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (!needs_escape(byte)) {
			*to++ = (char)byte;
			continue;
		}
		*to++ = '\\';
		*to++ = 'x';
		*to++ = digits[byte >> 4];
		*to++ = digits[byte & 15];
	}
}

void log_line(struct log_port *port, enum log_level level, const char *format, ...)
{
	char               text[LOG_LINE_MAX + 1];
	struct log_record *record;
	uint32_t           escaped;
	size_t             len;
	va_list            args;
	int                printed;

	if ((int)level < atomic_load_explicit(&log_threshold, memory_order_relaxed))
		return;
	va_start(args, format);
	printed = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (printed < 0)
		return;
	len = min_size((size_t)printed, LOG_LINE_MAX);
	escaped = escaped_len(text, &len);
	record = log_reserve(port, (uint32_t)sizeof(*record) + escaped);
	if (!record)
		return;
	record->kind = LOG_KIND_LINE;
	record->level = level;
	record->time_ms = clock_real_ms();
	escape((char *)(record + 1), text, len);
	log_commit(port);
}

struct log_record *log_reserve(struct log_port *port, uint32_t len)
{
	struct log_record *record = spsc_reserve(&port->ring, len);

	if (!record)
		atomic_fetch_add_explicit(&port->dropped, 1, memory_order_relaxed);
	return record;
}

void log_commit(struct log_port *port)
{
	spsc_commit(&port->ring);
	port->written = true;
}

/*
 * The other half is the writer's: it sets its word to 1, then looks once more whether a ring has
 * something, then sleeps. All four steps are sequentially consistent, so either it sees the record
 * or we see the 1.
 */
void log_flush(struct log_port *port)
{
	if (!port->written)
		return;
	port->written = false;
	spsc_announce(&port->ring);
	if (port->writer_asleep &&
	    atomic_load_explicit(port->writer_asleep, memory_order_seq_cst) != 0)
		log_wake(port->writer_asleep);
}

void log_wake(_Atomic uint32_t *writer_asleep)
{
	if (atomic_exchange_explicit(writer_asleep, 0, memory_order_seq_cst) != 0)
		futex_wake(writer_asleep);
}

bool log_limiter_pass(struct log_limiter *limiter, uint64_t now_ms, uint64_t interval_ms,
                      uint32_t *held_back)
{
	if (now_ms < limiter->next_ms) {
		if (limiter->held_back < UINT32_MAX)
			limiter->held_back++;
		return false;
	}
	*held_back = limiter->held_back;
	limiter->held_back = 0;
	limiter->next_ms = now_ms + interval_ms;
	return true;
}
