/* Passwords hashed by scrypt, by OpenSSL's EVP. */
#include "server/base/scrypt.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "server/base/memory.h"

#define PREFIX "$scrypt$"

enum {
	LN_LEAST = 10,
	LN_MOST = 17,
	FACTOR_MOST = 64, /* r and p */
	SALT_LEAST = 8,
	SALT_MOST = 64,
	SALT_BYTES = 16, /* of ours */
	HASH_LEAST = 16,
	HASH_MOST = 64,
	HASH_BYTES = 32, /* of ours */
	LN = 15,
	R = 8,
	P = 1,
};
#define MEMORY_MOST (UINT64_C(64) << 20)
#define WORK_MOST (UINT64_C(8) * R * P << LN)

struct parameters {
	unsigned ln, r, p;
};

struct scrypt {
	struct parameters parameters;
	unsigned char salt[SALT_MOST], hash[HASH_MOST];
	size_t salt_bytes, hash_bytes;
};

/* "name=12": moves *at behind it. */
static bool take_number(const char **at, const char *name, unsigned *ret)
{
	size_t n = strlen(name), digits;
	unsigned value = 0;

	if (strncmp(*at, name, n) != 0)
		return false;
	*at += n;
	digits = strspn(*at, "0123456789");
	if (digits == 0 || digits > 4 || **at == '0')
		return false;
	for (; digits > 0; digits--)
		value = value * 10 + (unsigned)(*(*at)++ - '0');
	*ret = value;
	return true;
}

/* Base64 without padding up to `end` or the text's end: moves *at there. Returns the bytes, or 0. */
static size_t take_bytes(const char **at, char end, unsigned char *ret, size_t limit)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strspn(*at, digits), bytes = 0;
	uint32_t bits = 0;
	unsigned held = 0;

	if ((*at)[n] != end || n % 4 == 1 || n * 3 / 4 > limit)
		return 0;
	for (; n > 0; n--) {
		bits = bits << 6 | (uint32_t)(strchr(digits, *(*at)++) - digits);
		held += 6;
		if (held >= 8) {
			held -= 8;
			ret[bytes++] = (unsigned char)(bits >> held);
		}
	}
	return (bits & ((1U << held) - 1)) == 0 ? bytes : 0;
}

static const char *check_parameters(const struct parameters *p)
{
	if (p->ln < LN_LEAST || p->ln > LN_MOST)
		return "has a cost of scrypt that is not from ln=10 to ln=17";
	if (p->r > FACTOR_MOST || p->p > FACTOR_MOST ||
		(UINT64_C(128) * p->r << p->ln) > MEMORY_MOST)
		return "needs more than 64 MiB for each check: a smaller ln or r does";
	if ((UINT64_C(1) * p->r * p->p << p->ln) > WORK_MOST)
		return "takes too long for each check: a smaller ln or p does";
	return NULL;
}

/* Returns NULL, or what is wrong. */
static const char *parse(struct scrypt *ret, const char *text)
{
	const char *at = text + strlen(PREFIX);

	if (!scrypt_is_hash(text) || !take_number(&at, "ln=", &ret->parameters.ln) ||
		!take_number(&at, ",r=", &ret->parameters.r) ||
		!take_number(&at, ",p=", &ret->parameters.p) || *at++ != '$')
		return "is not a whole hash of scrypt as nvrd --hash-password prints it";
	ret->salt_bytes = take_bytes(&at, '$', ret->salt, SALT_MOST);
	if (ret->salt_bytes < SALT_LEAST)
		return "has no salt of 8 to 64 bytes in base64";
	at++;
	ret->hash_bytes = take_bytes(&at, '\0', ret->hash, HASH_MOST);
	if (ret->hash_bytes < HASH_LEAST)
		return "has no hash of 16 to 64 bytes in base64";
	return check_parameters(&ret->parameters);
}

bool scrypt_is_hash(const char *text)
{
	return strncmp(text, PREFIX, strlen(PREFIX)) == 0;
}

const char *scrypt_check_text(const char *text)
{
	struct scrypt scrypt;

	return parse(&scrypt, text);
}

static bool derive(const struct parameters *p, const char *password, size_t n,
	const unsigned char *salt, size_t salt_bytes, unsigned char *ret, size_t bytes)
{
	return EVP_PBE_scrypt(password, n, salt, salt_bytes, UINT64_C(1) << p->ln, p->r, p->p,
		       2 * MEMORY_MOST, ret, bytes) == 1;
}

bool scrypt_matches(const char *text, const char *password, size_t n)
{
	struct scrypt scrypt;
	unsigned char hash[HASH_MOST];

	if (parse(&scrypt, text))
		return false;
	bool equal = derive(&scrypt.parameters, password, n, scrypt.salt, scrypt.salt_bytes, hash,
			     scrypt.hash_bytes) &&
		     CRYPTO_memcmp(hash, scrypt.hash, scrypt.hash_bytes) == 0;
	OPENSSL_cleanse(hash, sizeof(hash));
	return equal;
}

/* Base64 without padding. */
static void write_bytes(char *ret, const unsigned char *p, size_t n)
{
	(void)EVP_EncodeBlock((unsigned char *)ret, p, (int)n);
	ret[strcspn(ret, "=")] = '\0';
}

char *scrypt_hash(const char *password)
{
	static const struct parameters ours = { LN, R, P };
	unsigned char salt[SALT_BYTES], hash[HASH_BYTES];
	char salt_text[(SALT_BYTES + 2) / 3 * 4 + 1], hash_text[(HASH_BYTES + 2) / 3 * 4 + 1];

	if (RAND_bytes(salt, sizeof(salt)) != 1 ||
		!derive(&ours, password, strlen(password), salt, sizeof(salt), hash, sizeof(hash)))
		abort(); /* no random numbers, or no 32 MiB */
	write_bytes(salt_text, salt, sizeof(salt));
	write_bytes(hash_text, hash, sizeof(hash));
	return xasprintf(PREFIX "ln=%d,r=%d,p=%d$%s$%s", LN, R, P, salt_text, hash_text);
}
