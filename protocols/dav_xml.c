/* WebDAV's XML: what is common to all bodies, and elements as text that stands for itself. */
#include "protocols/dav_xml.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>

#define XML_SPACE "http://www.w3.org/XML/1998/namespace"

/* Where SAX puts what it says of an attribute. */
enum {
	ATTRIBUTE_NAME,
	ATTRIBUTE_PREFIX,
	ATTRIBUTE_SPACE,
	ATTRIBUTE_VALUE,
	ATTRIBUTE_END,
	ATTRIBUTE_FIELDS
};

void dav_xml_fail(struct dav_xml *x, const char *why)
{
	if (!x->why)
		x->why = why;
	xmlStopParser(x->parser);
}

/* --- keeping --- */

static void put(struct dav_xml *x, const char *p, size_t n)
{
	if (n >= x->size - x->used) { /* one more for NUL */
		dav_xml_fail(x, "the body is too large");
		return;
	}
	memcpy(x->text + x->used, p, n);
	x->used += n;
	x->text[x->used] = '\0';
}

static void put_string(struct dav_xml *x, const char *s)
{
	put(x, s, strlen(s));
}

/* Text in elements and attributes; blanks that a parser would change are written as references. */
static void put_escaped(struct dav_xml *x, const char *p, size_t n, bool in_attribute)
{
	char reference[8];

	for (size_t i = 0; i < n && !x->why; i++) {
		bool blank = p[i] == '\r' || (in_attribute && (p[i] == '\n' || p[i] == '\t'));

		if (!blank && !memchr("&<>\"", p[i], 4)) {
			put(x, p + i, 1);
			continue;
		}
		(void)snprintf(reference, sizeof(reference), "&#%d;", p[i]);
		put_string(x, reference);
	}
}

static void put_attribute(struct dav_xml *x, const char *name, const char *p, size_t n)
{
	put_string(x, " ");
	put_string(x, name);
	put_string(x, "=\"");
	put_escaped(x, p, n, true);
	put_string(x, "\"");
}

static void keep_attribute(struct dav_xml *x, const xmlChar **a, int i)
{
	const char *name = (const char *)a[ATTRIBUTE_NAME],
		   *space = (const char *)a[ATTRIBUTE_SPACE];
	char prefix[32];

	if (space && !strcmp(space, XML_SPACE)) {
		put_string(x, " xml:");
	} else if (space) {
		(void)snprintf(prefix, sizeof(prefix), "xmlns:a%d", i);
		put_attribute(x, prefix, space, strlen(space));
		put_string(x, " ");
		put_string(x, prefix + strlen("xmlns:"));
		put_string(x, ":");
	} else {
		put_string(x, " ");
	}
	put_string(x, name);
	put_string(x, "=\"");
	put_escaped(x, (const char *)a[ATTRIBUTE_VALUE],
		(size_t)(a[ATTRIBUTE_END] - a[ATTRIBUTE_VALUE]), true);
	put_string(x, "\"");
}

static void keep_start(struct dav_xml *x, const char *name, int n, const xmlChar **attributes)
{
	bool is_top = x->keeping == x->depth;
	const char *space = x->spaces[x->depth];
	bool has_lang = false;

	put_string(x, "<");
	put_string(x, name);
	if (is_top || strcmp(space, x->spaces[x->depth - 1]) != 0)
		put_attribute(x, "xmlns", space, strlen(space));
	for (int i = 0; i < n && !x->why; i++) {
		const xmlChar **a = attributes + (size_t)i * ATTRIBUTE_FIELDS;

		has_lang = has_lang ||
			   (a[ATTRIBUTE_SPACE] && !strcmp((const char *)a[ATTRIBUTE_NAME], "lang"));
		keep_attribute(x, a, i);
	}
	if (is_top && !has_lang && x->lang[x->depth][0])
		put_attribute(x, "xml:lang", x->lang[x->depth], strlen(x->lang[x->depth]));
	put_string(x, ">");
}

void dav_xml_keep(struct dav_xml *x)
{
	x->keeping = x->depth;
	x->kept = x->used;
}

const char *dav_xml_copy(struct dav_xml *x, const char *s)
{
	const char *copy = x->text + x->used;

	put_string(x, s);
	if (x->why)
		return NULL;
	x->used++; /* the NUL */
	return copy;
}

