#include "tls/tls_choice.h"

#include "conf/conf.h"

enum { BY_ECDSA, BY_RSA };

/* RFC 8446 4.2.3 and 4.2.7. In TLS 1.3 an ECDSA scheme fixes the curve; before it does not, and the
 * client's groups must hold the certificate's (RFC 8422 5.1). RSA signs with PSS alone in 1.3. */
static const struct {
	uint16_t schemes13[4], schemes12[8]; /* 0 ends a list */
	uint16_t group;                      /* 0 = none */
	uint8_t  by, rank;
} keys[] = {
	[TLS_KEY_ED25519] = {{0x0807}, {0x0807}, 0, BY_ECDSA, 1},
	[TLS_KEY_P256] = {{0x0403}, {0x0403, 0x0503, 0x0603}, 23, BY_ECDSA, 0},
	[TLS_KEY_P384] = {{0x0503}, {0x0403, 0x0503, 0x0603}, 24, BY_ECDSA, 2},
	[TLS_KEY_P521] = {{0x0603}, {0x0403, 0x0503, 0x0603}, 25, BY_ECDSA, 3},
	[TLS_KEY_RSA] = {{0x0804, 0x0805, 0x0806},
                         {0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806},
                         0,
                         BY_RSA,
                         4},
	[TLS_KEY_RSA_PSS] = {{0x0809, 0x080a, 0x080b}, {0x0809, 0x080a, 0x080b}, 0, BY_RSA, 5},
};

static bool has_id(struct span list, uint16_t id)
{
	for (size_t i = 0; i + 1 < list.len; i += 2)
		if ((list.data[i] << 8 | list.data[i + 1]) == id)
			return true;
	return false;
}

static bool has_any(struct span list, const uint16_t *ids, size_t count)
{
	for (size_t i = 0; i < count && ids[i] != 0; i++)
		if (has_id(list, ids[i]))
			return true;
	return false;
}

/* The names are OpenSSL's; what TLS 1.2 has of RSA key exchange signs nothing but needs the same
 * certificate. */
void tls_preference_init(struct tls_preference *preference, unsigned protocols,
                         const struct ciphers *ciphers, const struct curves *curves)
{
	*preference = (struct tls_preference){.protocols = protocols};
	for (size_t i = 0; i < ciphers->count; i++) {
		int by = strncmp(ciphers->suites[i]->name, "ECDHE-ECDSA-", 12) == 0 ? BY_ECDSA
		                                                                    : BY_RSA;

		preference->ciphers[by][preference->cipher_counts[by]++] = ciphers->suites[i]->id;
	}
	for (size_t i = 0; i < curves->count; i++)
		preference->groups[preference->group_count++] = curves->list[i]->id;
}

/* One that lists none leaves the choice to the server (RFC 8422 4). */
bool tls_preference_shares_group(const struct tls_preference *preference, const struct hello *hello)
{
	return hello->groups.len == 0 ||
	       has_any(hello->groups, preference->groups, preference->group_count);
}

unsigned tls_preference_rank(const struct tls_preference *preference, const struct hello *hello,
                             enum tls_key key)
{
	uint8_t by = keys[key].by;

	if ((preference->protocols & CONF_TLS13) && (hello->versions & HELLO_TLS13))
		return has_any(hello->signature_algorithms, keys[key].schemes13,
		               COUNT(keys[key].schemes13))
		               ? keys[key].rank
		               : TLS_RANK_NONE;
	if (!has_any(hello->ciphers, preference->ciphers[by], preference->cipher_counts[by]))
		return TLS_RANK_NONE;
	if (hello->signature_algorithms.len > 0 &&
	    !has_any(hello->signature_algorithms, keys[key].schemes12, COUNT(keys[key].schemes12)))
		return TLS_RANK_NONE;
	if (keys[key].group != 0 && hello->groups.len > 0 &&
	    !has_id(hello->groups, keys[key].group))
		return TLS_RANK_NONE;
	return keys[key].rank;
}
