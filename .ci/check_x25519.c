/* Does wolfSSL's X25519 give the same public key whatever the vector registers held before? Run by meson at
 * configure time: the AVX2 code of 5.9.2 as released uses upper halves that it never sets. */
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/curve25519.h>

#include <string.h>

#define SIZE CURVE25519_KEYSIZE
#define KEYS 64 /* every second one shows it */

/* Our build calls this. */
int penstock_random_block(unsigned char *output, unsigned size);

int penstock_random_block(unsigned char *output, unsigned size)
{
	memset(output, 0, size);
	return 0;
}

#ifdef __x86_64__
#define VECTORS                                                                                    \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",   \
		"xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

static void clear_registers(void)
{
	if (__builtin_cpu_supports("avx2"))
		__asm__ volatile("vzeroall" ::: "memory", VECTORS);
}

static void fill_registers(void)
{
	if (__builtin_cpu_supports("avx2"))
		__asm__ volatile(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
		                 "vpcmpeqd %%ymm\\n, %%ymm\\n, %%ymm\\n\n\t"
		                 ".endr" ::
		                         : "memory", VECTORS);
}
#else
static void clear_registers(void)
{
}

static void fill_registers(void)
{
}
#endif

int main(void)
{
	unsigned char secret[SIZE], from_clear[SIZE], from_filled[SIZE];

	for (int key = 0; key < KEYS; key++) {
		for (int i = 0; i < SIZE; i++)
			secret[i] = (unsigned char)(key * 57 + i * 151 + key * i * 31);
		secret[0] &= 0xf8;
		secret[SIZE - 1] = (secret[SIZE - 1] & 0x7f) | 0x40;
		clear_registers();
		if (wc_curve25519_make_pub(SIZE, from_clear, SIZE, secret) != 0)
			return 1;
		fill_registers();
		if (wc_curve25519_make_pub(SIZE, from_filled, SIZE, secret) != 0)
			return 1;
		if (memcmp(from_clear, from_filled, SIZE) != 0)
			return 2;
	}
	return 0;
}
