#include "onvif/soap_message.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/SAX2.h>
#include <libxml/parser.h>

#include "onvif/xsd_time.h"

#define NUMBER_MOST 1e9

enum {
	TAG_ATTRIBUTES = 512, /* libxml2 compares each with each */
	SPACES = 512,         /* and looks for prefixes among all that were declared */
	NUMBER_BYTES = 64,
	FLOAT_BYTES = 32
};

/* --- parsing --- */

struct parse {
	int depth, spaces;
	const char *why;
};

static void parse_fail(xmlParserCtxt *parser, const char *why)
{
	struct parse *parse = parser->_private;

	if (!parse->why)
		parse->why = why;
	xmlStopParser(parser);
}

static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
	int n_spaces, const xmlChar **spaces, int n_attributes, int n_defaulted,
	const xmlChar **attributes)
{
	xmlParserCtxt *parser = arg;
	struct parse *parse = parser->_private;

	if (parse->depth++ == SOAP_DEPTH) {
		parse_fail(parser, "the message is nested too deeply");
		return;
	}
	parse->spaces += n_spaces;
	if (parse->spaces > SPACES) {
		parse_fail(parser, "the message declares too many namespaces");
		return;
	}
	xmlSAX2StartElementNs(
		arg, name, prefix, uri, n_spaces, spaces, n_attributes, n_defaulted, attributes);
}

static void on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct parse *parse = ((xmlParserCtxt *)arg)->_private;

	parse->depth--;
	xmlSAX2EndElementNs(arg, name, prefix, uri);
}

static void on_document_type(
	void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	(void)name, (void)external, (void)system;
	parse_fail(arg, "a document type is not allowed");
}

/* No tag may have so many attributes that comparing them takes long. Text with as many '=' pays for it. */
static bool has_crowded_tag(const char *p, size_t n)
{
	size_t attributes = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '<')
			attributes = 0;
		else if (p[i] == '=' && ++attributes > TAG_ATTRIBUTES)
			return true;
	}
	return false;
}

static xmlDoc *document_parse(const char *p, size_t n, const char **why)
{
	const int options =
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA;
	struct parse parse = { 0 };
	xmlParserCtxt *parser = xmlNewParserCtxt();
	xmlDoc *document;

	*why = "out of memory";
	if (!parser)
		return NULL;
	parser->_private = &parse;
	parser->sax->startElementNs = on_start;
	parser->sax->endElementNs = on_end;
	parser->sax->internalSubset = on_document_type;
	document = xmlCtxtReadMemory(parser, p, (int)n, NULL, "UTF-8", options);
	if (document && (parse.why || !parser->nsWellFormed)) {
		xmlFreeDoc(document);
		document = NULL;
	}
	*why = parse.why ? parse.why : "the message is not well-formed XML";
	xmlFreeParserCtxt(parser);
	return document;
}

/* --- elements --- */

bool soap_is(const xmlNode *node, const char *space, const char *name)
{
	const char *of = node && node->ns && node->ns->href ? (const char *)node->ns->href : "";

	return node && node->type == XML_ELEMENT_NODE && !strcmp((const char *)node->name, name) &&
	       (!space || !strcmp(of, space));
}

static const xmlNode *find_from(const xmlNode *node, const char *space, const char *name)
{
	while (node && !soap_is(node, space, name))
		node = node->next;
	return node;
}

const xmlNode *soap_child(const xmlNode *parent, const char *space, const char *name)
{
	return parent ? find_from(parent->children, space, name) : NULL;
}

const xmlNode *soap_next(const xmlNode *node)
{
	const char *space = node && node->ns ? (const char *)node->ns->href : "";

	return node ? find_from(node->next, space, (const char *)node->name) : NULL;
}

/* Copies a string of libxml2's without blanks around it, and frees it. */
static bool take_trimmed(xmlChar *text, char *ret, size_t size)
{
	const char *p = text ? (const char *)text : "";
	size_t n;

	p += strspn(p, " \t\r\n");
	n = strlen(p);
	while (n && strchr(" \t\r\n", p[n - 1]))
		n--;
	bool fits = text && n < size;
	if (!fits)
		n = 0;
	memcpy(ret, p, n);
	ret[n] = '\0';
	xmlFree(text);
	return fits;
}

bool soap_text(const xmlNode *node, char *ret, size_t size)
{
	return take_trimmed(node ? xmlNodeGetContent(node) : NULL, ret, size);
}

bool soap_attribute(const xmlNode *node, const char *name, char *ret, size_t size)
{
	return take_trimmed(node ? xmlGetNoNsProp(node, (const xmlChar *)name) : NULL, ret, size);
}

bool soap_integer(const xmlNode *node, int64_t *ret)
{
	char text[NUMBER_BYTES], *end;
	int64_t value;

	if (!soap_text(node, text, sizeof(text)) || !text[0])
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (*end || errno)
		return false;
	*ret = value;
	return true;
}

/* xs:float, and no infinite one. */
static bool read_float(const char *text, double *ret)
{
	char *end;
	double value;

	if (!text[0] || text[strspn(text, "+-.0123456789eE")])
		return false;
	value = strtod(text, &end);
	if (*end || !(fabs(value) <= NUMBER_MOST))
		return false;
	*ret = value;
	return true;
}

bool soap_number(const xmlNode *node, double *ret)
{
	char text[FLOAT_BYTES];

	return soap_text(node, text, sizeof(text)) && read_float(text, ret);
}

