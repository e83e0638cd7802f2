/* URIs: what is parsed is written and parsed to the same; controls are joined; paths are decoded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_round_trip(const struct uri *uri)
{
	char text[URI_PATH_BYTES + URI_HOST_BYTES + 64];
	const char *why = NULL;
	struct uri again;

	uri_write(text, sizeof(text), uri);
	if (uri->host[0] && !strpbrk(uri->host, "[]@:") &&
		(uri_parse(&again, text, strlen(text), &why) < 0 || strcmp(again.path, uri->path) ||
			again.port != uri->port))
		abort();
}

static void check_path(const char *text, size_t n)
{
	char decoded[256], encoded[1024];
	const char *why = NULL;

	if (uri_decode_path(decoded, sizeof(decoded), text, n, &why) < 0) {
		if (!why)
			abort();
		return;
	}
	if (decoded[0] != '/' || strstr(decoded, "/../") ||
		uri_encode_path(encoded, sizeof(encoded), decoded) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *text = (const char *)p, *why = NULL;
	char control[512];
	struct uri uri, joined;

	check_path(text, n);
	if (uri_parse(&uri, text, n, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	check_round_trip(&uri);
	if (n >= sizeof(control))
		return 0;
	memcpy(control, text, n);
	control[n] = '\0';
	if (uri_join_control(&joined, &uri, control, "trackID=1") == 0 &&
		strcmp(joined.host, uri.host))
		abort();
	(void)!uri_join_control(&joined, &uri, "rtsp://192.0.2.1/base/", control);
	return 0;
}
