/*
 * Live properties (RFC 4918 section 15, and those of recordings) as one table, and how they are
 * written: a response element with a propstat for what is there and one for what is not.
 */
#include "protocols/dav_properties.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "protocols/dav_private.h"
#include "protocols/http_date.h"
#include "protocols/markup.h"
#include "server/base/reactor.h"

/* What an entry must have for a property to be defined. */
enum {
	DAV_ANY = 0,
	DAV_FILE = 1 << 0,
	DAV_MODIFIED = 1 << 1,
	DAV_CREATED = 1 << 2,
	DAV_SEGMENT = 1 << 3,
	DAV_PICTURE = 1 << 4,
	DAV_SPACE = 1 << 5,
	DAV_LOCKABLE = 1 << 6,
	DAV_SEARCHED = 1 << 7,
	DAV_TAGGED = 1 << 8,
};

static void dav_add_timestamp(struct markup *out, int64_t utc_us)
{
	char text[HTTP_TIMESTAMP_BYTES];

	markup_add(out, http_timestamp_write(text, utc_us));
}

static void dav_add_thousandths(struct markup *out, int ms)
{
	const char text[] = { '.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
		(char)('0' + ms % 10) };

	markup_add_bytes(out, text, sizeof(text));
}

/* With milliseconds: recordings follow each other within a second. */
static void dav_add_instant(struct markup *out, int64_t utc_us)
{
	char text[HTTP_TIMESTAMP_BYTES];

	markup_add_bytes(out, http_timestamp_write(text, utc_us), strlen("2026-11-20T14:30:00"));
	dav_add_thousandths(out, (int)(utc_us / 1000 % 1000));
	markup_add(out, "Z");
}

static void dav_write_resourcetype(struct markup *out, const struct tree_entry *e)
{
	if (e->kind == TREE_COLLECTION)
		markup_add(out, "<D:collection/>");
}

static void dav_write_displayname(struct markup *out, const struct tree_entry *e)
{
	markup_add_text(out, e->name);
}

static void dav_write_contentlength(struct markup *out, const struct tree_entry *e)
{
	markup_add_number(out, e->bytes);
}

static void dav_write_contenttype(struct markup *out, const struct tree_entry *e)
{
	markup_add_text(out, e->content_type);
}

static void dav_write_etag(struct markup *out, const struct tree_entry *e)
{
	markup_add_text(out, e->etag);
}

static void dav_write_lastmodified(struct markup *out, const struct tree_entry *e)
{
	char text[HTTP_DATE_BYTES];

	markup_add(out, http_date_write(text, e->modified_us));
}

static void dav_write_creationdate(struct markup *out, const struct tree_entry *e)
{
	dav_add_timestamp(out, e->created_us);
}

#define DAV_LOCK_ENTRY(scope)                 \
	"<D:lockentry><D:lockscope><D:" scope \
	"/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>"

static void dav_write_supportedlock(struct markup *out, const struct tree_entry *e)
{
	(void)e;
	markup_add(out, DAV_LOCK_ENTRY("exclusive") DAV_LOCK_ENTRY("shared"));
}

/* What is left of it, rounded up. */
static void dav_write_timeout(struct markup *out, const struct lock *lock)
{
	int64_t left_us = lock->expires_us - reactor_monotonic_us();

	markup_add_format(
		out, "<D:timeout>Second-%" PRId64 "</D:timeout>", (left_us + 999999) / 1000000);
}

static void dav_write_lock(struct markup *out, const char *base, const struct lock *lock)
{
	markup_add(out, "<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope>");
	markup_add(out, lock->exclusive ? "<D:exclusive/>" : "<D:shared/>");
	markup_add(out, "</D:lockscope><D:depth>");
	markup_add(out, lock->deep ? "infinity" : "0");
	markup_add(out, "</D:depth>");
	markup_add(out, lock->owner);
	dav_write_timeout(out, lock);
	markup_add(out, "<D:locktoken><D:href>");
	markup_add(out, lock->token);
	markup_add(out, "</D:href></D:locktoken><D:lockroot><D:href>");
	markup_add(out, base);
	markup_add_path(out, lock->path);
	markup_add(out, "</D:href></D:lockroot></D:activelock>");
}

void dav_write_locks(struct markup *out, const char *base, const char *path)
{
	struct locks *locks = tree_locks(dav_get_tree());
	const struct lock *lock;

	for (lock = locks_next(locks, path, NULL); lock; lock = locks_next(locks, path, lock))
		dav_write_lock(out, base, lock);
}

static void dav_write_available(struct markup *out, const struct tree_entry *e)
{
	markup_add_number(out, e->free_bytes);
}

