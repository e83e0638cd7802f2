#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocols/message.h"
#include "server/base/network.h"

/*
 * Whom a reverse proxy speaks for: X-Forwarded-For, the list that each proxy appends its peer's address to.
 * Its end is what the nearest proxy saw itself; what stands before an address that is no proxy of ours may
 * be anybody's invention.
 */

/*
 * Goes from *at, who sent the field, to whom that proxy named, and on while those are trusted. Each element is
 * an address, also with a port ("192.0.2.1:80", "[2001:db8::1]:80"); one that is none ends the way. True: the
 * list's beginning was reached and *at is trusted still, so that a field before this one may tell more.
 */
bool forwarded_follow(struct network_address *at, struct message_text list,
	const struct network *trusted, size_t n_trusted);

bool forwarded_is_trusted(
	const struct network_address *address, const struct network *trusted, size_t n_trusted);
