/*
 * The addresses of av: sources: per scheme, which protocols and demuxers libavformat may use, so
 * that what a peer sends cannot make it open anything else; and what of them is secret.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "protocols/av_source_private.h"
#include "server/base/memory.h"

/* Containers that hold one medium's packets: no playlists, no scripts, no numbered pictures. */
#define CONTAINERS \
	"mov,matroska,mpegts,mpeg,flv,live_flv,avi,asf,ogg,nut,h264,hevc,mjpeg,mpjpeg,ivf,obu"
#define RTMP_PROTOCOLS "rtmp,rtmps,rtmpt,rtmpts,ffrtmphttp,http,https,tls,tcp"

// clang-format off
static const struct av_scheme schemes[] = {
	{ "file", "file", CONTAINERS, AV_FILE },
	{ "v4l2", "none", "v4l2", AV_DEVICE },
	{ "http,https", "http,https,tcp,tls,crypto", CONTAINERS ",hls,aac", 0 },
	{ "rtmp,rtmps,rtmpt,rtmpts", RTMP_PROTOCOLS, "flv,live_flv", AV_SECRET_PATH },
	{ "rtsp", "rtp,udp,tcp", "rtsp", 0 },
	{ "rtsps", "rtp,udp,tcp,tls", "rtsp", 0 },
	{ "srt", "srt", CONTAINERS, 0 },
	{ "rist", "rist", CONTAINERS, 0 },
	{ "udp", "udp", CONTAINERS, 0 },
	{ "rtp", "rtp,udp", "rtp,sdp", 0 },
	{ "tcp", "tcp", CONTAINERS, 0 },
	{ "tls", "tls,tcp", CONTAINERS, 0 },
};
// clang-format on

static bool names_have(const char *names, const char *name, size_t n)
{
	while (names) {
		size_t bytes = strcspn(names, ",");

		if (bytes == n && !strncasecmp(names, name, n))
			return true;
		names = names[bytes] ? names + bytes + 1 : NULL;
	}
	return false;
}

static const struct av_scheme *scheme_find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
		if (names_have(schemes[i].names, name, n))
			return &schemes[i];
	}
	return NULL;
}

/* --- secrets --- */

static void address_add_secret(struct av_address *address, const char *p, size_t n)
{
	if (n >= AV_SECRET_LEAST && address->secrets_count < AV_SECRETS)
		address->secrets[address->secrets_count++] = xstrndup(p, n);
}

/* The query's values, and the parts of a path that is a key. */
static void address_find_secrets(struct av_address *address)
{
	const char *authority = strstr(address->url, "://");
	const char *path, *query, *colon, *at;

	if (!authority || address->scheme->flags & (AV_FILE | AV_DEVICE))
		return;
	authority += 3;
	path = authority + strcspn(authority, "/?#");
	at = memrchr(authority, '@', (size_t)(path - authority));
	colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
	if (colon)
		address_add_secret(address, colon + 1, (size_t)(at - colon - 1));
	query = path + strcspn(path, "?");
	while (address->scheme->flags & AV_SECRET_PATH && path < query) {
		size_t n = strcspn(path + 1, "/?");

		address_add_secret(address, path + 1, n);
		path += 1 + n;
	}
	while (*query) {
		size_t n = strcspn(query + 1, "&");
		const char *equals = memchr(query + 1, '=', n);

		if (equals)
			address_add_secret(address, equals + 1, n - (size_t)(equals - query));
		query += 1 + n;
	}
}

static void hide(char *p, const char *end)
{
	if (end > p)
		memset(p, '*', (size_t)(end - p));
}

void av_hide_secrets(char *text, const struct av_address *address)
{
	char *at = text;

	while ((at = strstr(at, "://"))) {
		char *end, *user, *query;

		at += 3;
		end = at + strcspn(at, " \t\r\n'\"");
		user = memrchr(at, '@', (size_t)(end - at));
		if (user)
			hide(at, user);
		query = memchr(at, '?', (size_t)(end - at));
		if (query)
			hide(query + 1, end);
	}
	for (size_t i = 0; address && i < address->secrets_count; i++) {
		size_t n = strlen(address->secrets[i]);

		for (at = text; (at = strstr(at, address->secrets[i])); at += n)
			hide(at, at + n);
	}
}

/* --- parsing --- */

static bool has_device_path(const char *url)
{
	return !strncmp(url, "/dev/video", 10) || !strncmp(url, "/dev/v4l/", 9);
}

static int address_set_path(
	struct av_address *address, const char *path, bool device, const char **why)
{
	if (path[0] != '/') {
		*why = "a file or device wants its absolute path";
		return -EINVAL;
	}
	address->scheme = scheme_find(device ? "v4l2" : "file", 4);
	address->url = device ? xstrdup(path) : xasprintf("file:%s", path);
	return 0;
}

static int address_set(struct av_address *address, const char *url, const char **why)
{
	bool device = !strncasecmp(url, "v4l2:", 5);
	size_t n = 0;

	while (isalnum((unsigned char)url[n]) || (n && strchr("+-.", url[n]) && url[n]))
		n++;
	if (url[0] == '/')
		return address_set_path(address, url, has_device_path(url), why);
	if (device || !strncasecmp(url, "file:", 5))
		return address_set_path(
			address, !strncmp(url + 5, "//", 2) ? url + 7 : url + 5, device, why);
	*why = "av: wants a URL or the absolute path of a file";
	if (!n || strncmp(url + n, "://", 3))
		return -EINVAL;
	address->scheme = scheme_find(url, n);
	*why = "av: has no such scheme";
	if (!address->scheme)
		return -EINVAL;
	address->url = xstrdup(url);
	return 0;
}

int av_address_parse(struct av_address *ret, const char *source, const char **why)
{
	struct av_address address = { 0 };

	*why = "the address is too long";
	if (strlen(source) > AV_URL_BYTES)
		return -EINVAL;
	*why = "the address begins with av:";
	if (strncasecmp(source, "av:", 3))
		return -EINVAL;
	if (address_set(&address, source + 3, why) < 0)
		return -EINVAL;
	address_find_secrets(&address);
	*ret = address;
	*why = NULL;
	return 0;
}

void av_address_fini(struct av_address *address)
{
	memory_free_secret(address->url);
	for (size_t i = 0; i < address->secrets_count; i++)
		memory_free_secret(address->secrets[i]);
	*address = (struct av_address){ 0 };
}
