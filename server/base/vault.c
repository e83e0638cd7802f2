/* Secrets at rest, by OpenSSL's EVP. */
#include "server/base/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "server/base/auth.h"
#include "server/base/file.h"
#include "server/base/memory.h"

#define KEY_PREFIX "nvrd-vault-key-1 "

enum {
	FORMAT = 1,
	NONCE_BYTES = 12,
	TAG_BYTES = 16,
	SECRET_AT = 1 + NONCE_BYTES,
	LEAST_BYTES = SECRET_AT + TAG_BYTES,
	MAC_BYTES = 32,
	KEY_FILE_BYTES = 256
};

struct vault {
	unsigned char cipher_key[VAULT_KEY_BYTES], nonce_key[MAC_BYTES];
};

/* --- the key --- */

/* A key for one use, made of the file's. */
static void derive(unsigned char ret[MAC_BYTES], const unsigned char *key, const char *use)
{
	if (!HMAC(EVP_sha256(), key, VAULT_KEY_BYTES, (const unsigned char *)use, strlen(use), ret,
		    NULL))
		abort();
}

struct vault *vault_new(const unsigned char key[VAULT_KEY_BYTES])
{
	struct vault *vault = xcalloc(1, sizeof(*vault));

	derive(vault->cipher_key, key, "nvrd vault encryption");
	derive(vault->nonce_key, key, "nvrd vault nonce");
	return vault;
}

void vault_free(struct vault *vault)
{
	if (!vault)
		return;
	explicit_bzero(vault, sizeof(*vault));
	free(vault);
}

bool vault_is_key(const char *text)
{
	return strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX)) == 0;
}

/* NULL: it is no key. */
static struct vault *parse_key(const char *text, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char key[VAULT_KEY_BYTES] = { 0 };
	struct vault *vault;

	if (n != strlen(KEY_PREFIX) + 2 * sizeof(key) + 1 || !vault_is_key(text) ||
		text[n - 1] != '\n')
		return NULL;
	text += strlen(KEY_PREFIX);
	if (strspn(text, digits) != 2 * sizeof(key))
		return NULL;
	for (size_t i = 0; i < 2 * sizeof(key); i++)
		key[i / 2] = (unsigned char)(key[i / 2] << 4 | (strchr(digits, text[i]) - digits));
	vault = vault_new(key);
	explicit_bzero(key, sizeof(key));
	return vault;
}

static int make_key(const char *file)
{
	char hex[2 * VAULT_KEY_BYTES + 1];
	char *text;
	int error;

	auth_random_hex(hex, VAULT_KEY_BYTES);
	text = xasprintf(KEY_PREFIX "%s\n", hex);
	error = file_write(file, text, strlen(text), NULL, false);
	explicit_bzero(hex, sizeof(hex));
	memory_free_secret(text);
	return error == -EEXIST ? 0 : error;
}

struct vault *vault_open(const char *file, bool make, char **why)
{
	struct vault *vault = NULL;
	struct stat st;
	size_t n = 0;
	char *text = file_read(file, KEY_FILE_BYTES, O_NOFOLLOW, &st, &n, why);

	if (!text && make && errno == ENOENT) {
		int error = make_key(file);

		free(*why);
		*why = NULL;
		errno = -error;
		if (error)
			*why = xasprintf("cannot be made: %m");
		else
			text = file_read(file, KEY_FILE_BYTES, O_NOFOLLOW, &st, &n, why);
	}
	if (!text)
		return NULL;
	if (st.st_mode & 077)
		*why = xstrdup("can be read by others: chmod 600 it");
	else if (!(vault = parse_key(text, n)))
		*why = xstrdup("is no key of a vault");
	memory_free_secret(text);
	return vault;
}

/* --- values --- */

