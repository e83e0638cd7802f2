/* The embedded page. Its files become arrays by protocols/web/embed at build time. */
#include "protocols/web.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "protocols/web_assets.h"

static const struct web_asset {
	const char *path, *content_type;
	const unsigned char *p;
	size_t n;
} web_assets[] = {
	{"/",           "text/html; charset=utf-8",       web_asset_index_html, sizeof(web_asset_index_html)},
	{ "/page.css",  "text/css; charset=utf-8",        web_asset_page_css,   sizeof(web_asset_page_css)  },
	{ "/page.js",   "text/javascript; charset=utf-8", web_asset_page_js,
         sizeof(web_asset_page_js)									  },
	{ "/player.js", "text/javascript; charset=utf-8", web_asset_player_js,
         sizeof(web_asset_player_js)									},
	{ "/icon.svg",  "image/svg+xml",                  web_asset_icon_svg,   sizeof(web_asset_icon_svg)  },
};

static const char web_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
				 "img-src 'self'; media-src 'self' blob:; connect-src 'self'; "
				 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* FNV-1a, 64 bits: the bytes are our own, so an ETag needs no more. */
static uint64_t web_hash(const unsigned char *p, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * 0x100000001b3;
	return hash;
}

static void web_answer(struct http_request *request, const struct web_asset *asset)
{
	struct evbuffer *body;
	char etag[24];

	evutil_snprintf(etag, sizeof(etag), "\"%016llx\"",
		(unsigned long long)web_hash(asset->p, asset->n));
	http_add_field(request, "ETag", "%s", etag);
	http_add_field(request, "Cache-Control", "no-cache");
	http_add_field(request, "Content-Security-Policy", "%s", web_policy);
	http_add_field(request, "Referrer-Policy", "no-referrer");
	if (message_text_is(http_field(request, "If-None-Match"), etag)) {
		http_answer(request, 304, NULL, NULL);
		return;
	}
	body = evbuffer_new();
	evbuffer_add_reference(body, asset->p, asset->n, NULL, NULL);
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
