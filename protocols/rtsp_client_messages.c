/* The requests of the RTSP client: writing them, with credentials (RFC 2326 section 6, RFC 7616). */
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/rtsp_client_private.h"

void rtsp_client_add_authorization(
	struct rtsp_client *client, struct evbuffer *out, const char *method, const char *target)
{
	digest_client_authorize(&client->credentials, out, &client->uri, method, target);
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
