/* PROPPATCH (RFC 4918 section 9.2): properties that people give to uploads; all changes or none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "protocols/dav.h"
#include "protocols/dav_private.h"
#include "protocols/dav_properties.h"
#include "protocols/dav_update.h"
#include "protocols/markup.h"
#include "server/base/memory.h"

struct dav_proppatch {
	struct dav_check check; /* first */
	struct dav_update update;
	bool is_collection;
	struct catalogue_change *pending;
};

static void proppatch_on_gone(void *context)
{
	struct dav_proppatch *p = context;

	catalogue_change_cancel(p->pending);
	dav_check_fini(&p->check);
	free(p);
}

/* --- the answer --- */

static void write_propstat(struct markup *out, const struct dav_proppatch *p, bool protected_ones,
	const char *status, const char *error)
{
	bool any = false;

	for (size_t i = 0; i < p->update.n; i++) {
		const struct dav_name *name = &p->update.changes[i].name;

		if (dav_is_protected(name) != protected_ones)
			continue;
		if (!any)
			markup_add(out, "<D:propstat><D:prop>");
		any = true;
		dav_write_name(out, name);
	}
	if (!any)
		return;
	markup_add(out, "</D:prop><D:status>HTTP/1.1 ");
	markup_add(out, status);
	markup_add(out, "</D:status>");
	markup_add(out, error);
	markup_add(out, "</D:propstat>");
}

/* `status` is that of all properties that are not protected. */
static void proppatch_answer(struct dav_proppatch *p, const char *status)
{
	struct evbuffer *body = evbuffer_new();
	struct markup out = markup_begin(body);

	if (!body)
		abort();
	dav_write_head(&out);
	markup_add(&out, "<D:response><D:href>");
	markup_add(&out, http_base(p->check.request));
	markup_add_path(&out, p->check.path);
	markup_add(&out, p->is_collection ? "/</D:href>" : "</D:href>");
	write_propstat(&out, p, true, "403 Forbidden",
		"<D:error><D:cannot-modify-protected-property/></D:error>");
	write_propstat(&out, p, false, status, "");
	markup_add(&out, "</D:response>\n");
	dav_write_tail(&out);
	markup_end(&out);
	http_answer(p->check.request, 207, DAV_CONTENT_TYPE, body);
	evbuffer_free(body);
}

/* --- the change --- */

static void proppatch_on_changed(void *arg, int error)
{
	struct dav_proppatch *p = arg;

	p->pending = NULL;
	if (error == -E2BIG)
		proppatch_answer(p, "507 Insufficient Storage");
	else if (error)
		http_tree_answer_error(p->check.request, error);
	else
		proppatch_answer(p, "200 OK");
}

static void proppatch_store(struct dav_proppatch *p)
{
	struct catalogue_property *changes = xcalloc(p->update.n, sizeof(*changes));

	for (size_t i = 0; i < p->update.n; i++)
		changes[i] = (struct catalogue_property){ .space = p->update.changes[i].name.space,
			.name = p->update.changes[i].name.name,
			.value = p->update.changes[i].element };
	p->pending = tree_change_properties(
		dav_get_tree(), p->check.path, changes, p->update.n, proppatch_on_changed, p);
	free(changes);
	if (!p->pending)
		http_tree_answer_error(p->check.request, -EAGAIN);
}

static void proppatch_on_checked(struct dav_check *check, const struct tree_entry *entry)
{
	struct dav_proppatch *p = CONTAINER_OF(check, struct dav_proppatch, check);

	if (!entry) {
		http_tree_answer_error(check->request, -ENOENT);
		return;
	}
	if (dav_is_locked(check, check->path, LOCK_SELF))
		return;
	p->is_collection = entry->kind == TREE_COLLECTION;
	for (size_t i = 0; i < p->update.n; i++) {
		if (dav_is_protected(&p->update.changes[i].name)) {
			proppatch_answer(p, "424 Failed Dependency");
			return;
		}
	}
	proppatch_store(p);
}

void dav_proppatch(struct http_request *request)
{
	struct dav_proppatch *p = xcalloc(1, sizeof(*p));
	struct evbuffer *body = http_body(request);
	size_t n = evbuffer_get_length(body);
	const char *why = NULL;
	int error;

	http_set_context(request, p, proppatch_on_gone);
	if (!dav_check_init(&p->check, request))
		return;
	error = tree_may_change(dav_get_tree(), p->check.path, p->check.user);
	if (error)
		dav_answer_error(request, error);
	else if (dav_update_parse(
			 &p->update, n ? (const char *)evbuffer_pullup(body, -1) : "", n, &why) < 0)
		http_answer_error(request, 400, "%s", why);
	else
		dav_check_start(&p->check, proppatch_on_checked);
}
