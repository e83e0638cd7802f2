#include "onvif/discovery_message.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onvif/soap_message.h"
#include "onvif/soap_writer.h"
#include "protocols/uri.h"

#define DISCOVERY_SPACE "http://schemas.xmlsoap.org/ws/2005/04/discovery"
#define ADDRESSING_SPACE "http://schemas.xmlsoap.org/ws/2004/08/addressing"
#define NETWORK_SPACE "http://www.onvif.org/ver10/network/wsdl"
#define SCOPE "onvif://www.onvif.org/"

enum {
	SCOPES_BYTES = 4096
};

/* --- texts --- */

/* Appends what is printable of n bytes, with %XX undone; the rest is '?'. */
static void text_add(char ret[DISCOVERY_TEXT_BYTES], const char *p, size_t n)
{
	size_t used = strlen(ret);

	for (size_t i = 0; i < n && used + 1 < DISCOVERY_TEXT_BYTES; i++) {
		char c = p[i];

		if (c == '%' && i + 2 < n && isxdigit((unsigned char)p[i + 1]) &&
			isxdigit((unsigned char)p[i + 2])) {
			const char digits[] = { p[i + 1], p[i + 2], '\0' };

			c = (char)strtol(digits, NULL, 16);
			i += 2;
		}
		ret[used++] = isprint((unsigned char)c) ? c : '?';
	}
	ret[used] = '\0';
}

/* The next word, or NULL; *n is its length. */
static const char *next_word(const char **at, size_t *n)
{
	const char *word = *at + strspn(*at, " \t\r\n");

	*n = strcspn(word, " \t\r\n");
	*at = word + *n;
	return *n ? word : NULL;
}

static bool scope_is(const char *scope, size_t n, const char *kind, const char **rest)
{
	size_t prefix = strlen(SCOPE), k = strlen(kind);

	if (n <= prefix + k || strncmp(scope, SCOPE, prefix) != 0 ||
		strncmp(scope + prefix, kind, k) != 0)
		return false;
	*rest = scope + prefix + k;
	return true;
}

static void read_scopes(struct discovery_device *ret, const char *at)
{
	const char *scope, *rest;
	size_t n;

	while ((scope = next_word(&at, &n))) {
		if (scope_is(scope, n, "name/", &rest) && !ret->name[0])
			text_add(ret->name, rest, (size_t)(scope + n - rest));
		else if (scope_is(scope, n, "hardware/", &rest) && !ret->hardware[0])
			text_add(ret->hardware, rest, (size_t)(scope + n - rest));
		if (!scope_is(scope, n, "Profile/", &rest))
			continue;
		if (ret->profiles[0])
			text_add(ret->profiles, ", ", 2);
		text_add(ret->profiles, rest, (size_t)(scope + n - rest));
	}
}

/* --- devices --- */

static bool path_is_plain(const char *path)
{
	for (; *path; path++) {
		if (!isalnum((unsigned char)*path) && !strchr("/-_.~", *path))
			return false;
	}
	return true;
}

/* The first address by HTTP. Returns false when there is none. */
static bool read_address(struct discovery_device *ret, const char *at)
{
	const char *word, *why;
	struct uri uri;
	size_t n;

	while ((word = next_word(&at, &n))) {
		if (uri_parse(&uri, word, n, &why) < 0 ||
			(strcmp(uri.scheme, "http") != 0 && strcmp(uri.scheme, "https") != 0) ||
			strlen(uri.path) >= sizeof(ret->path) || !path_is_plain(uri.path))
			continue;
		ret->tls = !strcmp(uri.scheme, "https");
		ret->port = uri.port ? uri.port : ret->tls ? 443 : 80;
		memcpy(ret->path, uri.path, strlen(uri.path) + 1);
		return true;
	}
	return false;
}

/* A Hello, a Bye or a ProbeMatch. Returns false when it is of no camera. */
static bool read_device(struct discovery_device *ret, const xmlNode *node, enum discovery_kind kind)
{
	const xmlNode *reference = soap_child(node, ADDRESSING_SPACE, "EndpointReference");
	char text[SCOPES_BYTES];

	*ret = (struct discovery_device){ 0 };
	if (!soap_text(soap_child(reference, ADDRESSING_SPACE, "Address"), ret->endpoint,
		    sizeof(ret->endpoint)) ||
		!ret->endpoint[0])
		return false;
	if (kind == DISCOVERY_BYE)
		return true;
	(void)soap_text(soap_child(node, DISCOVERY_SPACE, "Scopes"), text, sizeof(text));
	read_scopes(ret, text);
	/* printers answer, too, and some cameras leave their types out */
	if (!strstr(text, SCOPE) &&
		(!soap_text(soap_child(node, DISCOVERY_SPACE, "Types"), text, sizeof(text)) ||
			!strstr(text, "NetworkVideoTransmitter")))
		return false;
	return soap_text(soap_child(node, DISCOVERY_SPACE, "XAddrs"), text, sizeof(text)) &&
	       read_address(ret, text);
}

int discovery_message_parse(
	const char *p, size_t n, discovery_fn *tell, void *arg, const char **why)
{
	struct discovery_device device;
	struct soap_message message;
	const xmlNode *match;

	if (soap_message_parse(&message, p, n, DISCOVERY_BYTES, why) < 0)
		return -EBADMSG;
	if (strcmp(message.space, DISCOVERY_SPACE) != 0) {
		*why = "it is not of WS-Discovery";
		soap_message_fini(&message);
		return -EBADMSG;
	}
	if (!strcmp(message.name, "Hello") && read_device(&device, message.body, DISCOVERY_HERE))
		tell(arg, DISCOVERY_HERE, &device);
	else if (!strcmp(message.name, "Bye") && read_device(&device, message.body, DISCOVERY_BYE))
		tell(arg, DISCOVERY_BYE, &device);
	match = strcmp(message.name, "ProbeMatches")
			? NULL
			: soap_child(message.body, DISCOVERY_SPACE, "ProbeMatch");
	for (; match; match = soap_next(match)) {
		if (read_device(&device, match, DISCOVERY_HERE))
			tell(arg, DISCOVERY_HERE, &device);
	}
	soap_message_fini(&message);
	return 0;
}

/* --- asking --- */

char *discovery_write_probe(const char *uuid, size_t *bytes)
{
	struct soap_writer writer;
	xmlNode *header, *probe;
	const char *prefix;
	char *text;

	soap_writer_init(&writer);
	header = soap_writer_header(&writer);
	soap_add_text(header, ADDRESSING_SPACE, "Action", DISCOVERY_SPACE "/Probe");
	soap_add_format(header, ADDRESSING_SPACE, "MessageID", "urn:uuid:%s", uuid);
	soap_add_text(soap_add(header, ADDRESSING_SPACE, "ReplyTo"), ADDRESSING_SPACE, "Address",
		ADDRESSING_SPACE "/role/anonymous");
	soap_add_text(
		header, ADDRESSING_SPACE, "To", "urn:schemas-xmlsoap-org:ws:2005:04:discovery");
	probe = soap_add(writer.body, DISCOVERY_SPACE, "Probe");
	prefix = soap_declare(probe, NETWORK_SPACE);
	soap_add_format(probe, DISCOVERY_SPACE, "Types", "%s:NetworkVideoTransmitter", prefix);
	text = soap_writer_text(&writer, bytes);
	soap_writer_fini(&writer);
	return text;
}
