#include "tls/tls_library.h"

#include <errno.h>
#include <wolfssl/ssl.h>
#include <wolfssl/version.h>
#include <wolfssl/wolfcrypt/cpuid.h>

const char *tls_library_name(void)
{
	return "wolfSSL " LIBWOLFSSL_VERSION_STRING;
}

bool tls_library_is_present(void)
{
	return true;
}

/* Asks the CPU as the library does when it sets a key up. */
bool tls_library_has_assembly(void)
{
#if defined(USE_INTEL_SPEEDUP) && defined(WOLFSSL_X86_64_BUILD) && defined(WOLFSSL_AESNI)
	return IS_INTEL_AESNI(cpuid_get_flags()) != 0;
#elif defined(WOLFSSL_ARMASM) && !defined(WOLFSSL_ARMASM_NO_HW_CRYPTO)
	return true;
#else
	return false;
#endif
}

/* It fails for want of memory or of a mutex only. */
int tls_library_start(void)
{
	return wolfSSL_Init() == WOLFSSL_SUCCESS ? 0 : -ENOMEM;
}

void tls_library_stop(void)
{
	wolfSSL_Cleanup();
}
