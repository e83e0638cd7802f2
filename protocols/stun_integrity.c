/* MESSAGE-INTEGRITY of STUN: HMAC-SHA1 (RFC 8489 section 14.5). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "protocols/stun.h"

enum {
	ATTRIBUTE_HEADER_BYTES = 4,
	MESSAGE_INTEGRITY = 0x0008,
	LENGTH_BYTES = 4, /* of the header: type and length */
};

/* Of a message that is as long as if it ended with the attribute, whatever it says. */
static void integrity_of(
	const uint8_t *p, size_t n, const char *password, uint8_t ret[STUN_INTEGRITY_BYTES])
{
	uint8_t head[LENGTH_BYTES] = { p[0], p[1] };
	unsigned char digest[EVP_MAX_MD_SIZE];
	size_t bytes = 0;
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
	char name[] = "SHA1";
	const OSSL_PARAM parameters[] = { OSSL_PARAM_construct_utf8_string("digest", name, 0),
		OSSL_PARAM_construct_end() };

	stun_set_length(head, n + ATTRIBUTE_HEADER_BYTES + STUN_INTEGRITY_BYTES);
	/* it fails for want of memory only */
	if (!EVP_MAC_init(context, (const unsigned char *)password, strlen(password), parameters) ||
		!EVP_MAC_update(context, head, sizeof(head)) ||
		!EVP_MAC_update(context, p + sizeof(head), n - sizeof(head)) ||
		!EVP_MAC_final(context, digest, &bytes, sizeof(digest)))
		abort();
	assert(bytes == STUN_INTEGRITY_BYTES);
	memcpy(ret, digest, STUN_INTEGRITY_BYTES);
	EVP_MAC_CTX_free(context);
	EVP_MAC_free(mac);
}

bool stun_check_integrity(const struct stun_message *m, const uint8_t *p, const char *password)
{
	uint8_t expected[STUN_INTEGRITY_BYTES];

	if (!m->integrity)
		return false;
	integrity_of(p, m->integrity_at, password, expected);
	return CRYPTO_memcmp(expected, m->integrity, sizeof(expected)) == 0;
}

size_t stun_seal(uint8_t *p, size_t n, const char *password)
{
	static const uint8_t head[ATTRIBUTE_HEADER_BYTES] = { 0, MESSAGE_INTEGRITY, 0,
		STUN_INTEGRITY_BYTES };

	assert(n + sizeof(head) + STUN_INTEGRITY_BYTES + 8 <= STUN_ANSWER_BYTES);
	integrity_of(p, n, password, p + n + sizeof(head));
	memcpy(p + n, head, sizeof(head));
	return stun_add_fingerprint(p, n + sizeof(head) + STUN_INTEGRITY_BYTES);
}
