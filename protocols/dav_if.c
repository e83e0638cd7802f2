/* The If field's grammar (RFC 4918 section 10.4.2), and those of Lock-Token and Timeout. */
#include "protocols/dav_if.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct if_reader {
	const char *at, *end;
	const char *why; /* the first thing that was wrong */
};

static void if_skip(struct if_reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
		r->at++;
}

/* Whether this character comes next; it is taken then. */
static bool if_take(struct if_reader *r, char c)
{
	if_skip(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool if_take_word(struct if_reader *r, const char *word)
{
	size_t n = strlen(word);

	if_skip(r);
	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
		return false;
	r->at += n;
	return true;
}

/* What stands before the closing bracket, which is taken; the opening one was. */
static struct message_text if_until(struct if_reader *r, char bracket, const char *why)
{
	const char *start = r->at;
	const char *close = memchr(start, bracket, (size_t)(r->end - start));

	if (!close || close == start) {
		r->why = why;
		return (struct message_text){ NULL, 0 };
	}
	r->at = close + 1;
	return (struct message_text){ start, (size_t)(close - start) };
}

static bool is_uri(struct message_text text)
{
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f || text.p[i] == '<')
			return false;
	}
	return text.n > 0;
}

static bool is_etag(struct message_text text)
{
	size_t skip = text.n > 2 && !memcmp(text.p, "W/", 2) ? 2 : 0;

	return text.n >= skip + 2 && text.p[skip] == '"' && text.p[text.n - 1] == '"' &&
	       !memchr(text.p + skip + 1, '"', text.n - skip - 2);
}

/* One condition; false at the end of the list. */
static bool if_condition(struct if_reader *r, struct dav_if_condition *ret)
{
	if (if_take(r, ')'))
		return false;
	ret->is_not = if_take_word(r, "Not");
	if (if_take(r, '<')) {
		ret->is_etag = false;
		ret->value = if_until(r, '>', "If: a state token does not end");
		if (!r->why && !is_uri(ret->value))
			r->why = "If: a state token is no URI";
	} else if (if_take(r, '[')) {
		ret->is_etag = true;
		ret->value = if_until(r, ']', "If: an entity tag does not end");
		if (!r->why && !is_etag(ret->value))
			r->why = "If: an entity tag is malformed";
	} else {
		r->why = "If: a condition is malformed";
	}
	return !r->why;
}

static void if_list(struct if_reader *r, struct dav_if *ret, struct message_text resource)
{
	struct dav_if_list *list = &ret->lists[ret->n_lists];
	struct dav_if_condition condition;

	if (ret->n_lists == DAV_IF_LISTS) {
		r->why = "If: too many lists";
		return;
	}
	*list = (struct dav_if_list){ resource, ret->n_conditions, 0 };
	while (!r->why && if_condition(r, &condition)) {
		if (ret->n_conditions == DAV_IF_CONDITIONS) {
			r->why = "If: too many conditions";
			return;
		}
		ret->conditions[ret->n_conditions++] = condition;
		list->n++;
	}
	if (!r->why && list->n == 0)
		r->why = "If: a list is empty";
	ret->n_lists++;
}

int dav_if_parse(struct dav_if *ret, struct message_text text, const char **why)
{
	struct if_reader r = { text.p, text.p + text.n, NULL };
	struct message_text resource = { NULL, 0 };
	bool tagged = if_take(&r, '<'), wants_list = tagged;

	ret->n_lists = ret->n_conditions = 0;
	if (tagged)
		resource = if_until(&r, '>', "If: a resource does not end");
	while (!r.why) {
		if (if_take(&r, '(')) {
			if_list(&r, ret, resource);
			wants_list = false;
		} else if (tagged && !wants_list && if_take(&r, '<')) {
			resource = if_until(&r, '>', "If: a resource does not end");
			wants_list = true;
		} else {
			break;
		}
		if (!r.why && resource.p && !is_uri(resource))
			r.why = "If: a resource is no URI";
	}
	if_skip(&r);
	if (!r.why && (r.at != r.end || wants_list || ret->n_lists == 0))
		r.why = "If: a list is missing";
	if (r.why)
		*why = r.why;
	return r.why ? -EBADMSG : 0;
}

struct message_text dav_if_coded_url(struct message_text text)
{
	struct message_text url = message_text_trim(text);

	if (url.n > 2 && url.p[0] == '<' && url.p[url.n - 1] == '>')
		url = (struct message_text){ url.p + 1, url.n - 2 };
	return is_uri(url) && !memchr(url.p, '>', url.n) ? url : (struct message_text){ NULL, 0 };
}

uint32_t dav_if_timeout(struct message_text text, uint32_t standard)
{
	static const char second[] = "Second-";

	while (text.n) {
		struct message_text one = message_text_cut(&text, ',');
		uint64_t seconds = 0;

		if (message_text_is(one, "Infinite"))
			return DAV_TIMEOUT_INFINITE;
		if (!message_text_starts(one, second))
			continue;
		one = (struct message_text){ one.p + strlen(second), one.n - strlen(second) };
		for (size_t i = 0; i < one.n && seconds < DAV_TIMEOUT_INFINITE; i++) {
			if (one.p[i] < '0' || one.p[i] > '9')
				return standard;
			seconds = seconds * 10 + (uint64_t)(one.p[i] - '0');
		}
		if (one.n)
			return seconds < DAV_TIMEOUT_INFINITE ? (uint32_t)seconds
							      : DAV_TIMEOUT_INFINITE;
	}
	return standard;
}