bool soap_attribute_number(const xmlNode *node, const char *name, double *ret)
{
	char text[FLOAT_BYTES];

	return soap_attribute(node, name, text, sizeof(text)) && read_float(text, ret);
}

bool soap_bool(const xmlNode *node, bool *ret)
{
	char text[NUMBER_BYTES];

	if (!soap_text(node, text, sizeof(text)))
		return false;
	bool is_true = !strcmp(text, "true") || !strcmp(text, "1");
	if (!is_true && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
		return false;
	*ret = is_true;
	return true;
}

bool soap_time(const xmlNode *node, int64_t *ret_us)
{
	char text[NUMBER_BYTES];

	return soap_text(node, text, sizeof(text)) &&
	       xsd_time_parse(text, strlen(text), ret_us) == 0;
}

bool soap_duration(const xmlNode *node, int64_t *ret_us)
{
	char text[NUMBER_BYTES];

	return soap_text(node, text, sizeof(text)) &&
	       xsd_duration_parse(text, strlen(text), ret_us) == 0;
}

/* --- the envelope --- */

/* A part of the envelope; some devices mix the versions. */
static const xmlNode *soap_part(const xmlNode *parent, const char *name)
{
	const xmlNode *part = soap_child(parent, SOAP_SPACE, name);

	return part ? part : soap_child(parent, SOAP_11_SPACE, name);
}

static const xmlNode *first_element(const xmlNode *parent)
{
	const xmlNode *node = parent ? parent->children : NULL;

	while (node && node->type != XML_ELEMENT_NODE)
		node = node->next;
	return node;
}

int soap_message_parse(
	struct soap_message *ret, const char *p, size_t n, size_t most, const char **why)
{
	const xmlNode *root, *body;
	xmlDoc *document;

	*why = "the message is too large";
	if (n > most || has_crowded_tag(p, n))
		return -EBADMSG;
	document = document_parse(p, n, why);
	if (!document)
		return -EBADMSG;
	root = xmlDocGetRootElement(document);
	body = soap_is(root, SOAP_SPACE, "Envelope") || soap_is(root, SOAP_11_SPACE, "Envelope")
		       ? first_element(soap_part(root, "Body"))
		       : NULL;
	if (!body) {
		*why = "it is not a SOAP envelope with something in its Body";
		xmlFreeDoc(document);
		return -EBADMSG;
	}
	*ret = (struct soap_message){
		.header = soap_part(root, "Header"),
		.body = body,
		.space = body->ns ? (const char *)body->ns->href : "",
		.name = (const char *)body->name,
		.document = document,
	};
	return 0;
}

void soap_message_fini(struct soap_message *message)
{
	xmlFreeDoc(message->document);
	*message = (struct soap_message){ 0 };
}

/* --- headers and faults --- */

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

bool soap_read_token(const struct soap_message *message, struct soap_token *ret)
{
	const xmlNode *token = soap_child(soap_child(message->header, SOAP_WSSE_SPACE, "Security"),
		SOAP_WSSE_SPACE, "UsernameToken");
	const xmlNode *password = soap_child(token, SOAP_WSSE_SPACE, "Password");
	char type[160];

	if (!token)
		return false;
	(void)soap_text(soap_child(token, SOAP_WSSE_SPACE, "Username"), ret->username,
		sizeof(ret->username));
	(void)soap_text(password, ret->password, sizeof(ret->password));
	(void)soap_attribute(password, "Type", type, sizeof(type));
	ret->is_digest = ends_with(type, "#PasswordDigest");
	(void)soap_text(
		soap_child(token, SOAP_WSSE_SPACE, "Nonce"), ret->nonce, sizeof(ret->nonce));
	(void)soap_text(
		soap_child(token, SOAP_WSU_SPACE, "Created"), ret->created, sizeof(ret->created));
	return true;
}

/* The value of a code without its prefix. */
static void read_code(const xmlNode *value, char *ret, size_t size)
{
	char text[128];
	const char *colon;
	size_t n;

	(void)soap_text(value, text, sizeof(text));
	colon = strrchr(text, ':');
	colon = colon ? colon + 1 : text;
	n = strnlen(colon, size - 1);
	memcpy(ret, colon, n);
	ret[n] = '\0';
}

bool soap_read_fault(const struct soap_message *message, struct soap_fault *ret)
{
	const xmlNode *fault = message->body, *code, *subcode;

	*ret = (struct soap_fault){ 0 };
	if (soap_is(fault, SOAP_SPACE, "Fault")) {
		code = soap_child(fault, SOAP_SPACE, "Code");
		subcode = soap_child(code, SOAP_SPACE, "Subcode");
		read_code(soap_child(code, SOAP_SPACE, "Value"), ret->code, sizeof(ret->code));
		read_code(soap_child(subcode, SOAP_SPACE, "Value"), ret->subcode,
			sizeof(ret->subcode));
		read_code(
			soap_child(soap_child(subcode, SOAP_SPACE, "Subcode"), SOAP_SPACE, "Value"),
			ret->subsubcode, sizeof(ret->subsubcode));
		(void)soap_text(
			soap_child(soap_child(fault, SOAP_SPACE, "Reason"), SOAP_SPACE, "Text"),
			ret->reason, sizeof(ret->reason));
		return true;
	}
	if (!soap_is(fault, SOAP_11_SPACE, "Fault"))
		return false;
	read_code(soap_child(fault, "", "faultcode"), ret->code, sizeof(ret->code));
	(void)soap_text(soap_child(fault, "", "faultstring"), ret->reason, sizeof(ret->reason));
	return true;
}
