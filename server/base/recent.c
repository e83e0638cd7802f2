/* A bounded set of hashes that expire. */
#include "server/base/recent.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "server/base/memory.h"

struct recent_entry {
	bool used;
	unsigned char key[RECENT_KEY_BYTES];
	int64_t added_us;
};

struct recent {
	int64_t life_us;
	size_t limit;
	struct recent_entry entries[];
};

struct recent *recent_new(size_t limit, int64_t life_us)
{
	struct recent *recent = xcalloc(1, sizeof(*recent) + limit * sizeof(struct recent_entry));

	recent->life_us = life_us;
	recent->limit = limit;
	return recent;
}

void recent_clear(struct recent *recent)
{
	OPENSSL_cleanse(recent->entries, recent->limit * sizeof(struct recent_entry));
}

void recent_free(struct recent *recent)
{
	if (recent)
		recent_clear(recent);
	free(recent);
}

/* Made on first use, so that every process has its own. */
static const unsigned char *recent_secret(void)
{
	static unsigned char secret[RECENT_KEY_BYTES];
	static bool is_made;

	if (!is_made && RAND_bytes(secret, sizeof(secret)) != 1)
		abort();
	is_made = true;
	return secret;
}

/* Each text under the hash of those before it, the first under what ret holds: nothing is copied, and no text can look like two. */
static void recent_chain(unsigned char ret[RECENT_KEY_BYTES], const char *const parts[])
{
	unsigned char key[RECENT_KEY_BYTES];
	unsigned bytes = 0;

	for (; *parts; parts++) {
		memcpy(key, ret, sizeof(key));
		if (!HMAC(EVP_sha256(), key, sizeof(key), (const unsigned char *)*parts,
			    strlen(*parts), ret, &bytes))
			abort();
	}
	OPENSSL_cleanse(key, sizeof(key));
}

void recent_key(unsigned char ret[RECENT_KEY_BYTES], const char *const parts[])
{
	memcpy(ret, recent_secret(), RECENT_KEY_BYTES);
	recent_chain(ret, parts);
}

void recent_key_by(
	unsigned char ret[RECENT_KEY_BYTES], const char *secret, const char *const parts[])
{
	unsigned bytes = 0;

	if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), NULL, 0, ret, &bytes))
		abort();
	recent_chain(ret, parts);
}

static const struct recent_entry *recent_find(
	const struct recent *recent, const unsigned char key[RECENT_KEY_BYTES])
{
	for (size_t i = 0; i < recent->limit; i++) {
		const struct recent_entry *entry = &recent->entries[i];

		if (entry->used && CRYPTO_memcmp(entry->key, key, RECENT_KEY_BYTES) == 0)
			return entry;
	}
	return NULL;
}

bool recent_has(
	const struct recent *recent, const unsigned char key[RECENT_KEY_BYTES], int64_t now_us)
{
	const struct recent_entry *entry = recent_find(recent, key);

	return entry && now_us - entry->added_us < recent->life_us;
}

void recent_add(struct recent *recent, const unsigned char key[RECENT_KEY_BYTES], int64_t now_us)
{
	const struct recent_entry *found = recent_find(recent, key);
	struct recent_entry *entry = &recent->entries[found ? found - recent->entries : 0];

	for (size_t i = 1; !found && i < recent->limit && entry->used; i++) {
		struct recent_entry *other = &recent->entries[i];

		if (!other->used || other->added_us < entry->added_us)
			entry = other;
	}
	entry->used = true;
	entry->added_us = now_us;
	memcpy(entry->key, key, RECENT_KEY_BYTES);
}
