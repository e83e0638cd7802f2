/* The embedded page. Its files become arrays and a table by protocols/web/embed at build time. */
#include "protocols/web.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_condition.h"
#include "protocols/http_server.h"

struct web_bytes {
	const unsigned char *p;
	size_t n;
};

struct web_asset {
	const char *path, *content_type;
	struct web_bytes plain, gzip;
};

#include "protocols/web_assets.h"

static const char web_policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
	"media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; "
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* FNV-1a, 64 bits: the bytes are our own, so an ETag needs no more. */
static uint64_t web_hash(struct web_bytes bytes)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < bytes.n; i++)
		hash = (hash ^ bytes.p[i]) * 0x100000001b3;
	return hash;
}

static void web_answer(struct http_request *request, const struct web_asset *asset)
{
	bool is_gzip = message_text_has_token(http_field(request, "Accept-Encoding"), "gzip");
	struct web_bytes bytes = is_gzip ? asset->gzip : asset->plain;
	struct evbuffer *body;
	char etag[24];

	evutil_snprintf(etag, sizeof(etag), "\"%016llx\"", (unsigned long long)web_hash(bytes));
	http_add_field(request, "ETag", "%s", etag);
	http_add_field(request, "Cache-Control", "no-cache");
	http_add_field(request, "Vary", "Accept-Encoding");
	http_add_field(request, "Content-Security-Policy", "%s", web_policy);
	http_add_field(request, "Referrer-Policy", "no-referrer");
	if (http_etag_listed(http_field(request, "If-None-Match"), etag, true)) {
		http_answer(request, 304, NULL, NULL);
		return;
	}
	if (is_gzip)
		http_add_field(request, "Content-Encoding", "gzip");
	body = evbuffer_new();
	evbuffer_add_reference(body, bytes.p, bytes.n, NULL, NULL);
	http_answer(request, 200, asset->content_type, body);
	evbuffer_free(body);
}

void web_get(struct http_request *request)
{
	for (size_t i = 0; i < ARRAY_LENGTH(web_assets); i++) {
		if (!strcmp(http_path(request), web_assets[i].path)) {
			web_answer(request, &web_assets[i]);
			return;
		}
	}
	http_answer_error(request, 404, "There is no such page.");
}
