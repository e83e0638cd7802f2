/* What a PROPPATCH changes, and what a LOCK asks for. */
#include "protocols/dav_update.h"

#include <errno.h>
#include <string.h>

#include "protocols/dav_xml.h"

/* --- propertyupdate --- */

struct update_body {
	struct dav_xml xml;
	struct dav_update *update;
	enum {
		UPDATE_NOTHING,
		UPDATE_SET,
		UPDATE_REMOVE
	} doing; /* by the element of depth 1 */
	bool in_prop;
};

static void update_on_property(struct update_body *b, const char *space, const char *name)
{
	struct dav_update *update = b->update;
	struct dav_name kept;

	if (update->n == DAV_UPDATES) {
		dav_xml_fail(&b->xml, "too many properties");
		return;
	}
	kept.space = dav_xml_copy(&b->xml, space);
	kept.name = kept.space ? dav_xml_copy(&b->xml, name) : NULL;
	if (!kept.name)
		return;
	update->changes[update->n].name = kept;
	update->changes[update->n++].element = NULL;
	if (b->doing == UPDATE_SET)
		dav_xml_keep(&b->xml);
}

static void update_on_start(struct dav_xml *x, int depth, const char *space, const char *name)
{
	struct update_body *b = CONTAINER_OF(x, struct update_body, xml);
	bool is_dav = strcmp(space, "DAV:") == 0;

	switch (depth) {
	case 0:
		if (!is_dav || strcmp(name, "propertyupdate") != 0)
			dav_xml_fail(x, "the body is not a propertyupdate");
		break;
	case 1:
		b->doing = !is_dav                       ? UPDATE_NOTHING
			   : strcmp(name, "set") == 0    ? UPDATE_SET
			   : strcmp(name, "remove") == 0 ? UPDATE_REMOVE
							 : UPDATE_NOTHING;
		break;
	case 2:
		b->in_prop = is_dav && strcmp(name, "prop") == 0 && b->doing != UPDATE_NOTHING;
		break;
	case 3:
		if (b->in_prop)
			update_on_property(b, space, name);
		break;
	default:
		break;
	}
}

static void update_on_end(struct dav_xml *x, int depth)
{
	struct update_body *b = CONTAINER_OF(x, struct update_body, xml);

	if (depth == 3 && x->keeping)
		b->update->changes[b->update->n - 1].element = x->text + x->kept;
}

int dav_update_parse(struct dav_update *ret, const char *p, size_t n, const char **why)
{
	struct update_body b = {
		.xml = {.on_start = update_on_start,
			.on_end = update_on_end,
			.text = ret->text,
			.size = sizeof(ret->text)},
		.update = ret,
	};

	ret->n = 0;
	if (dav_xml_parse(&b.xml, p, n, why) < 0)
		return -EBADMSG;
	*why = "the propertyupdate changes nothing";
	return ret->n ? 0 : -EBADMSG;
}

/* --- lockinfo --- */

struct lock_body {
	struct dav_xml xml;
	enum {
		LOCK_OTHER,
		LOCK_SCOPE,
		LOCK_TYPE
	} inside; /* by the element of depth 1 */
	bool has_scope, has_type, has_owner;
	struct dav_lock_wish *wish;
};

static void lock_on_child(struct lock_body *b, const char *name)
{
	b->inside = strcmp(name, "lockscope") == 0  ? LOCK_SCOPE
		    : strcmp(name, "locktype") == 0 ? LOCK_TYPE
						    : LOCK_OTHER;
	if (strcmp(name, "owner") != 0)
		return;
	if (b->has_owner)
		dav_xml_fail(&b->xml, "there may be one owner");
	b->has_owner = true;
	dav_xml_keep(&b->xml);
}

static void lock_on_grandchild(struct lock_body *b, const char *name)
{
	bool exclusive = strcmp(name, "exclusive") == 0;

	if (b->inside == LOCK_SCOPE && (exclusive || strcmp(name, "shared") == 0)) {
		b->has_scope = true;
		b->wish->exclusive = exclusive;
	} else if (b->inside == LOCK_TYPE && strcmp(name, "write") == 0) {
		b->has_type = true;
	}
}

static void lock_on_start(struct dav_xml *x, int depth, const char *space, const char *name)
{
	struct lock_body *b = CONTAINER_OF(x, struct lock_body, xml);
	bool is_dav = strcmp(space, "DAV:") == 0;

	if (depth == 0 && (!is_dav || strcmp(name, "lockinfo") != 0))
		dav_xml_fail(x, "the body is not a lockinfo");
	else if (depth == 1)
		lock_on_child(b, is_dav ? name : "");
	else if (depth == 2 && is_dav)
		lock_on_grandchild(b, name);
}

int dav_lock_parse(struct dav_lock_wish *ret, const char *p, size_t n, const char **why)
{
	struct lock_body b = {
		.xml = {.on_start = lock_on_start,
			.text = ret->owner,
			.size = sizeof(ret->owner)},
		.wish = ret,
	};

	ret->owner[0] = '\0';
	if (dav_xml_parse(&b.xml, p, n, why) < 0)
		return -EBADMSG;
	*why = "a lockinfo needs a lockscope and the locktype write";
	return b.has_scope && b.has_type ? 0 : -EBADMSG;
}