static void dav_write_used(struct markup *out, const struct tree_entry *e)
{
	markup_add_number(out, e->used_bytes);
}

static void dav_write_grammars(struct markup *out, const struct tree_entry *e)
{
	(void)e;
	markup_add(out,
		"<D:supported-query-grammar><D:grammar><D:basicsearch/></D:grammar></D:supported-query-grammar>");
}

static void dav_write_camera(struct markup *out, const struct tree_entry *e)
{
	markup_add_text(out, e->segment->camera);
}

static void dav_write_start(struct markup *out, const struct tree_entry *e)
{
	dav_add_instant(out, e->segment->start_us);
}

static void dav_write_end(struct markup *out, const struct tree_entry *e)
{
	dav_add_instant(out, e->segment->end_us);
}

/* In seconds. */
static void dav_write_duration(struct markup *out, const struct tree_entry *e)
{
	int64_t us = e->segment->end_us - e->segment->start_us;
	uint64_t ms = us > 0 ? (uint64_t)us / 1000 : 0;

	markup_add_number(out, ms / 1000);
	dav_add_thousandths(out, (int)(ms % 1000));
}

static void dav_write_codec(struct markup *out, const struct tree_entry *e)
{
	markup_add_text(out, e->segment->codecs ? e->segment->codecs : "");
}

static void dav_write_width(struct markup *out, const struct tree_entry *e)
{
	markup_add_number(out, (uint64_t)e->segment->width);
}

static void dav_write_height(struct markup *out, const struct tree_entry *e)
{
	markup_add_number(out, (uint64_t)e->segment->height);
}

static void dav_write_state(struct markup *out, const struct tree_entry *e)
{
	markup_add(out, e->segment->state == SEGMENT_OPEN ? "open" : "closed");
}

static void dav_write_motion(struct markup *out, const struct tree_entry *e)
{
	markup_add(out, e->segment->events & 1 << EVENT_MOTION ? "1" : "0");
}

/* clang-format off */
#define TAG(text) { text, sizeof(text) - 1 }
#define TAGS(name) (name) + 2, TAG("<" name ">"), TAG("</" name ">"), TAG("<" name "/>"),
struct dav_tag {
	const char *p;
	size_t n;
};
static const struct dav_row {
	const char *name;
	struct dav_tag open, close, empty; /* there are thousands of them in an answer */
	/* NULL: the locks, the one property in which there are paths */
	void (*write)(struct markup *out, const struct tree_entry *e);
	unsigned needs;
	bool is_ours; /* in DAV_NVRD_SPACE, else in DAV: */
	bool is_asked_for; /* by name only */
} dav_rows[] = {
	{ TAGS("D:resourcetype")                 dav_write_resourcetype,    DAV_ANY,      false, false },
	{ TAGS("D:displayname")                  dav_write_displayname,     DAV_ANY,      false, false },
	{ TAGS("D:getcontentlength")             dav_write_contentlength,   DAV_FILE,     false, false },
	{ TAGS("D:getcontenttype")               dav_write_contenttype,     DAV_FILE,     false, false },
	{ TAGS("D:getetag")                      dav_write_etag,            DAV_TAGGED,   false, false },
	{ TAGS("D:getlastmodified")              dav_write_lastmodified,    DAV_MODIFIED, false, false },
	{ TAGS("D:creationdate")                 dav_write_creationdate,    DAV_CREATED,  false, false },
	{ TAGS("D:supportedlock")                dav_write_supportedlock,   DAV_LOCKABLE, false, false },
	{ TAGS("D:lockdiscovery")                NULL,                      DAV_LOCKABLE, false, false },
	{ TAGS("D:quota-available-bytes")        dav_write_available,       DAV_SPACE,    false, true },
	{ TAGS("D:quota-used-bytes")             dav_write_used,            DAV_SPACE,    false, true },
	{ TAGS("D:supported-query-grammar-set")  dav_write_grammars,        DAV_SEARCHED, false, true },
	{ TAGS("N:camera")                       dav_write_camera,          DAV_SEGMENT,  true, false },
	{ TAGS("N:start")                        dav_write_start,           DAV_SEGMENT,  true, false },
	{ TAGS("N:end")                          dav_write_end,             DAV_SEGMENT,  true, false },
	{ TAGS("N:duration")                     dav_write_duration,        DAV_SEGMENT,  true, false },
	{ TAGS("N:codec")                        dav_write_codec,           DAV_SEGMENT,  true, false },
	{ TAGS("N:width")                        dav_write_width,           DAV_PICTURE,  true, false },
	{ TAGS("N:height")                       dav_write_height,          DAV_PICTURE,  true, false },
	{ TAGS("N:state")                        dav_write_state,           DAV_SEGMENT,  true, false },
	{ TAGS("N:motion")                       dav_write_motion,          DAV_SEGMENT,  true, false },
};
/* clang-format on */