bool dav_xml_attribute(
	const struct dav_xml *x, const char *space, const char *name, char *ret, size_t size)
{
	for (int i = 0; i < x->n_attributes; i++) {
		const xmlChar **a = x->attributes + (size_t)i * ATTRIBUTE_FIELDS;
		const char *of = a[ATTRIBUTE_SPACE] ? (const char *)a[ATTRIBUTE_SPACE] : "";
		size_t n = (size_t)(a[ATTRIBUTE_END] - a[ATTRIBUTE_VALUE]);

		if (strcmp(of, space) != 0 || strcmp((const char *)a[ATTRIBUTE_NAME], name) != 0 ||
			n >= size)
			continue;
		memcpy(ret, a[ATTRIBUTE_VALUE], n);
		ret[n] = '\0';
		return true;
	}
	return false;
}

/* --- SAX --- */

static void note_lang(struct dav_xml *x)
{
	char *lang = x->lang[x->depth];

	if (!dav_xml_attribute(x, XML_SPACE, "lang", lang, sizeof(x->lang[0])))
		(void)snprintf(
			lang, sizeof(x->lang[0]), "%s", x->depth ? x->lang[x->depth - 1] : "");
}

static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
	int n_spaces, const xmlChar **spaces, int n_attributes, int n_defaulted,
	const xmlChar **attributes)
{
	struct dav_xml *x = arg;

	(void)prefix, (void)n_spaces, (void)spaces, (void)n_defaulted;
	if (x->depth == DAV_XML_DEPTH) {
		dav_xml_fail(x, "the body is nested too deeply");
		return;
	}
	x->spaces[x->depth] = uri ? (const char *)uri : "";
	x->attributes = attributes;
	x->n_attributes = n_attributes;
	note_lang(x);
	if (!x->keeping)
		x->on_start(x, x->depth, x->spaces[x->depth], (const char *)name);
	if (x->keeping && !x->why)
		keep_start(x, (const char *)name, n_attributes, attributes);
	x->depth++;
}

static void on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct dav_xml *x = arg;

	(void)prefix, (void)uri;
	x->depth--;
	if (x->keeping && !x->why) {
		put_string(x, "</");
		put_string(x, (const char *)name);
		put_string(x, ">");
	}
	if (x->keeping && x->keeping < x->depth)
		return;
	if (x->on_end && !x->why)
		x->on_end(x, x->depth);
	if (x->keeping)
		x->used++; /* the NUL */
	x->keeping = 0;
}

static void on_characters(void *arg, const xmlChar *p, int n)
{
	struct dav_xml *x = arg;

	if (x->keeping && !x->why)
		put_escaped(x, (const char *)p, (size_t)n, false);
	else if (x->on_text && x->depth && !x->why)
		x->on_text(x, x->depth - 1, (const char *)p, (size_t)n);
}

static void on_document_type(
	void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	(void)name, (void)external, (void)system;
	dav_xml_fail(arg, "a document type is not allowed");
}

static void on_message(void *arg, xmlErrorPtr error)
{
	(void)arg;
	(void)error; /* the parser's state says it */
}

int dav_xml_parse(struct dav_xml *x, const char *p, size_t n, const char **why)
{
	xmlSAXHandler handler = {
		.initialized = XML_SAX2_MAGIC,
		.startElementNs = on_start,
		.endElementNs = on_end,
		.characters = on_characters,
		.cdataBlock = on_characters,
		.internalSubset = on_document_type,
		.serror = on_message,
	};
	xmlParserCtxtPtr parser;

	*why = "the body is too large";
	if (n > INT_MAX)
		return -EBADMSG;
	*why = "out of memory";
	parser = x->parser = xmlCreatePushParserCtxt(&handler, x, NULL, 0, NULL);
	if (!parser)
		return -EBADMSG;
	/* NOENT: "&amp;" in a namespace is '&'; other entities cannot be declared here */
	(void)xmlCtxtUseOptions(parser, XML_PARSE_NONET | XML_PARSE_NOENT);
	int error = xmlParseChunk(parser, p, (int)n, 1);
	bool well_formed = error == 0 && parser->wellFormed && parser->nsWellFormed;
	xmlFreeParserCtxt(parser);
	if (!x->why && !well_formed)
		x->why = "the body is not well-formed XML";
	*why = x->why;
	return x->why ? -EBADMSG : 0;
}
