/* What a PROPFIND asks for (RFC 4918 sections 9.1 and 14). */
#include "protocols/dav_body.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "protocols/dav_xml.h"

struct dav_body {
	struct dav_xml xml; /* first */
	struct dav_query *query;
	bool in_list; /* depth 2 is a prop or include */
	bool has_kind, has_include;
};

static void dav_body_fail(struct dav_body *b, const char *why)
{
	dav_xml_fail(&b->xml, why);
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

void dav_query_init(struct dav_query *ret, enum dav_query_kind kind)
{
	ret->kind = kind;
	ret->n_properties = 0;
	ret->names_bytes = 0;
}

const char *dav_query_add(struct dav_query *query, const char *space, const char *name)
{
	struct dav_name kept;

	if (query->n_properties == DAV_PROPERTIES)
		return "too many properties";
	/* most names share a namespace with the one before */
	if (query->n_properties &&
		strcmp(query->properties[query->n_properties - 1].space, space) == 0)
		kept.space = query->properties[query->n_properties - 1].space;
	else
		kept.space = dav_keep(query, space);
	kept.name = dav_keep(query, name);
	if (!kept.space || !kept.name)
		return "the names of the properties are too long";
	query->properties[query->n_properties++] = kept;
	return NULL;
}

static void dav_add_property(struct dav_body *b, const char *space, const char *name)
{
	const char *why = dav_query_add(b->query, space, name);

	if (why)
		dav_body_fail(b, why);
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

static void dav_on_start(struct dav_xml *x, int depth, const char *space, const char *name)
{
	struct dav_body *b = CONTAINER_OF(x, struct dav_body, xml);

	switch (depth) {
	case 0:
		if (strcmp(space, "DAV:") != 0 || strcmp(name, "propfind") != 0)
			dav_body_fail(b, "the body is not a propfind");
		break;
	case 1:
		dav_on_question(b, space, name);
		break;
	case 2:
		if (b->in_list)
			dav_add_property(b, space, name);
		break;
	default:
		break;
	}
}

int dav_body_parse(struct dav_query *ret, const char *p, size_t n, const char **why)
{
	struct dav_body b = { .xml.on_start = dav_on_start, .query = ret };

	dav_query_init(ret, DAV_ALLPROP);
	if (n == 0)
		return 0;
	if (dav_xml_parse(&b.xml, p, n, why) < 0)
		return -EBADMSG;
	*why = NULL;
	if (!b.has_kind)
		*why = "the propfind asks for nothing";
	else if (b.has_include && ret->kind != DAV_ALLPROP)
		*why = "include belongs to allprop";
	return *why ? -EBADMSG : 0;
}