static int dav_find_row(const struct dav_name *name)
{
	bool is_ours = strcmp(name->space, DAV_NVRD_SPACE) == 0;

	if (!is_ours && strcmp(name->space, "DAV:") != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LENGTH(dav_rows); i++) {
		if (dav_rows[i].is_ours == is_ours && strcmp(dav_rows[i].name, name->name) == 0)
			return (int)i;
	}
	return -1;
}

void dav_select(struct dav_selection *ret, const struct dav_query *query, const char *base)
{
	ret->query = query;
	ret->base = base;
	for (size_t i = 0; i < query->n_properties; i++)
		ret->known[i] = dav_find_row(&query->properties[i]);
}

/* "/uploads" itself always stays. */
static bool dav_is_writable(const struct tree_entry *e)
{
	return strncmp(e->path, "/uploads/", strlen("/uploads/")) == 0 ||
	       (e->kind == TREE_FILE && strncmp(e->path, "/config/", strlen("/config/")) == 0);
}

/* What SEARCH can be asked of. */
static bool dav_is_searched(const struct tree_entry *e)
{
	return !strcmp(e->path, "/") || !strcmp(e->path, "/recordings") ||
	       !strncmp(e->path, "/recordings/", strlen("/recordings/"));
}

static unsigned dav_entry_has(const struct tree_entry *e)
{
	unsigned has = 0;

	if (e->kind == TREE_FILE)
		has |= DAV_FILE;
	if (e->etag[0])
		has |= DAV_TAGGED;
	if (e->modified_us > 0)
		has |= DAV_MODIFIED;
	if (e->created_us > 0)
		has |= DAV_CREATED;
	if (e->segment)
		has |= DAV_SEGMENT;
	if (e->segment && e->segment->width > 0)
		has |= DAV_PICTURE;
	if (e->has_space)
		has |= DAV_SPACE;
	if (e->segment || dav_is_writable(e))
		has |= DAV_LOCKABLE;
	if (dav_is_searched(e))
		has |= DAV_SEARCHED;
	return has;
}

static bool dav_is_defined(int row, unsigned has)
{
	return row >= 0 && (dav_rows[row].needs & ~has) == 0;
}

static void dav_add_tag(struct markup *out, const struct dav_tag *tag)
{
	markup_add_bytes(out, tag->p, tag->n);
}

/* With its value, or with entry NULL the name alone. */
static void dav_write_row(struct markup *out, const struct dav_selection *selection,
	const struct dav_row *row, const struct tree_entry *entry)
{
	if (!entry) {
		dav_add_tag(out, &row->empty);
		return;
	}
	dav_add_tag(out, &row->open);
	if (row->write)
		row->write(out, entry);
	else
		dav_write_locks(out, selection->base, entry->path);
	dav_add_tag(out, &row->close);
}

/* A property that people have given the entry, or NULL. */
static const struct catalogue_property *dav_find_dead(
	const struct tree_entry *entry, const struct dav_name *name)
{
	for (size_t i = 0; i < entry->n_properties; i++) {
		const struct catalogue_property *property = &entry->properties[i];

		if (!strcmp(property->space, name->space) && !strcmp(property->name, name->name))
			return property;
	}
	return NULL;
}

void dav_write_name(struct markup *out, const struct dav_name *name)
{
	markup_add(out, "<");
	markup_add(out, name->name);
	markup_add(out, " xmlns=\"");
	markup_add_text(out, name->space);
	markup_add(out, "\"/>");
}

static void dav_write_dead(struct markup *out, const struct tree_entry *entry, bool names_only)
{
	for (size_t i = 0; i < entry->n_properties; i++) {
		const struct catalogue_property *property = &entry->properties[i];

		if (names_only)
			dav_write_name(out, &(struct dav_name){ property->space, property->name });
		else
			markup_add(out, property->value);
	}
}

static void dav_write_propstat_end(struct markup *out, const char *status)
{
	markup_add(out, "</D:prop><D:status>HTTP/1.1 ");
	markup_add(out, status);
	markup_add(out, "</D:status></D:propstat>");
}

/* allprop and propname */
static void dav_write_all(struct markup *out, const struct dav_selection *selection,
	const struct tree_entry *entry, bool names_only)
{
	unsigned has = dav_entry_has(entry);

	markup_add(out, "<D:propstat><D:prop>");
	for (size_t i = 0; i < ARRAY_LENGTH(dav_rows); i++) {
		if (dav_is_defined((int)i, has) && (names_only || !dav_rows[i].is_asked_for))
			dav_write_row(out, selection, &dav_rows[i], names_only ? NULL : entry);
	}
	dav_write_dead(out, entry, names_only);
	dav_write_propstat_end(out, "200 OK");
}

