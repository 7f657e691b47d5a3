#include "tls/tls_key_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tls_key_log {
	int fd;
};

enum { RANDOM_SIZE = 32, SECRET_MAX = 64 };

int tls_key_log_open(const char *path, struct tls_key_log **log)
{
	*log = malloc(sizeof(**log));
	if (!*log)
		return -ENOMEM;
	(*log)->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if ((*log)->fd >= 0)
		return 0;
	free(*log);
	*log = NULL;
	return -errno;
}

void tls_key_log_close(struct tls_key_log *log)
{
	if (!log)
		return;
	close(log->fd);
	free(log);
}

static char *put_hex(char *at, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*at++ = digits[bytes[i] >> 4];
		*at++ = digits[bytes[i] & 15];
	}
	return at;
}

/* One write: lines of several workers do not mix (write(2), O_APPEND). A full disk ends no
 * session. */
static void write_line(const struct tls_key_log *log, WOLFSSL *ssl, const char *label,
                       const uint8_t *secret, size_t len)
{
	char    line[64 + 2 * RANDOM_SIZE + 2 * SECRET_MAX + 3];
	uint8_t client_random[RANDOM_SIZE];
	size_t  label_len = strlen(label);
	char   *at = line;
	ssize_t written;

	if (label_len > 64 || len > SECRET_MAX ||
	    wolfSSL_get_client_random(ssl, client_random, sizeof(client_random)) != RANDOM_SIZE)
		return;
	memcpy(at, label, label_len);
	at += label_len;
	*at++ = ' ';
	at = put_hex(at, client_random, RANDOM_SIZE);
	*at++ = ' ';
	at = put_hex(at, secret, len);
	*at++ = '\n';
	written = write(log->fd, line, (size_t)(at - line));
	(void)written;
	explicit_bzero(line, sizeof(line));
}

static const char *label_of(int id)
{
	switch (id) {
	case CLIENT_EARLY_TRAFFIC_SECRET:
		return "CLIENT_EARLY_TRAFFIC_SECRET";
	case CLIENT_HANDSHAKE_TRAFFIC_SECRET:
		return "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
	case SERVER_HANDSHAKE_TRAFFIC_SECRET:
		return "SERVER_HANDSHAKE_TRAFFIC_SECRET";
	case CLIENT_TRAFFIC_SECRET:
		return "CLIENT_TRAFFIC_SECRET_0";
	case SERVER_TRAFFIC_SECRET:
		return "SERVER_TRAFFIC_SECRET_0";
	case EARLY_EXPORTER_SECRET:
		return "EARLY_EXPORTER_SECRET";
	case EXPORTER_SECRET:
		return "EXPORTER_SECRET";
	}
	return NULL;
}

static int on_secret13(WOLFSSL *ssl, int id, const unsigned char *secret, int len, void *context)
{
	const char *label = label_of(id);

	if (label && len > 0)
		write_line(context, ssl, label, secret, (size_t)len);
	return 0;
}

static int on_secret12(WOLFSSL *ssl, void *secret, int len, void *context)
{
	if (len > 0)
		write_line(context, ssl, "CLIENT_RANDOM", secret, (size_t)len);
	return 0;
}

/* The library throws the client's random away with the handshake unless it is told to keep it;
 * TLS 1.2's master secret comes before that. */
void tls_key_log_attach(struct tls_key_log *log, WOLFSSL *ssl)
{
	wolfSSL_KeepArrays(ssl);
	wolfSSL_set_tls13_secret_cb(ssl, on_secret13, log);
	wolfSSL_set_secret_cb(ssl, on_secret12, log);
}
