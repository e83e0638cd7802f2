#pragma once

#include "protocols/digest.h"
#include "protocols/uri.h"

struct evbuffer;
struct message;

/*
 * A client that is asked for its password, by HTTP or RTSP: it answers the strongest challenge of a 401, and says the same
 * without being asked in each request after it. All zero: nothing was asked for yet.
 */

enum {
	DIGEST_CNONCE_BYTES = 17
};

struct digest_client {
	struct digest_challenge challenge; /* DIGEST_NONE: nothing was asked for */
	char cnonce[DIGEST_CNONCE_BYTES];  /* ours, for as long as the server's nonce */
	unsigned nonce_count;
	bool challenged; /* the request under way is repeated with a challenge of its own */
};

/* Another request is to be sent, which may be challenged once. */
void digest_client_begin(struct digest_client *client);
/*
 * Takes the challenges of a 401. Returns whether the request is to be sent again with the credentials of uri: once with each
 * challenge that came for it, never twice, and never without a user in uri.
 */
bool digest_client_take(
	struct digest_client *client, const struct message *answer, const struct uri *uri);
/* Adds the Authorization field of a request, or nothing where nothing was asked for. `target` is byte for byte the request line's. */
void digest_client_authorize(struct digest_client *client, struct evbuffer *out,
	const struct uri *uri, const char *method, const char *target);
