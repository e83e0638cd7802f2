/* What a client answers who asks for its password (RFC 7616, RFC 7617). */
#include "protocols/digest_client.h"

#include <string.h>

#include <event2/buffer.h>

#include "protocols/message.h"

void digest_client_begin(struct digest_client *client)
{
	client->challenged = false;
}

static struct digest_challenge strongest_of(const struct message *answer)
{
	struct digest_challenge best = { .scheme = DIGEST_NONE }, one;
	const struct message_field *field = NULL;
	const char *why;

	while ((field = message_find_next(answer, "WWW-Authenticate", field))) {
		const struct message_text *value = &field->value;
		size_t at = 0;

		while (digest_parse_challenge(&one, value->p, value->n, &at, &why) > 0)
			if (digest_strength(&one) > digest_strength(&best))
				best = one;
	}
	return best;
}

bool digest_client_take(
	struct digest_client *client, const struct message *answer, const struct uri *uri)
{
	struct digest_challenge best = strongest_of(answer);

	if (best.scheme == DIGEST_NONE || !uri->has_user || client->challenged)
		return false;
	client->challenged = true;
	client->challenge = best;
	client->nonce_count = 0;
	auth_random_hex(client->cnonce, DIGEST_CNONCE_BYTES / 2);
	return true;
}

void digest_client_authorize(struct digest_client *client, struct evbuffer *out,
	const struct uri *uri, const char *method, const char *target)
{
	char credentials[4 * DIGEST_VALUE_BYTES + URI_PATH_BYTES];

	if (client->challenge.scheme == DIGEST_NONE || !uri->has_user)
		return;
	if (digest_write_credentials(credentials, sizeof(credentials), &client->challenge,
		    uri->user, uri->password, method, target, ++client->nonce_count,
		    client->cnonce) == 0)
		(void)evbuffer_add_printf(out, "Authorization: %s\r\n", credentials);
	explicit_bzero(credentials, sizeof(credentials));
}
