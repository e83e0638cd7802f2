/*
 * What a PROPFIND asks for (RFC 4918 sections 9.1 and 14), read by libxml2's SAX parser: a document
 * type ends it, so there are no entities to expand and nothing to load.
 */
#include "protocols/dav_body.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <libxml/parser.h>

enum {
	DAV_DEPTH = 32
};

struct dav_body {
	xmlParserCtxtPtr parser;
	struct dav_query *query;
	const char *why; /* the first thing that was wrong */
	int depth;       /* of open elements */
	bool in_list;    /* depth 2 is a prop or include */
	bool has_kind, has_include;
};

static void dav_body_fail(struct dav_body *b, const char *why)
{
	if (!b->why)
		b->why = why;
	xmlStopParser(b->parser);
}

/* Copies into the query's bytes; NULL when they are full. */
static const char *dav_keep(struct dav_query *query, const char *s)
{
	size_t n = strlen(s) + 1;

	if (n > sizeof(query->names) - query->names_bytes)
		return NULL;
	char *kept = query->names + query->names_bytes;
	memcpy(kept, s, n);
	query->names_bytes += n;
	return kept;
}

static void dav_add_property(struct dav_body *b, const char *space, const char *name)
{
	struct dav_query *query = b->query;
	struct dav_name kept;

	if (query->n_properties == DAV_PROPERTIES) {
		dav_body_fail(b, "too many properties");
		return;
	}
	/* most names share a namespace with the one before */
	if (query->n_properties &&
		strcmp(query->properties[query->n_properties - 1].space, space) == 0)
		kept.space = query->properties[query->n_properties - 1].space;
	else
		kept.space = dav_keep(query, space);
	kept.name = dav_keep(query, name);
	if (!kept.space || !kept.name) {
		dav_body_fail(b, "the names of the properties are too long");
		return;
	}
	query->properties[query->n_properties++] = kept;
}

static void dav_set_kind(struct dav_body *b, enum dav_query_kind kind)
{
	if (b->has_kind)
		dav_body_fail(b, "only one of prop, allprop and propname may stand in a propfind");
	b->has_kind = true;
	b->query->kind = kind;
}

/* A child of propfind; those that we do not know are ignored, as the standard asks. */
static void dav_on_question(struct dav_body *b, const char *space, const char *name)
{
	b->in_list = false;
	if (strcmp(space, "DAV:") != 0)
		return;
	if (strcmp(name, "allprop") == 0) {
		dav_set_kind(b, DAV_ALLPROP);
	} else if (strcmp(name, "propname") == 0) {
		dav_set_kind(b, DAV_PROPNAME);
	} else if (strcmp(name, "prop") == 0) {
		dav_set_kind(b, DAV_PROP);
		b->in_list = true;
	} else if (strcmp(name, "include") == 0) {
		b->has_include = true;
		b->in_list = true;
	}
}

static void dav_on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
	int n_spaces, const xmlChar **spaces, int n_attributes, int n_defaulted,
	const xmlChar **attributes)
{
	struct dav_body *b = arg;
	const char *space = uri ? (const char *)uri : "";

	(void)prefix, (void)n_spaces, (void)spaces;
	(void)n_attributes, (void)n_defaulted, (void)attributes;
	switch (b->depth++) {
	case 0:
		if (strcmp(space, "DAV:") != 0 || strcmp((const char *)name, "propfind") != 0)
			dav_body_fail(b, "the body is not a propfind");
		break;
	case 1:
		dav_on_question(b, space, (const char *)name);
		break;
	case 2:
		if (b->in_list)
			dav_add_property(b, space, (const char *)name);
		break;
	case DAV_DEPTH:
		dav_body_fail(b, "the body is nested too deeply");
		break;
	default:
		break;
	}
}

static void dav_on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct dav_body *b = arg;

	(void)name, (void)prefix, (void)uri;
	b->depth--;
}

static void dav_on_document_type(
	void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	(void)name, (void)external, (void)system;
	dav_body_fail(arg, "a document type is not allowed");
}

static void dav_on_message(void *arg, xmlErrorPtr error)
{
	(void)arg;
	(void)error; /* the parser's state says it */
}

static int dav_body_run(struct dav_body *b, const char *p, int n, const char **why)
{
	xmlSAXHandler handler = {
		.initialized = XML_SAX2_MAGIC,
		.startElementNs = dav_on_start,
		.endElementNs = dav_on_end,
		.internalSubset = dav_on_document_type,
		.serror = dav_on_message,
	};

	b->parser = xmlCreatePushParserCtxt(&handler, b, NULL, 0, NULL);
	if (!b->parser) {
		*why = "out of memory";
		return -EBADMSG;
	}
	/* NOENT: "&amp;" in a namespace is '&'; other entities cannot be declared here */
	(void)xmlCtxtUseOptions(b->parser, XML_PARSE_NONET | XML_PARSE_NOENT);
	int error = xmlParseChunk(b->parser, p, n, 1);
	bool well_formed = error == 0 && b->parser->wellFormed && b->parser->nsWellFormed;
	xmlFreeParserCtxt(b->parser);
	if (!b->why && !well_formed)
		b->why = "the body is not well-formed XML";
	if (!b->why && !b->has_kind)
		b->why = "the propfind asks for nothing";
	if (!b->why && b->has_include && b->query->kind != DAV_ALLPROP)
		b->why = "include belongs to allprop";
	if (b->why)
		*why = b->why;
	return b->why ? -EBADMSG : 0;
}

int dav_body_parse(struct dav_query *ret, const char *p, size_t n, const char **why)
{
	struct dav_body b = { .query = ret };

	ret->kind = DAV_ALLPROP;
	ret->n_properties = 0;
	ret->names_bytes = 0;
	if (n == 0)
		return 0;
	if (n > INT_MAX) {
		*why = "the body is too large";
		return -EBADMSG;
	}
	return dav_body_run(&b, p, (int)n, why);
}
