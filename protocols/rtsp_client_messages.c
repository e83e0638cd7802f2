/* The requests of the RTSP client: writing them, with credentials (RFC 2326 section 6, RFC 7616). */
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtsp_client_private.h"

void rtsp_client_add_authorization(
	struct rtsp_client *client, struct evbuffer *out, const char *method, const char *target)
{
	char credentials[4 * DIGEST_VALUE_BYTES + URI_PATH_BYTES];

	if (client->challenge.scheme == DIGEST_NONE || !client->uri.has_user)
		return;
	if (digest_write_credentials(credentials, sizeof(credentials), &client->challenge,
		    client->uri.user, client->uri.password, method, target, ++client->nonce_count,
		    client->cnonce) == 0)
		evbuffer_add_printf(out, "Authorization: %s\r\n", credentials);
	explicit_bzero(credentials, sizeof(credentials));
}

void rtsp_client_write(struct rtsp_client *client, struct evbuffer *text)
{
	if (client->scheme->tunnel)
		rtsp_tunnel_write(client, text);
	else
		evbuffer_add_buffer(connection_output(client->connection), text);
}

void rtsp_client_send(
	struct rtsp_client *client, const char *method, const char *target, const char *fields)
{
	struct evbuffer *out = evbuffer_new();
	bool sign_base = client->memory->signs_base && client->state == RTSP_SETUP;
	bool require =
		client->asks_back && client->state >= RTSP_DESCRIBE && client->state <= RTSP_PLAY;

	client->cseq++;
	evbuffer_add_printf(out, "%s %s RTSP/1.0\r\nCSeq: %u\r\nUser-Agent: nvrd/%s\r\n", method,
		target, client->cseq, NVRD_VERSION);
	rtsp_client_add_authorization(client, out, method, sign_base ? client->aggregate : target);
	if (client->session[0])
		evbuffer_add_printf(out, "Session: %s\r\n", client->session);
	if (require)
		evbuffer_add_printf(out, "Require: " RTSP_BACKCHANNEL "\r\n");
	evbuffer_add_printf(out, "%s\r\n", fields);
	rtsp_client_write(client, out);
	evbuffer_free(out);
}

void rtsp_client_send_ok(struct rtsp_client *client, const struct message *request)
{
	struct message_text cseq = message_find(request, "CSeq");
	struct evbuffer *out = evbuffer_new();

	evbuffer_add_printf(out, "RTSP/1.0 200 OK\r\nCSeq: %.*s\r\n",
		(int)(cseq.n < 32 ? cseq.n : 32), cseq.p ? cseq.p : "");
	if (client->session[0])
		evbuffer_add_printf(out, "Session: %s\r\n", client->session);
	evbuffer_add_printf(out, "\r\n");
	rtsp_client_write(client, out);
	evbuffer_free(out);
}

bool rtsp_client_take_challenge(struct rtsp_client *client, const struct message *answer)
{
	const struct message_field *field = NULL;
	struct digest_challenge best = { .scheme = DIGEST_NONE }, one;

	while ((field = message_find_next(answer, "WWW-Authenticate", field))) {
		const char *why;
		size_t at = 0;

		while (digest_parse_challenge(&one, field->value.p, field->value.n, &at, &why) >
			0) {
			if (digest_strength(&one) > digest_strength(&best))
				best = one;
		}
	}
	if (best.scheme == DIGEST_NONE || !client->uri.has_user || client->challenged)
		return false;
	client->challenged = true;
	client->challenge = best;
	client->nonce_count = 0;
	auth_random_hex(client->cnonce, RTSP_CNONCE_BYTES / 2);
	return true;
}
