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

	while ((scope = discovery_next_word(&at, &n))) {
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

	while ((word = discovery_next_word(&at, &n))) {
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
	char text[DISCOVERY_SCOPES_BYTES];

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

static void tell_devices(
	const struct soap_message *message, const struct discovery_events *events, void *arg)
{
	struct discovery_device device;
	const xmlNode *match;

	if (!strcmp(message->name, "Hello") && read_device(&device, message->body, DISCOVERY_HERE))
		events->on_device(arg, DISCOVERY_HERE, &device);
	else if (!strcmp(message->name, "Bye") &&
		 read_device(&device, message->body, DISCOVERY_BYE))
		events->on_device(arg, DISCOVERY_BYE, &device);
	match = strcmp(message->name, "ProbeMatches")
			? NULL
			: soap_child(message->body, DISCOVERY_SPACE, "ProbeMatch");
	for (; match; match = soap_next(match)) {
		if (read_device(&device, match, DISCOVERY_HERE))
			events->on_device(arg, DISCOVERY_HERE, &device);
	}
}

/* --- questions --- */

/* The namespace that a prefix of n bytes has there, or NULL. */
static const char *find_space(const xmlNode *node, const char *prefix, size_t n)
{
	for (; node && node->type == XML_ELEMENT_NODE; node = node->parent) {
		for (const xmlNs *ns = node->nsDef; ns; ns = ns->next) {
			const char *name = ns->prefix ? (const char *)ns->prefix : "";

			if (strlen(name) == n && !memcmp(name, prefix, n))
				return (const char *)ns->href;
		}
	}
	return NULL;
}

/* Whether a name with its prefix is of a type that we are. */
static bool type_is_ours(const xmlNode *node, const char *name, size_t n)
{
	static const struct {
		const char *space, *name;
	} ours[] = {
		{NETWORK_SPACE,      "NetworkVideoTransmitter"},
		{ SOAP_DEVICE_SPACE, "Device"                 },
	};
	const char *colon = memchr(name, ':', n), *space;
	size_t prefix = colon ? (size_t)(colon - name) : 0, before = colon ? prefix + 1 : 0;

	space = find_space(node, name, prefix);
	for (size_t i = 0; space && i < ARRAY_LENGTH(ours); i++) {
		if (!strcmp(ours[i].space, space) && strlen(ours[i].name) == n - before &&
			!memcmp(ours[i].name, name + before, n - before))
			return true;
	}
	return false;
}

/* No types at all are any. */
static bool types_are_ours(const xmlNode *node)
{
	char text[1024];
	const char *at = text, *word;
	size_t n;

	if (node && !soap_text(node, text, sizeof(text)))
		return false;
	while (node && (word = discovery_next_word(&at, &n))) {
		if (!type_is_ours(node, word, n))
			return false;
	}
	return true;
}

static bool read_probe(struct discovery_question *ret, const xmlNode *probe)
{
	const xmlNode *scopes = soap_child(probe, DISCOVERY_SPACE, "Scopes");
	char rule[128];

	if (!types_are_ours(soap_child(probe, DISCOVERY_SPACE, "Types")) ||
		(scopes && !soap_text(scopes, ret->scopes, sizeof(ret->scopes))))
		return false;
	ret->rule = scopes && soap_attribute(scopes, "MatchBy", rule, sizeof(rule))
			    ? discovery_rule_find(rule)
			    : DISCOVERY_RULE_PREFIX;
	return true;
}

static bool read_resolve(struct discovery_question *ret, const xmlNode *resolve)
{
	const xmlNode *reference = soap_child(resolve, ADDRESSING_SPACE, "EndpointReference");

	ret->is_resolve = true;
	return soap_text(soap_child(reference, ADDRESSING_SPACE, "Address"), ret->endpoint,
		sizeof(ret->endpoint));
}

static bool read_question(struct discovery_question *ret, const struct soap_message *message)
{
	*ret = (struct discovery_question){ 0 };
	if (!soap_text(soap_child(message->header, ADDRESSING_SPACE, "MessageID"), ret->id,
		    sizeof(ret->id)) ||
		!ret->id[0])
		return false;
	if (!strcmp(message->name, "Probe"))
		return read_probe(ret, message->body);
	return !strcmp(message->name, "Resolve") && read_resolve(ret, message->body);
}

int discovery_message_parse(
	const char *p, size_t n, const struct discovery_events *events, void *arg, const char **why)
{
	struct discovery_question question;
	struct soap_message message;

	if (soap_message_parse(&message, p, n, DISCOVERY_BYTES, why) < 0)
		return -EBADMSG;
	if (strcmp(message.space, DISCOVERY_SPACE) != 0) {
		*why = "it is not of WS-Discovery";
		soap_message_fini(&message);
		return -EBADMSG;
	}
	tell_devices(&message, events, arg);
	if (read_question(&question, &message))
		events->on_question(arg, &question);
	soap_message_fini(&message);
	return 0;
}

/* --- writing --- */

#define TO_ALL "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
#define TO_SENDER ADDRESSING_SPACE "/role/anonymous"

/* What all messages have. Returns the header. */
static xmlNode *write_header(
	struct soap_writer *writer, const char *name, const char *uuid, const char *to)
{
	xmlNode *header;

	soap_writer_init(writer);
	header = soap_writer_header(writer);
	soap_add_format(header, ADDRESSING_SPACE, "Action", DISCOVERY_SPACE "/%s", name);
	soap_add_format(header, ADDRESSING_SPACE, "MessageID", "urn:uuid:%s", uuid);
	soap_add_text(header, ADDRESSING_SPACE, "To", to);
	return header;
}

static char *write_text(struct soap_writer *writer, size_t *bytes)
{
	char *text = soap_writer_text(writer, bytes);

	soap_writer_fini(writer);
	return text;
}

char *discovery_write_probe(const char *uuid, size_t *bytes)
{
	struct soap_writer writer;
	xmlNode *header = write_header(&writer, "Probe", uuid, TO_ALL), *probe;
	const char *prefix;

	soap_add_text(soap_add(header, ADDRESSING_SPACE, "ReplyTo"), ADDRESSING_SPACE, "Address",
		TO_SENDER);
	probe = soap_add(writer.body, DISCOVERY_SPACE, "Probe");
	prefix = soap_declare(probe, NETWORK_SPACE);
	soap_add_format(probe, DISCOVERY_SPACE, "Types", "%s:NetworkVideoTransmitter", prefix);
	return write_text(&writer, bytes);
}

static void write_device(xmlNode *node, const struct discovery_words *words, bool is_bye)
{
	const char *network, *device;

	soap_add_text(soap_add(node, ADDRESSING_SPACE, "EndpointReference"), ADDRESSING_SPACE,
		"Address", words->endpoint);
	if (is_bye)
		return;
	network = soap_declare(node, NETWORK_SPACE);
	device = soap_declare(node, SOAP_DEVICE_SPACE);
	soap_add_format(node, DISCOVERY_SPACE, "Types", "%s:NetworkVideoTransmitter %s:Device",
		network, device);
	soap_add_text(node, DISCOVERY_SPACE, "Scopes", words->scopes);
	soap_add_text(node, DISCOVERY_SPACE, "XAddrs", words->addresses);
	soap_add_integer(node, DISCOVERY_SPACE, "MetadataVersion", words->version);
}

char *discovery_write(enum discovery_statement statement, const char *uuid,
	const struct discovery_words *words, size_t *bytes)
{
	static const struct {
		const char *name,
			*inside; /* the element of the body, and what the device stands in */
	} rows[] = {
		[DISCOVERY_SAY_HELLO] = {"Hello",           NULL          },
		[DISCOVERY_SAY_BYE] = { "Bye",            NULL          },
		[DISCOVERY_SAY_MATCH] = { "ProbeMatches",   "ProbeMatch"  },
		[DISCOVERY_SAY_RESOLVE] = { "ResolveMatches", "ResolveMatch"},
	};
	const char *name = rows[statement].name, *inside = rows[statement].inside;
	struct soap_writer writer;
	xmlNode *header = write_header(&writer, name, uuid, inside ? TO_SENDER : TO_ALL), *node;

	if (inside)
		soap_add_text(header, ADDRESSING_SPACE, "RelatesTo", words->relates_to);
	node = soap_add(header, DISCOVERY_SPACE, "AppSequence");
	soap_set_integer(node, "InstanceId", words->instance);
	soap_set_integer(node, "MessageNumber", words->number);
	node = soap_add(writer.body, DISCOVERY_SPACE, name);
	write_device(inside ? soap_add(node, DISCOVERY_SPACE, inside) : node, words,
		statement == DISCOVERY_SAY_BYE);
	return write_text(&writer, bytes);
}