/* The place and the secret, told apart by the NUL between them. */
static void make_nonce(unsigned char ret[NONCE_BYTES], const struct vault *vault, const char *place,
	const char *secret, size_t n)
{
	size_t place_bytes = strlen(place) + 1;
	unsigned char mac[MAC_BYTES];
	unsigned char *both = xmalloc(place_bytes + n);

	memcpy(both, place, place_bytes);
	memcpy(both + place_bytes, secret, n);
	if (!HMAC(EVP_sha256(), vault->nonce_key, sizeof(vault->nonce_key), both, place_bytes + n,
		    mac, NULL))
		abort();
	memcpy(ret, mac, NONCE_BYTES);
	explicit_bzero(both, place_bytes + n);
	free(both);
}

/* Fails for want of memory only. */
static EVP_CIPHER_CTX *start(
	const struct vault *vault, const unsigned char *nonce, const char *place, bool encrypts)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int n;

	if (!context ||
		EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, vault->cipher_key, nonce,
			encrypts) != 1 ||
		EVP_CipherUpdate(
			context, NULL, &n, (const unsigned char *)place, (int)strlen(place)) != 1)
		abort();
	return context;
}

char *vault_seal(const struct vault *vault, const char *place, const char *secret, size_t n)
{
	size_t bytes = LEAST_BYTES + n;
	unsigned char *sealed = xmalloc(bytes);
	char *text = xmalloc((bytes + 2) / 3 * 4 + 1);
	EVP_CIPHER_CTX *context;
	int used;

	sealed[0] = FORMAT;
	make_nonce(sealed + 1, vault, place, secret, n);
	context = start(vault, sealed + 1, place, true);
	if (EVP_EncryptUpdate(context, sealed + SECRET_AT, &used, (const unsigned char *)secret,
		    (int)n) != 1 ||
		EVP_EncryptFinal_ex(context, sealed + SECRET_AT + n, &used) != 1 ||
		EVP_CIPHER_CTX_ctrl(
			context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, sealed + SECRET_AT + n) != 1)
		abort();
	EVP_CIPHER_CTX_free(context);
	(void)EVP_EncodeBlock((unsigned char *)text, sealed, (int)bytes);
	free(sealed);
	return text;
}

/* The bytes that a text stands for, which the caller frees; NULL: it is no sealed value. */
static unsigned char *decode(const char *text, size_t *ret_bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(text), used = strspn(text, digits), padding = n - used;
	unsigned char *bytes;

	if (n == 0 || n % 4 != 0 || n > INT_MAX || padding > 2 ||
		strspn(text + used, "=") != padding)
		return NULL;
	bytes = xmalloc(n / 4 * 3);
	if (EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n) < 0)
		abort(); /* it is base64 */
	*ret_bytes = n / 4 * 3 - padding;
	if (*ret_bytes >= LEAST_BYTES && bytes[0] == FORMAT)
		return bytes;
	free(bytes);
	return NULL;
}

bool vault_is_sealed(const char *text)
{
	size_t n;
	unsigned char *bytes = decode(text, &n);
	bool is_sealed = bytes;

	free(bytes);
	return is_sealed;
}

char *vault_unseal(const struct vault *vault, const char *place, const char *text,
	size_t *ret_bytes, const char **why)
{
	size_t bytes = 0, n;
	unsigned char *sealed = decode(text, &bytes);
	EVP_CIPHER_CTX *context;
	char *secret;
	int used;

	if (!sealed) {
		*why = "is not a whole value of the vault";
		return NULL;
	}
	n = bytes - LEAST_BYTES;
	secret = xmalloc(n + 1);
	context = start(vault, sealed + 1, place, false);
	if (EVP_DecryptUpdate(
		    context, (unsigned char *)secret, &used, sealed + SECRET_AT, (int)n) != 1 ||
		EVP_CIPHER_CTX_ctrl(
			context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, sealed + SECRET_AT + n) != 1)
		abort();
	secret[n] = '\0';
	if (EVP_DecryptFinal_ex(context, (unsigned char *)secret + n, &used) != 1) {
		explicit_bzero(secret, n);
		free(secret);
		secret = NULL;
		*why = "was not sealed with this key, or for another option";
	} else {
		*ret_bytes = n;
	}
	EVP_CIPHER_CTX_free(context);
	free(sealed);
	return secret;
}
