#include "tls/tls_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Grows as it reads: the size that fstat tells is 0 for a pipe, and files are replaced while they
 * are read. */
static int read_all(int fd, struct tls_file *file, size_t size)
{
	for (;;) {
		uint8_t *grown;
		ssize_t  got;

		if (file->len + 1 >= size) {
			if (size > TLS_FILE_MAX)
				return -EFBIG;
			/* not realloc, which would leave a copy of a key behind */
			grown = malloc(size * 2);
			if (!grown)
				return -ENOMEM;
			if (file->len > 0)
				memcpy(grown, file->data, file->len);
			explicit_bzero(file->data, file->len);
			free(file->data);
			file->data = grown;
			size *= 2;
		}
		got = read(fd, file->data + file->len, size - file->len - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		file->len += (size_t)got;
	}
	file->data[file->len] = 0;
	return file->len > 0 ? 0 : -ENODATA;
}

/* O_NONBLOCK: a FIFO that nobody writes to must not stop the loader for ever. */
int tls_file_read(const char *path, struct tls_file *file)
{
	int         fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat about;
	size_t      size = 4096;
	int         result;

	*file = (struct tls_file){0};
	if (fd < 0)
		return -errno;
	if (fstat(fd, &about) == 0 && about.st_size > 0 && about.st_size < TLS_FILE_MAX)
		size = (size_t)about.st_size + 2; /* the NUL, and room to see the end */
	file->data = malloc(size);
	result = file->data ? read_all(fd, file, size) : -ENOMEM;
	close(fd);
	if (result < 0)
		tls_file_wipe(file);
	return result;
}

void tls_file_wipe(struct tls_file *file)
{
	if (file->data)
		explicit_bzero(file->data, file->len);
	free(file->data);
	*file = (struct tls_file){0};
}

/* SHA-256 in software cannot fail: what the library returns is for hardware that others have. */
void tls_digest_start(struct tls_digest *digest)
{
	CHECK(wc_InitSha256(&digest->state) == 0);
}

void tls_digest_add_number(struct tls_digest *digest, uint64_t number)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(number >> (56 - 8 * i));
	CHECK(wc_Sha256Update(&digest->state, bytes, sizeof(bytes)) == 0);
}

void tls_digest_add(struct tls_digest *digest, struct span field)
{
	tls_digest_add_number(digest, field.len);
	if (field.len > 0)
		CHECK(wc_Sha256Update(&digest->state, field.data, (word32)field.len) == 0);
}

void tls_digest_end(struct tls_digest *digest, uint8_t out[TLS_DIGEST_SIZE])
{
	CHECK(wc_Sha256Final(&digest->state, out) == 0);
	wc_Sha256Free(&digest->state);
}
