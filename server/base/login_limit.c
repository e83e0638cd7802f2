/* Wrong passwords cost time: four lists of who gave them, each bounded, the one with the latest news first. */
#include "server/base/login_limit.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "server/base/memory.h"

enum {
	ADDRESS_BYTES = 16,
	NETWORK_BYTES = 8, /* of an IPv6 address */
};

/* What failures are counted by. */
enum kind {
	BY_ADDRESS,
	BY_USER,
	BY_STRANGER, /* a user at an address where he has not logged in */
	BY_LOGIN, /* a user at an address where he has: a list that only who knows a password can fill */
	KINDS
};

static const struct {
	unsigned free; /* failures that cost nothing */
	int64_t first_us, most_us;
} rules[KINDS] = {
	[BY_ADDRESS] = {15,  4000000, 300000000},
	[BY_USER] = { 15, 1000000, 5000000  },
	[BY_STRANGER] = { 5,  4000000, 60000000 },
	[BY_LOGIN] = { 5,  4000000, 30000000 },
};

struct key {
	unsigned char address[ADDRESS_BYTES];
	char user[LOGIN_LIMIT_USER_BYTES];
};

struct entry {
	TAILQ_ENTRY(entry) entry;
	struct key key;
	unsigned failures;
	int64_t failed_us; /* the last one */
};
TAILQ_HEAD(entries, entry);

struct login_limit {
	struct {
		struct entries entries; /* the latest news first */
		size_t count;
	} lists[KINDS];
};

struct login_limit *login_limit_new(void)
{
	struct login_limit *limit = xcalloc(1, sizeof(*limit));

	for (size_t i = 0; i < KINDS; i++)
		TAILQ_INIT(&limit->lists[i].entries);
	return limit;
}

void login_limit_free(struct login_limit *limit)
{
	struct entry *entry;

	for (size_t i = 0; limit && i < KINDS; i++) {
		while ((entry = TAILQ_FIRST(&limit->lists[i].entries))) {
			TAILQ_REMOVE(&limit->lists[i].entries, entry, entry);
			free(entry);
		}
	}
	free(limit);
}

/* IPv4 as the IPv6 address that stands for it, whichever way it came; of others the network. */
static void write_address(unsigned char ret[ADDRESS_BYTES], const struct sockaddr *address)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (address->sa_family == AF_INET) {
		memcpy(ret, mapped, sizeof(mapped));
		memcpy(ret + sizeof(mapped),
			&((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	} else if (address->sa_family == AF_INET6) {
		const void *bytes =
			&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
		bool is_mapped = memcmp(bytes, mapped, sizeof(mapped)) == 0;

		memcpy(ret, bytes, is_mapped ? ADDRESS_BYTES : NETWORK_BYTES);
	}
}

static struct key key_of(enum kind kind, const struct sockaddr *address, const char *user)
{
	struct key key = { 0 };

	if (kind != BY_USER)
		write_address(key.address, address);
	if (kind != BY_ADDRESS)
		memcpy(key.user, user, strnlen(user, sizeof(key.user) - 1));
	return key;
}

static struct entry *find(const struct login_limit *limit, enum kind kind, const struct key *key)
{
	struct entry *entry;

	TAILQ_FOREACH (entry, &limit->lists[kind].entries, entry) {
		if (memcmp(&entry->key, key, sizeof(*key)) == 0)
			return entry;
	}
	return NULL;
}

/* The entry, moved to the front; made when there is none. */
static struct entry *touch(struct login_limit *limit, enum kind kind, const struct key *key)
{
	struct entries *entries = &limit->lists[kind].entries;
	struct entry *entry = find(limit, kind, key);
	bool is_new = !entry;

	if (is_new && limit->lists[kind].count == LOGIN_LIMIT_ENTRIES) {
		entry = TAILQ_LAST(entries, entries);
		TAILQ_REMOVE(entries, entry, entry);
	} else if (is_new) {
		entry = xmalloc(sizeof(*entry));
		limit->lists[kind].count++;
	} else {
		TAILQ_REMOVE(entries, entry, entry);
	}
	if (is_new)
		*entry = (struct entry){ .key = *key };
	TAILQ_INSERT_HEAD(entries, entry, entry);
	return entry;
}

static int64_t wait_of(const struct entry *entry, enum kind kind, int64_t now_us)
{
	int64_t wait_us = rules[kind].first_us;
	int64_t since_us;

	if (!entry || entry->failures < rules[kind].free)
		return 0;
	since_us = now_us - entry->failed_us;
	for (unsigned i = rules[kind].free; i < entry->failures && wait_us < rules[kind].most_us;
		i++)
		wait_us *= 2;
	if (wait_us > rules[kind].most_us)
		wait_us = rules[kind].most_us;
	return wait_us > since_us ? wait_us - since_us : 0;
}

static enum kind kind_of_login(
	const struct login_limit *limit, const struct sockaddr *address, const char *user)
{
	struct key key = key_of(BY_LOGIN, address, user);

	return find(limit, BY_LOGIN, &key) ? BY_LOGIN : BY_STRANGER;
}

static int64_t wait_by(const struct login_limit *limit, enum kind kind,
	const struct sockaddr *address, const char *user, int64_t now_us)
{
	struct key key = key_of(kind, address, user);

	return wait_of(find(limit, kind, &key), kind, now_us);
}

int64_t login_limit_wait_us(const struct login_limit *limit, const struct sockaddr *address,
	const char *user, int64_t now_us)
{
	int64_t longest_us = 0;

	if (kind_of_login(limit, address, user) == BY_LOGIN)
		return wait_by(limit, BY_LOGIN, address, user, now_us);
	for (enum kind kind = BY_ADDRESS; kind <= BY_STRANGER; kind++) {
		int64_t wait_us = wait_by(limit, kind, address, user, now_us);

		longest_us = wait_us > longest_us ? wait_us : longest_us;
	}
	return longest_us;
}

/* Returns how many there are now. */
static unsigned count(struct login_limit *limit, enum kind kind, const struct sockaddr *address,
	const char *user, int64_t now_us)
{
	struct key key = key_of(kind, address, user);
	struct entry *entry = touch(limit, kind, &key);

	if (now_us - entry->failed_us >= LOGIN_LIMIT_FORGET_US)
		entry->failures = 0;
	entry->failed_us = now_us;
	return ++entry->failures;
}

void login_limit_failed(
	struct login_limit *limit, const struct sockaddr *address, const char *user, int64_t now_us)
{
	enum kind kind = kind_of_login(limit, address, user);

	if (count(limit, kind, address, user, now_us) > rules[kind].free)
		return;
	(void)count(limit, BY_ADDRESS, address, user, now_us);
	(void)count(limit, BY_USER, address, user, now_us);
}

void login_limit_succeeded(
	struct login_limit *limit, const struct sockaddr *address, const char *user, int64_t now_us)
{
	struct key key = key_of(BY_LOGIN, address, user);
	struct entry *entry = touch(limit, BY_LOGIN, &key);

	entry->failures = 0;
	entry->failed_us = now_us;
}