/* Whether the entry has the i-th property that was asked for; a dead one in *dead. */
static bool dav_has(const struct dav_selection *selection, size_t i, const struct tree_entry *entry,
	unsigned has, const struct catalogue_property **dead)
{
	*dead = NULL;
	if (dav_is_defined(selection->known[i], has))
		return true;
	*dead = dav_find_dead(entry, &selection->query->properties[i]);
	return *dead;
}

static void dav_write_found(struct markup *out, const struct dav_selection *selection,
	const struct tree_entry *entry, unsigned has)
{
	const struct catalogue_property *dead;

	markup_add(out, "<D:propstat><D:prop>");
	for (size_t i = 0; i < selection->query->n_properties; i++) {
		if (!dav_has(selection, i, entry, has, &dead))
			continue;
		if (dead)
			markup_add(out, dead->value);
		else
			dav_write_row(out, selection, &dav_rows[selection->known[i]], entry);
	}
	dav_write_propstat_end(out, "200 OK");
}

static void dav_write_missing(struct markup *out, const struct dav_selection *selection,
	const struct tree_entry *entry, unsigned has)
{
	const struct dav_query *query = selection->query;
	const struct catalogue_property *dead;

	markup_add(out, "<D:propstat><D:prop>");
	for (size_t i = 0; i < query->n_properties; i++) {
		if (!dav_has(selection, i, entry, has, &dead))
			dav_write_name(out, &query->properties[i]);
	}
	dav_write_propstat_end(out, "404 Not Found");
}

/* How many of the asked-for properties this entry has. */
static size_t dav_count_found(
	const struct dav_selection *selection, const struct tree_entry *entry, unsigned has)
{
	const struct catalogue_property *dead;
	size_t found = 0;

	for (size_t i = 0; i < selection->query->n_properties; i++)
		found += dav_has(selection, i, entry, has, &dead);
	return found;
}

/* What allprop's include asks for besides what is shown anyway. */
static void dav_write_included(struct markup *out, const struct dav_selection *selection,
	const struct tree_entry *entry, unsigned has)
{
	bool any = false;

	for (size_t i = 0; i < selection->query->n_properties; i++) {
		int row = selection->known[i];

		if (!dav_is_defined(row, has) || !dav_rows[row].is_asked_for)
			continue;
		if (!any)
			markup_add(out, "<D:propstat><D:prop>");
		any = true;
		dav_write_row(out, selection, &dav_rows[row], entry);
	}
	if (any)
		dav_write_propstat_end(out, "200 OK");
}

static void dav_write_properties(
	struct markup *out, const struct dav_selection *selection, const struct tree_entry *entry)
{
	const struct dav_query *query = selection->query;
	unsigned has = dav_entry_has(entry);
	size_t found = dav_count_found(selection, entry, has);

	switch (query->kind) {
	case DAV_PROPNAME:
		dav_write_all(out, selection, entry, true);
		return;
	case DAV_ALLPROP:
		dav_write_all(out, selection, entry, false);
		dav_write_included(out, selection, entry, has);
		break;
	case DAV_PROP:
		if (found > 0 || query->n_properties == 0)
			dav_write_found(out, selection, entry, has);
		break;
	}
	if (found < query->n_properties)
		dav_write_missing(out, selection, entry, has);
}

void dav_write_response(
	struct markup *out, const struct dav_selection *selection, const struct tree_entry *entry)
{
	markup_add(out, "<D:response><D:href>");
	markup_add(out, selection->base);
	markup_add_path(out, entry->path);
	if (entry->kind == TREE_COLLECTION && strcmp(entry->path, "/") != 0)
		markup_add(out, "/");
	markup_add(out, "</D:href>");
	dav_write_properties(out, selection, entry);
	markup_add(out, "</D:response>\n");
}

void dav_write_status(struct markup *out, const char *base, const char *path, const char *status)
{
	markup_add(out, "<D:response><D:href>");
	markup_add(out, base);
	markup_add_path(out, path);
	markup_add(out, "</D:href><D:status>HTTP/1.1 ");
	markup_add(out, status);
	markup_add(out, "</D:status></D:response>\n");
}

bool dav_is_protected(const struct dav_name *name)
{
	return dav_find_row(name) >= 0;
}

void dav_write_head(struct markup *out)
{
	markup_add(out,
		DAV_XML_HEAD "<D:multistatus xmlns:D=\"DAV:\" xmlns:N=\"" DAV_NVRD_SPACE "\">\n");
}

void dav_write_tail(struct markup *out)
{
	markup_add(out, "</D:multistatus>\n");
}
