#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "storage/catalogue_resource.h"
#include "storage/volume.h"

/*
 * Locks on names of the tree (RFC 4918 sections 6 and 7): in memory, kept in the catalogue, so that they
 * outlive the process. A recording under a lock is held, so that retention leaves it. Paths are the tree's.
 */
struct locks;

enum {
	LOCKS_MOST = 256, /* on each of several volumes less than what retention spares */
	LOCKS_PER_USER = 128,
	LOCK_TOKEN_BYTES = 46 /* "urn:uuid:…" and NUL */
};

struct lock {
	TAILQ_ENTRY(lock) entry;
	char token[LOCK_TOKEN_BYTES];
	char *path, *user; /* user: "" without users */
	char *owner;       /* the client's element as XML, or "" */
	bool exclusive, deep;
	int64_t expires_us; /* monotonic */
	char *held_path;    /* of a recording, on whichever volume it is; NULL: of none */
	struct volume_hold *holds;
	size_t n_holds;
};

/*
 * Reads those that are kept, before whatever is asked of the catalogue later. Until they are there nobody can say that
 * something is not locked.
 */
struct locks *locks_new(struct catalogue *catalogue, struct volume *volume) MUST_CHECK;
void locks_free(struct locks *locks); /* they stay in the catalogue */
bool locks_are_known(const struct locks *locks);

/* The locks that a path is under, one after the other: its own and deep ones above. NULL: no (further) one, as of no locks. */
const struct lock *locks_next(struct locks *locks, const char *path, const struct lock *after);
/* The one with that token (n bytes), or NULL. */
const struct lock *locks_find(struct locks *locks, const char *token, size_t n);

/*
 * A lock for so long: 0 and *ret, which is to be kept (locks_keep()); -EBUSY: it would conflict with *ret;
 * -ENOSPC: there are too many. `user` may be NULL.
 */
struct lock_wish {
	const char *path, *user, *owner;
	bool exclusive, deep;
	int64_t timeout_us;
};
int locks_add(
	struct locks *locks, const struct lock_wish *wish, const struct lock **ret) MUST_CHECK;
/* It lasts so long from now on; to be kept too. */
void locks_refresh(struct locks *locks, const struct lock *lock, int64_t timeout_us);
/* Done when the catalogue has it. NULL: busy. */
struct catalogue_change *locks_keep(struct locks *locks, const struct lock *lock,
	catalogue_changed_fn *done, void *arg) MUST_CHECK;
void locks_remove(struct locks *locks, const struct lock *lock);
/* The resource is gone, and so is all below it. */
void locks_forget(struct locks *locks, const char *path);

/* What a client shows of what it knows. */
enum {
	LOCK_TOKENS = 64
};
struct lock_tokens {
	const char *user; /* "" without users: a token is good for who took the lock only */
	struct {
		const char *p;
		size_t n;
	} tokens[LOCK_TOKENS];
	size_t n;
};
/* The parts of the tree that a change touches. */
enum lock_reach {
	LOCK_SELF = 1 << 0,
	LOCK_PARENT = 1 << 1, /* the members of the collection that it is in */
	LOCK_BELOW = 1 << 2   /* everything in it */
};
/* A lock that forbids it, or NULL. */
const struct lock *locks_forbid(
	struct locks *locks, const char *path, unsigned reach, const struct lock_tokens *tokens);
